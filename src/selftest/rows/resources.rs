//! Resources and life cycle (R).

use std::os::unix::fs::FileExt as _;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::kernel::{also, fresh, probe};
use crate::selftest::answer::{call, errno_of, in_child, is_init};
use crate::selftest::row::{ALL, NAMESPACED, OTHER_ID, nothing, without_scopes};
use crate::selftest::setup::Run;
use crate::selftest::victim::victim;
use crate::selftest::{Answer, Claim, Removal, Row, SelfTestError, Setup};

/// What only a control group can hold.
const ASKED_FOR: &str =
    "held by a control group where asked for (--memory, --pids); no profile that ships asks";

pub(super) const ROWS: &[Row] = &[
    Row::open("R1", "more processes than the host bears", "fork(2)", ASKED_FOR),
    Row::open("R2", "more memory than the host has", "cgroups(7)", ASKED_FOR),
    Row::tests(
        "R5",
        "more output than the caller bears",
        "write(2)",
        &["tests/escape/lifecycle.rs: output_is_not_kept_in_memory"],
    ),
    Row::tests(
        "R6",
        "processes that end and that no parent waits for",
        "wait(2)",
        &["tests/escape/lifecycle.rs: orphans_are_reaped"],
    ),
    probe(
        "R8a",
        "the sandbox's init killed from inside",
        "pid_namespaces(7)",
        |scene| {
            if let Some(answer) = is_init(scene) {
                return answer;
            }
            let target = if scene.stage() == "control" { scene.number("pid") } else { 1 };
            let killed = call!(libc::SYS_kill, target, libc::SIGKILL).and_then(|_| {
                std::thread::sleep(std::time::Duration::from_millis(50));
                // A victim that is not yet waited for is a zombie; init that is killed takes this process
                // with it.
                let stat = std::fs::read_to_string(format!("/proc/{target}/stat")).unwrap_or_default();
                if stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z")) {
                    Err(nix::errno::Errno::EPERM)
                } else {
                    Ok(0)
                }
            });
            Answer::of("kill(init, SIGKILL)", killed.map(drop))
        },
        victim,
        &[Claim {
            profiles: NAMESPACED,
            walls: &["namespaces: pid: its init ignores what comes from inside"],
            removal: Removal::Fixed("every profile with namespaces has one"),
        }],
    ),
    Row::tests(
        "R8b",
        "everything killed at once: kill(-1)",
        "kill(2)",
        &["tests/escape/lifecycle.rs: killing_everything_ends_the_run"],
    ),
    probe(
        "R9",
        "signals to processes outside",
        "kill(2), landlock(7)",
        // The null signal asks for the permission.
        |scene| Answer::of("kill(victim, 0)", call!(libc::SYS_kill, scene.number("pid"), 0).map(drop)),
        victim,
        &[
            Claim {
                profiles: NAMESPACED,
                walls: &["namespaces: pid"],
                removal: Removal::Fixed("every profile with namespaces has one"),
            },
            Claim {
                profiles: &["lite"],
                walls: &["landlock.scopes: signal", "landlock: init's domain, which the task is in"],
                removal: Removal::UserOnly(&Removal::Plan(&[], without_scopes), OTHER_ID),
            },
        ],
    ),
    Row::tests(
        "R10",
        "processes that outlive a caller that is killed",
        "PR_SET_PDEATHSIG(2const), bubblewrap#726",
        &["tests/end_to_end/leftovers.rs: killed", "tests/escape/lifecycle.rs: undone_ties_hold_nobody_back"],
    ),
    Row::tests(
        "R11",
        "a limit held up by stopping the task or the caller",
        "SIGSTOP, signal(7)",
        &[
            "tests/escape/lifecycle.rs: stopped_tasks_are_ended",
            "tests/escape/lifecycle.rs: a_stopped_caller_gives_no_time",
        ],
    ),
    Row::tests(
        "R12",
        "a limit escaped by a daemon",
        "daemon(3)",
        &["tests/escape/lifecycle.rs: daemons_end_with_the_limit"],
    ),
    Row::tests(
        "R14",
        "sleeping for ever",
        "pause(2)",
        &["tests/cli/main.rs: limits_end_the_program_and_one_line_says_which"],
    ),
    Row::tests(
        "R15",
        "another process killed under a number that was used again",
        "pidfd_open(2)",
        &[
            "tests/reexec/death.rs: when_the_parent_is_killed",
            "tests/end_to_end/library.rs: kill_and_try_wait",
        ],
    ),
    Row::tests(
        "R16",
        "a forged status",
        "write(2)",
        &["tests/escape/lifecycle.rs: a_status_cannot_be_forged"],
    ),
    Row::tests(
        "R17",
        "streams closed early, or never read",
        "pipe(7)",
        &["tests/escape/lifecycle.rs: closed_streams_hold_nobody_up"],
    ),
    probe(
        "R18a",
        "more of the processors than others: real time",
        "sched(7)",
        |scene| {
            let priority = 1_i32;
            let set = in_child(|| {
                call!(libc::SYS_sched_setscheduler, 0, libc::SCHED_FIFO, &raw const priority).map(drop)
            });
            also(scene, Answer::of("sched_setscheduler(SCHED_FIFO, 1)", set))
        },
        |setup| raise(setup, Resource::RLIMIT_RTPRIO, 1),
        &[
            Claim {
                profiles: &["strict", "nested"],
                walls: &["seccomp", "process.rlimits.rtprio=0"],
                removal: Removal::Set(&["seccomp.mode=off", "process.rlimits.rtprio=1"]),
            },
            Claim {
                profiles: &["standard", "build", "network", "container"],
                walls: &["process.rlimits.rtprio=0"],
                removal: Removal::Set(&["process.rlimits.rtprio=1"]),
            },
        ],
    ),
    probe(
        "R18b",
        "more of the processors than others: niceness below 0",
        "setpriority(2)",
        |scene| {
            let set = in_child(|| call!(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, -5).map(drop));
            also(scene, Answer::of("setpriority(-5)", set))
        },
        |setup| raise(setup, Resource::RLIMIT_NICE, 25),
        &[Claim {
            profiles: NAMESPACED,
            walls: &["process.rlimits.nice=0"],
            removal: Removal::Set(&["process.rlimits.nice=25"]),
        }],
    ),
    probe(
        "R18c",
        "never chosen when memory runs out: oom_score_adj",
        "proc_pid_oom_score_adj(5)",
        |_| {
            let set = in_child(|| {
                std::fs::File::options()
                    .write(true)
                    .open("/proc/self/oom_score_adj")
                    .and_then(|file| file.write_at(b"-1000", 0))
                    .map(drop)
                    .map_err(|error| errno_of(&error))
            });
            Answer::of("write(oom_score_adj, -1000)", set)
        },
        nothing,
        &[Claim {
            profiles: ALL,
            walls: &["no CAP_SYS_RESOURCE of the host's"],
            removal: Removal::Fixed("no user namespace gives it"),
        }],
    ),
    Row::tests(
        "R20",
        "the host's log flooded by calls that are logged",
        "seccomp(2), SECCOMP_RET_LOG",
        &["tests/golden.rs: filters_are_the_ones_that_were_read"],
    ),
    Row::tests(
        "R21",
        "a child that is stopped by a tracer",
        "ptrace(2)",
        &["tests/escape/lifecycle.rs: stopped_tasks_are_ended"],
    ),
    Row::tests(
        "R22",
        "arguments and variables without end",
        "execve(2)",
        &["tests/cli/main.rs: a_megabyte_of_arguments_reaches_the_program_or_is_refused"],
    ),
    Row::tests(
        "R23",
        "what is left behind, run after run",
        "umount(2)",
        &["tests/end_to_end/leftovers.rs: in_a_row", "tests/cli/leftovers.rs: nothing_is_left_behind"],
    ),
    Row::tests(
        "R24",
        "a time limit that the task asks to extend: NOTIFY_SOCKET",
        "systemd.service(5), RuntimeMaxSec",
        &[
            "tests/cli/main.rs: only_the_environment_that_is_named_goes_in",
            "tests/end_to_end/isolation.rs: environment",
        ],
    ),
    fresh(
        "R25",
        "a task that is its namespace's init, and deaf to its own signals",
        "pid_namespaces(7)",
        |_| {
            let pid = nix::unistd::getpid();
            let tried = format!("getpid: {pid}");
            if pid.as_raw() == 1 { Answer::allowed(tried) } else { Answer::blocked(tried) }
        },
        &[Claim {
            profiles: NAMESPACED,
            walls: &["an init of belljar's"],
            removal: Removal::Fixed("there always is one"),
        }],
    ),
];

/// The caller's own limit, while the walls are removed: a profile cannot give more than its caller has. Only
/// the host's root may raise it; others cannot make the attack outside either.
fn raise(setup: &mut Setup, resource: Resource, value: u64) -> Result<(), SelfTestError> {
    if setup.run != Run::Mutation {
        return Ok(());
    }
    let fail = || SelfTestError::errno("raise a limit");
    let (soft, hard) = getrlimit(resource).map_err(fail())?;
    if hard >= value {
        return Ok(());
    }
    match setrlimit(resource, soft, value) {
        Err(nix::errno::Errno::EPERM) => {
            setup.value("also", format!("{resource:?} of the caller's own cannot be raised"));
            return Ok(());
        }
        raised => raised.map_err(fail())?,
    }
    setup.keep(Raised { resource, soft, hard });
    Ok(())
}

/// Puts the limit back.
struct Raised {
    resource: Resource,
    soft: u64,
    hard: u64,
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Err(errno) = setrlimit(self.resource, self.soft, self.hard) {
            log::warn!("cannot put {:?} back to {}: {errno}", self.resource, self.hard);
        }
    }
}
