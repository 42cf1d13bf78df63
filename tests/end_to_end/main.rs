//! The whole corridor from the outside, against the real kernel, as root and as an unprivileged user.
//!
//! `cargo test --test end_to_end`. Where the kernel or the machine lacks something that a check needs, the check is counted
//! as ignored and says why; `BELLJAR_TEST_REQUIRE=all` (or a list: `root,python3,gcc,git,busybox,jq,strace`) turns that into a
//! failure.

mod caller;
mod need;

use libtest_mimic::{Arguments, Trial};

fn main() {
    // This program is also the image that the library's sandboxes re-execute.
    belljar::init();
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    libtest_mimic::run(&arguments, trials).exit();
}
