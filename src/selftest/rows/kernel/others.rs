//! Other processes, outside: reading, tracing and changing them (K15 to K17, K31, K34).

use nix::errno::Errno;

use super::{in_child, probe};
use crate::selftest::answer::{call, errno_of, is_init};
use crate::selftest::row::{NAMESPACED, OTHER_ID, nothing, without_layers};
use crate::selftest::victim::victim;
use crate::selftest::{Answer, Claim, Removal, Row, Scene};

/// Held by the pid namespace alone, which no profile can do without, or by more on top.
const PIDS: Claim = Claim {
    profiles: NAMESPACED,
    walls: &["namespaces: pid, user"],
    removal: Removal::Fixed("every profile with namespaces has both"),
};

/// In *lite* by the filter, and by Landlock's domain.
const LITE: Claim = Claim {
    profiles: &["lite"],
    walls: &["seccomp", "landlock: its domain", "landlock: init's domain"],
    removal: Removal::UserOnly(&Removal::Plan(&[], without_layers), OTHER_ID),
};

/// In *lite* by the filter alone.
const LITE_FILTER: Claim = Claim {
    profiles: &["lite"],
    walls: &["seccomp"],
    removal: Removal::UserOnly(&super::NO_FILTER, OTHER_ID),
};

pub(super) const ROWS: &[Row] = &[
    probe(
        "K15a",
        "tracing a process outside",
        "ptrace(2)",
        |scene| {
            in_child("ptrace(PTRACE_SEIZE, victim)", &[], || {
                call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, scene.number("pid"), 0, 0).map(drop)
            })
        },
        victim,
        &[PIDS, LITE],
    ),
    probe(
        "K15b",
        "reading the memory of a process outside",
        "process_vm_readv(2)",
        |scene| {
            let mut byte = 0_u8;
            let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
            // Where no process has memory.
            let remote = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 1 };
            let result = call!(
                libc::SYS_process_vm_readv,
                scene.number("pid"),
                &raw const local,
                1,
                &raw const remote,
                1,
                0
            );
            Answer::of_reached("process_vm_readv(victim, 0)", result.map(drop), &[Errno::EFAULT])
        },
        victim,
        &[PIDS, LITE],
    ),
    probe(
        "K15c",
        "tracing a process of its own",
        "ptrace(2)",
        |_| {
            in_child("ptrace(PTRACE_TRACEME)", &[], || {
                call!(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0).map(drop)
            })
        },
        nothing,
        &[Claim {
            profiles: &["strict", "nested", "standard", "network", "lite"],
            walls: &["seccomp"],
            removal: super::NO_FILTER,
        }],
    ),
    probe(
        "K16",
        "stealing descriptors of a process outside",
        "pidfd_getfd(2)",
        |scene| {
            let steal = || {
                let pidfd = call!(libc::SYS_pidfd_open, scene.number("pid"), 0)?;
                call!(libc::SYS_pidfd_getfd, pidfd, 0, 0).map(drop)
            };
            Answer::of("pidfd_open(victim), pidfd_getfd(0)", steal())
        },
        victim,
        &[PIDS, LITE],
    ),
    probe(
        "K17",
        "kernel pointers compared: kcmp",
        "kcmp(2)",
        |_| {
            let own = std::process::id();
            Answer::of(
                "kcmp(self, self, KCMP_FILE, 0, 0)",
                call!(libc::SYS_kcmp, own, own, 0, 0, 0).map(drop),
            )
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K31",
        "the sandbox's own init: its memory, environment and descriptors",
        "CVE-2016-9962",
        init,
        victim,
        &[Claim {
            profiles: NAMESPACED,
            walls: &["init is not dumpable"],
            removal: Removal::Fixed("init always is not"),
        }],
    ),
    probe(
        "K34a",
        "limits of a process outside: RLIMIT_CPU kills",
        "prlimit(2)",
        |scene| {
            let mut old = [0_u64; 2];
            let pid = scene.number("pid");
            let own = |new: *const u64, old: *mut u64| {
                call!(libc::SYS_prlimit64, pid, libc::RLIMIT_NOFILE, new, old)
            };
            let change =
                own(std::ptr::null(), old.as_mut_ptr()).and_then(|_| own(old.as_ptr(), std::ptr::null_mut()));
            Answer::of("prlimit(victim): a limit set to what it is", change.map(drop))
        },
        victim,
        &[PIDS, LITE_FILTER],
    ),
    probe(
        "K34c",
        "limits, processors and niceness of the sandbox's init",
        "prlimit(2), setpriority(2)",
        |scene| {
            if let Some(answer) = is_init(scene) {
                return answer;
            }
            let pid = if scene.stage() == "control" { scene.number("pid") } else { 1 };
            let mut limit = [0_u64; 2];
            let set = call!(
                libc::SYS_prlimit64,
                pid,
                libc::RLIMIT_NOFILE,
                std::ptr::null::<u64>(),
                limit.as_mut_ptr()
            )
            .and_then(|_| {
                let none = std::ptr::null_mut::<u64>();
                call!(libc::SYS_prlimit64, pid, libc::RLIMIT_NOFILE, limit.as_ptr(), none)
            });
            let nice = call!(libc::SYS_getpriority, libc::PRIO_PROCESS, pid)
                .and_then(|nice| call!(libc::SYS_setpriority, libc::PRIO_PROCESS, pid, 20 - nice));
            Answer::any([
                Answer::of("prlimit(init): a limit set to what it is", set.map(drop)),
                Answer::of("setpriority(init): what it is", nice.map(drop)),
            ])
        },
        victim,
        &[Claim {
            profiles: NAMESPACED,
            walls: &["seccomp: @init-resources-keep"],
            removal: super::NO_FILTER,
        }],
    ),
    probe(
        "K34b",
        "processors and niceness of a process outside",
        "sched_setaffinity(2), setpriority(2)",
        |scene| {
            let pid = scene.number("pid");
            let mut processors = [0_u8; 128];
            let size = size_of_val(&processors);
            let set = call!(libc::SYS_sched_getaffinity, pid, size, processors.as_mut_ptr())
                .and_then(|_| call!(libc::SYS_sched_setaffinity, pid, size, processors.as_ptr()));
            // The kernel's answer is 20 - nice.
            let nice = call!(libc::SYS_getpriority, libc::PRIO_PROCESS, pid)
                .and_then(|nice| call!(libc::SYS_setpriority, libc::PRIO_PROCESS, pid, 20 - nice));
            Answer::any([
                Answer::of("sched_setaffinity(victim): what they are", set.map(drop)),
                Answer::of("setpriority(victim): what it is", nice.map(drop)),
            ])
        },
        victim,
        &[PIDS, LITE_FILTER],
    ),
];

