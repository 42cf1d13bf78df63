//! Faults at every step and kills at every instant: with any system call that fails and any process that is
//! killed, a run of belljar is whole or refused, and nothing of it is left.
//!
//! `cargo test --test faults` tries a bounded part: in four kinds of runs each distinct system call of each
//! process with one error, and every wall faked. `BELLJAR_FAULTS=most` tries three errors in all kinds of
//! runs, and 1,000 random kills of each of three (20 minutes), and `BELLJAR_FAULTS=full` every single call of
//! every process with six errors, and kills at every one of them (hours). `BELLJAR_FAULTS_MESSAGES=1` also
//! prints what belljar said, and which faked calls were not noticed. It needs root (to trace across user
//! namespaces) and x86-64; elsewhere it is counted as skipped.

#[cfg(target_arch = "x86_64")]
mod baseline;
#[cfg(target_arch = "x86_64")]
mod calls;
#[cfg(target_arch = "x86_64")]
mod groups;
#[cfg(target_arch = "x86_64")]
mod injector;
#[cfg(target_arch = "x86_64")]
mod kills;
// Shared with the end-to-end tests, which use all of it.
#[allow(dead_code)]
#[cfg(target_arch = "x86_64")]
#[path = "../end_to_end/need.rs"]
mod need;
#[cfg(target_arch = "x86_64")]
mod pressure;
#[cfg(target_arch = "x86_64")]
mod scenario;
#[cfg(target_arch = "x86_64")]
mod sweep;
mod witness;

use std::process::ExitCode;

belljar::role!("witness", witness::testify);

fn main() -> ExitCode {
    belljar::init();
    // The same image is belljar itself, and the program that it runs.
    let name = std::env::args_os().next().map(std::path::PathBuf::from);
    match name.as_ref().and_then(|name| name.file_name()).and_then(|name| name.to_str()) {
        Some("belljar") => return belljar::cli::main(),
        Some("witness") => {
            witness::testify();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    harness()
}

#[cfg(target_arch = "x86_64")]
fn harness() -> ExitCode {
    use libtest_mimic::Arguments;
    use need::{Need, skipped, trial};
    use scenario::{Caller, LIMITED, LITE, OVERLAY, PROGRAM, READ_ONLY, ROLE, STANDARD};
    use sweep::Depth;

    let mut arguments = Arguments::from_args();
    // Each uses both of its threads itself.
    arguments.test_threads.get_or_insert(1);
    let depth = match std::env::var("BELLJAR_FAULTS").as_deref() {
        Ok("full") => Depth::Full,
        Ok("most") => Depth::Most,
        Err(std::env::VarError::NotPresent) => Depth::Reduced,
        other => {
            eprintln!("BELLJAR_FAULTS is full, most or not there, not {other:?}");
            return ExitCode::FAILURE;
        }
    };
    // To trace across user namespaces, and to become another user.
    let needs = [Need::Root];
    let no_groups = groups::Groups::make(&format!("belljar-test-faults-{}", std::process::id()), None).err();
    let mut trials = Vec::new();
    let always =
        [(Caller::User, PROGRAM), (Caller::Root, ROLE), (Caller::User, LITE), (Caller::Root, LIMITED)];
    let deep = [
        (Caller::Root, PROGRAM),
        (Caller::User, ROLE),
        (Caller::Root, OVERLAY),
        (Caller::User, OVERLAY),
        (Caller::Root, READ_ONLY),
        (Caller::User, READ_ONLY),
        (Caller::Root, STANDARD),
        (Caller::User, STANDARD),
        (Caller::User, LIMITED),
    ];
    let deep = if depth == Depth::Reduced { &[][..] } else { &deep };
    for (caller, scenario) in always.into_iter().chain(deep.iter().copied()) {
        let name = format!("faults::{} as {caller:?}", scenario.name);
        trials.push(match &no_groups {
            Some(why) if scenario.name == LIMITED.name => skipped(name, "cgroup", why.to_string()),
            _ => trial(name, &needs, move || sweep::sweep(caller, &scenario, depth)),
        });
    }
    let killed =
        [(Caller::Root, PROGRAM), (Caller::User, ROLE), (Caller::User, LITE), (Caller::Root, LIMITED)];
    for (caller, scenario) in killed {
        let name = format!("kills::at_calls {} as {caller:?}", scenario.name);
        if let Some(why) = no_groups.as_ref().filter(|_| scenario.name == LIMITED.name) {
            trials.push(skipped(name, "cgroup", why.to_string()));
            continue;
        }
        trials.push(trial(name, &needs, move || kills::at_calls(caller, &scenario, depth)));
        // Of limited ones tests/limits kills callers and cleaners.
        if scenario.name == LIMITED.name {
            continue;
        }
        let name = format!("kills::at_random_times {} as {caller:?}", scenario.name);
        let rounds = if depth == Depth::Reduced { 34 } else { 1000 };
        trials.push(trial(name, &needs, move || kills::at_random(caller, &scenario, rounds)));
    }
    for (caller, scenario) in pressure::SCENARIOS {
        let mut add = |what: &str, check: Box<dyn FnOnce() -> Result<(), libtest_mimic::Failed> + Send>| {
            let name = format!("pressure::{what} {} as {caller:?}", scenario.name);
            trials.push(trial(name, &needs, check));
        };
        add("stopped_caller", Box::new(move || pressure::stopped_caller(caller, &scenario)));
        add("stopped_init", Box::new(move || pressure::stopped_init(caller, &scenario)));
        add(
            "stopped_init_without_caller",
            Box::new(move || pressure::stopped_init_without_caller(caller, &scenario)),
        );
        add("closed_streams", Box::new(move || pressure::closed_streams(caller, &scenario)));
        let step = if depth == Depth::Full { 1 } else { 7 };
        let nothing: &[&str] = &["--output-limit", "unlimited"];
        add("full_pipe", Box::new(move || pressure::full_pipe(caller, &scenario, nothing)));
        add(
            "full_pipe_of_a_relay",
            Box::new(move || pressure::full_pipe(caller, &scenario, &["--output-limit", "1GiB"])),
        );
        let (files, processes) = (libc::RLIMIT_NOFILE, libc::RLIMIT_NPROC);
        add(
            "few_descriptors",
            Box::new(move || pressure::few(caller, &scenario, files, (3..45).step_by(step))),
        );
        // Root is not held to it.
        if caller == Caller::User {
            add(
                "few_processes",
                Box::new(move || pressure::few(caller, &scenario, processes, (0..16).step_by(step))),
            );
        }
        if scenario.name == scenario::BARE.name {
            add("full_pipe_and_term", Box::new(move || pressure::full_pipe_and_term(caller)));
        }
        if caller == Caller::Root {
            add("shared_mounts", Box::new(pressure::shared_mounts));
            add("full_disk", Box::new(pressure::full_disk));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

#[cfg(not(target_arch = "x86_64"))]
fn harness() -> ExitCode {
    println!("faults: not on this architecture");
    ExitCode::SUCCESS
}
