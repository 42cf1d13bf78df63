//! Limits of the whole sandbox, against the real kernel: each bomb ends with its true verdict, in bounded
//! time, and no control group is left.
//!
//! `cargo test --test limits`, as root and as an ordinary user in a group that root gave it. Where no group
//! with limits can be had the checks are counted as ignored; `BELLJAR_TEST_REQUIRE=all` (or
//! `root,cgroup,python3`) turns that into failures.

// Shared with the end-to-end tests, which use all of them.
#[allow(dead_code)]
#[path = "../end_to_end/caller.rs"]
mod caller;
#[path = "../end_to_end/need.rs"]
mod need;

mod bombs;
mod disks;
mod fills;
mod leftovers;
mod library;
mod live;
mod parent;
mod refusals;
mod verdicts;

use std::sync::OnceLock;

use libtest_mimic::{Arguments, Failed, Trial};

use caller::Caller;
use need::{Need, skipped, trial};
use parent::Parent;

/// A check, for one caller, in a parent group of its own.
type Check = fn(&Parent) -> Result<(), Failed>;

/// Each check for both callers.
fn both(module: &str, checks: &[(&str, &[Need], Check)]) -> Vec<Trial> {
    for_callers(&[Caller::Root, Caller::User], module, checks)
}

fn for_callers(callers: &[Caller], module: &str, checks: &[(&str, &[Need], Check)]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &caller in callers {
        for (name, needs, check) in checks {
            let (name, check) = (format!("{module}::{name} as {caller:?}"), *check);
            // Only root can make the groups, and give them to the user.
            let needs: Vec<Need> = [Need::Root].iter().chain(*needs).copied().collect();
            if let Some(why) = missing(caller) {
                trials.push(skipped(name, "cgroup", why.to_owned()));
                continue;
            }
            trials.push(trial(name, &needs, move || {
                let parent = Parent::make(caller)?;
                check(&parent)?;
                parent.is_empty()
            }));
        }
    }
    trials
}

/// Why there is no group with limits for a caller.
fn missing(caller: Caller) -> Option<&'static str> {
    static ROOT: OnceLock<Option<String>> = OnceLock::new();
    static USER: OnceLock<Option<String>> = OnceLock::new();
    let cell = if caller == Caller::Root { &ROOT } else { &USER };
    if !nix::unistd::geteuid().is_root() {
        return None; // said by Need::Root
    }
    cell.get_or_init(|| parent::available(caller).err()).as_deref()
}

fn main() {
    belljar::init();
    let arguments = Arguments::from_args();
    let trials = [
        both("bombs", bombs::CHECKS),
        both("verdicts", verdicts::CHECKS),
        both("leftovers", leftovers::CHECKS),
        both("live", live::CHECKS),
        both("fills", fills::CHECKS),
        // For root alone: they take long, or need the right to mount.
        for_callers(&[Caller::Root], "leftovers", leftovers::LONG),
        for_callers(&[Caller::Root], "refusals", refusals::CHECKS),
        match disks::missing() {
            None => both("disks", disks::CHECKS),
            Some(why) => disks::CHECKS
                .iter()
                .map(|(name, ..)| skipped(format!("disks::{name}"), "disk", why.to_owned()))
                .collect(),
        },
        // In this very process.
        for_callers(&[Caller::Root], "library", library::CHECKS),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    caller::clear_shelf();
    conclusion.exit();
}
