//! The whole corridor from the outside, against the real kernel, as root and as an unprivileged user.
//!
//! `cargo test --test end_to_end`. Where the kernel or the machine lacks something that a check needs, the
//! check is counted as ignored and says why; `BELLJAR_TEST_REQUIRE=all` (or a list of `root` and programs:
//! `root,python3,gcc,java`) turns that into a failure.

mod caller;
mod containers;
mod counts;
mod descriptors;
mod ends;
mod filesystems;
mod forged;
mod hooks;
mod ids;
mod inherited;
mod isolation;
mod joined;
mod kept;
mod leftovers;
mod library;
mod lifetime;
mod more_tasks;
mod named;
mod need;
mod notified;
mod outcome;
mod programs;
mod races;
mod recipes;
mod scale;
mod scheduling;
mod sources;
mod streams;
mod traces;
mod workloads;

use libtest_mimic::{Arguments, Trial};

fn main() {
    // This program is also the image that the library's sandboxes re-execute.
    belljar::init();
    library::run_case();
    hear_signals();
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = [
        containers::trials(),
        counts::trials(),
        descriptors::trials(),
        ids::trials(),
        inherited::trials(),
        ends::trials(),
        named::trials(),
        isolation::trials(),
        kept::trials(),
        library::trials(),
        leftovers::trials(),
        outcome::trials(),
        programs::trials(),
        races::trials(),
        recipes::trials(),
        scale::trials(),
        scheduling::trials(),
        filesystems::trials(),
        joined::trials(),
        sources::trials(),
        streams::trials(),
        traces::trials(),
        workloads::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    caller::clear_shelf();
    conclusion.exit();
}

/// What a shell has its background jobs ignore: belljar and what runs in it would go on ignoring it.
fn hear_signals() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    for ignored in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
        // SAFETY: SIG_DFL is no function that could be called at a bad moment.
        unsafe { signal(ignored, SigHandler::SigDfl) }.expect("sigaction");
    }
}
