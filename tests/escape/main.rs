//! Attacks: the table of `belljar selftest`, as root and as an ordinary user, and the attacks on the caller's
//! side, which no probe inside can try.
//!
//! `cargo test --test escape`. A row that cannot be tested on this host is counted as ignored and says why;
//! `BELLJAR_TEST_REQUIRE=escape`, or `all`, turns that into a failure where root could test it (`all,-escape`
//! does without). Two rows need what few machines have, and are required by its name: `CAP_SYS_RESOURCE` and
//! `groups` (supplementary groups of root's).

#[allow(dead_code)] // it is shared
#[path = "../end_to_end/caller.rs"]
mod caller;
mod descriptors;
mod leaks;
mod lifecycle;
mod mounts;
#[path = "../end_to_end/need.rs"]
mod need;
mod network;
mod profiles;
mod table;
mod terminal;
mod under;
mod walls;

use libtest_mimic::{Arguments, Failed, Trial};

use caller::Caller;
use need::{Need, trial};

/// A check of one caller.
type Check = fn(Caller) -> Result<(), Failed>;

/// A check, its name, and what it needs beside the caller.
type Entry = (&'static str, &'static [Need], Check);

/// Each check, as each caller.
fn trials(family: &str, checks: &[Entry]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, root) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        for (name, needs, check) in checks {
            let check = *check;
            let name = format!("{family}::{name} as {caller:?}");
            trials.push(trial(name, &[root, needs].concat(), move || check(caller)));
        }
    }
    trials
}

fn main() {
    belljar::init();
    let arguments = Arguments::from_args();
    let mut all = Vec::new();
    for (family, checks) in [
        ("terminal", terminal::CHECKS),
        ("descriptors", descriptors::CHECKS),
        ("mounts", mounts::CHECKS),
        ("lifecycle", lifecycle::CHECKS),
        ("network", network::CHECKS),
        ("leaks", leaks::CHECKS),
        ("profiles", profiles::CHECKS),
        ("under", under::CHECKS),
        ("walls", walls::CHECKS),
    ] {
        all.extend(trials(family, checks));
    }
    all.extend(table::trials(arguments.list, arguments.filter.as_deref()));
    let conclusion = libtest_mimic::run(&arguments, all);
    caller::clear_shelf();
    conclusion.exit();
}