/// Files of init's, or in the control of a process of the caller's; and a trace of it.
fn init(scene: &Scene) -> Answer {
    if let Some(answer) = is_init(scene) {
        return answer;
    }
    let pid = if scene.stage() == "control" { scene.number("pid") } else { 1 };
    let mem = format!("/proc/{pid}/mem");
    let opened = std::fs::File::open(&mem).map(drop);
    let mut answers = vec![Answer::of(mem, opened.map_err(|error| errno_of(&error)))];
    // Of these, the opening says nothing.
    for name in ["environ", "maps", "auxv", "stack", "syscall"] {
        let path = format!("/proc/{pid}/{name}");
        let answer = match std::fs::read(&path) {
            Ok(bytes) if bytes.is_empty() => Answer::blocked(path),
            read => Answer::of(path, read.map(drop).map_err(|error| errno_of(&error))),
        };
        answers.push(answer);
    }
    for name in ["fd/0", "exe", "cwd", "root"] {
        let path = format!("/proc/{pid}/{name}");
        let read = std::fs::read_link(&path).map(drop);
        answers.push(Answer::of(path, read.map_err(|error| errno_of(&error))));
    }
    answers.push(in_child("ptrace(PTRACE_SEIZE, init)", &[], || {
        call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0).map(drop)
    }));
    Answer::any(answers)
}
