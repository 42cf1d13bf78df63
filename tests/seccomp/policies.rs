//! Every composed policy, executed: each system call × interesting arguments × architectures, against a
//! direct reading of the policy.

use std::collections::BTreeSet;

use super::by_policy::{assert_same, composed, constant_by_policy};
use super::oracle::assert_agree;
use belljar::internals::seccomp::{Action, Arch, Data, Policy, Unknown, compile, groups, names};

#[test]
fn composed_policies_do_what_they_say() {
    for (name, policy) in composed() {
        for &arch in Arch::ALL {
            let compiled = compile(&policy, arch, Unknown::Refuse).unwrap();
            compiled.program.validate().unwrap();
            assert!(compiled.skipped.is_empty());
            let checked = assert_same(&policy, &compiled.program, arch);
            assert!(checked > 5_000, "{name} on {arch}: only {checked} calls");
        }
    }
}

/// Every built-in filter, compiled by seccompiler, too.
#[test]
fn both_compilers_agree() {
    for name in belljar::internals::profile::builtin_names() {
        let policy = belljar::internals::profile::Profile::load(name).unwrap().seccomp.unwrap();
        for &arch in Arch::ALL {
            let program = compile(&policy, arch, Unknown::Skip).unwrap().program;
            let (told, compared) = assert_agree(&policy, &program, arch);
            let all: BTreeSet<u32> = (0..600).collect();
            let untold: Vec<_> =
                all.difference(&told).filter_map(|&number| names::name(number, arch)).collect();
            println!(
                "{name} on {arch}: {compared} calls compared; not to be told with two actions: {untold:?}"
            );
            assert!(compared > 20_000 && untold.is_empty(), "{name} on {arch}: {compared}, {untold:?}");
        }
    }
}

/// The kernel's bitmap takes exactly the calls whose verdict has no conditions.
#[test]
fn constant_verdicts_load_no_arguments() {
    for (name, policy) in composed() {
        for &arch in Arch::ALL {
            let program = compile(&policy, arch, Unknown::Refuse).unwrap().program;
            let mut conditional = 0;
            for number in 0..600 {
                match constant_by_policy(&policy, number, arch) {
                    Some(action) => {
                        assert_eq!(
                            program.constant(number, arch),
                            Some(action.to_return()),
                            "{name}: {number}"
                        );
                    }
                    None => conditional += 1,
                }
            }
            assert!((5..=32).contains(&conditional), "{name} on {arch}: {conditional} calls with conditions");
        }
    }
}

#[test]
fn composed_policies_are_short() {
    for (name, policy) in composed() {
        for &arch in Arch::ALL {
            let length = compile(&policy, arch, Unknown::Refuse).unwrap().program.instructions.len();
            println!("{name} on {arch}: {length} instructions");
            // Most of it are modes, sockets and ioctl; the way to most verdicts is 8 to 12 steps.
            assert!(length <= 440, "{name} on {arch}: {length} instructions");
        }
    }
}

/// What must never be reached, by name: a change of the groups cannot open it unnoticed.
#[test]
fn never_allowed() {
    let never = [
        "acct",
        "add_key",
        "adjtimex",
        "bpf",
        "clock_adjtime",
        "clock_settime",
        "clone3",
        "create_module",
        "delete_module",
        "fanotify_init",
        "fanotify_mark",
        "finit_module",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "init_module",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "ioperm",
        "iopl",
        "kcmp",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "listns",
        "lookup_dcookie",
        "mbind",
        "migrate_pages",
        "modify_ldt",
        "mount",
        "mount_setattr",
        "move_mount",
        "move_pages",
        "nfsservctl",
        "open_by_handle_at",
        "open_tree",
        "open_tree_attr",
        "perf_event_open",
        "pidfd_getfd",
        "pivot_root",
        "process_madvise",
        "quotactl",
        "quotactl_fd",
        "reboot",
        "request_key",
        "set_mempolicy",
        "set_mempolicy_home_node",
        "setdomainname",
        "sethostname",
        "setns",
        "settimeofday",
        "swapoff",
        "swapon",
        "sysfs",
        "syslog",
        "umount2",
        "uselib",
        "userfaultfd",
        "ustat",
        "vhangup",
    ];
    let strict = [
        "chroot",
        "inotify_init1",
        "io_setup",
        "mincore",
        "mq_open",
        "msgget",
        "name_to_handle_at",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "remap_file_pages",
        "semget",
        "setgroups",
        "shmget",
        "sync",
        "syncfs",
        "unshare",
        "vmsplice",
        "cachestat",
    ];
    for (name, policy) in composed() {
        for &arch in Arch::ALL {
            let program = compile(&policy, arch, Unknown::Refuse).unwrap().program;
            let more: &[&str] = if name == "@belljar-strict" { &strict } else { &[] };
            for call in never.iter().chain(more) {
                if let names::Known::Here(number) = names::lookup(call, arch) {
                    let answer = program.constant(number, arch).map(Action::from_return);
                    assert!(matches!(answer, Some(Action::Errno(_))), "{name} on {arch}: {call}: {answer:?}");
                }
            }
        }
    }
}

/// What ordinary programs cannot do without, with any arguments.
#[test]
fn always_allowed() {
    let always = [
        "access",
        "arch_prctl",
        "brk",
        "chdir",
        "close",
        "close_range",
        "dup2",
        "epoll_wait",
        "execve",
        "exit_group",
        "faccessat2",
        "fork",
        "futex",
        "getcwd",
        "getdents64",
        "getrandom",
        "kill",
        "lseek",
        "madvise",
        "mprotect",
        "newfstatat",
        "pidfd_open",
        "pipe2",
        "poll",
        "pselect6",
        "read",
        "readlink",
        "rename",
        "rseq",
        "rt_sigaction",
        "rt_sigreturn",
        "rt_sigprocmask",
        "sched_getaffinity",
        "sendfile",
        "set_robust_list",
        "setpgid",
        "setsid",
        "setuid",
        "sigaltstack",
        "statx",
        "sysinfo",
        "timer_create",
        "umask",
        "uname",
        "unlink",
        "utimensat",
        "vfork",
        "wait4",
        "write",
    ];
    for (name, policy) in composed() {
        for &arch in Arch::ALL {
            let program = compile(&policy, arch, Unknown::Refuse).unwrap().program;
            for call in always {
                if let names::Known::Here(number) = names::lookup(call, arch) {
                    assert_eq!(program.constant(number, arch), Some(0x7fff_0000), "{name} on {arch}: {call}");
                }
            }
        }
    }
}

fn answer(policy: &Policy, call: &str, args: [u64; 6]) -> Action {
    let arch = Arch::X86_64;
    let names::Known::Here(number) = names::lookup(call, arch) else { panic!("{call}") };
    let program = compile(policy, arch, Unknown::Refuse).unwrap().program;
    Action::from_return(program.evaluate(&Data::new(number, arch, args)).unwrap())
}

/// The upper half of an `int` is garbage that the kernel ignores: it changes no verdict.
#[test]
fn upper_halves_change_nothing() {
    let high = 0xdead_beef_0000_0000;
    for (name, policy) in composed() {
        let errno = |call, args, errno| {
            assert_eq!(answer(&policy, call, args), Action::Errno(errno), "{name}: {call} {args:?}");
        };
        let allow =
            |call, args| assert_eq!(answer(&policy, call, args), Action::Allow, "{name}: {call} {args:?}");
        for up in [0, high] {
            for request in [0x5412, 0x541c, 0x5423] {
                errno("ioctl", [0, request | up, 0, 0, 0, 0], 1);
            }
            allow("ioctl", [0, 0x5401 | up, 0, 0, 0, 0]);
            allow("clone", [0x0120_0011 | up, 0, 0, 0, 0, 0]);
            for shift in [17, 25, 26, 27, 28, 29, 30] {
                errno("clone", [(1 << shift) | 17 | up, 0, 0, 0, 0, 0], 1);
            }
            errno("clone3", [up, 88, 0, 0, 0, 0], 38);
            allow("socket", [1 | up, 1, 0, 0, 0, 0]);
            for family in (0..64).filter(|family| ![1, 2, 10, 16].contains(family)) {
                errno("socket", [family | up, 1, 0, 0, 0, 0], 97);
                errno("socketpair", [family | up, 1, 0, 0, 0, 0], 97);
            }
            // Netlink: routes at most; MPTCP, SCTP, DCCP, L2TP: never.
            for protocol in 1..32 {
                errno("socket", [16 | up, 3, protocol | up, 0, 0, 0], 97);
            }
            for protocol in [262, 132, 33, 115, 255] {
                let refused = if name == "@belljar-strict" { 97 } else { 93 };
                errno("socket", [2 | up, 1, protocol | up, 0, 0, 0], refused);
            }
            errno("fcntl", [3, 1024 | up, 1, 0, 0, 0], 1);
            errno("prctl", [35 | up, 0, 0, 0, 0, 0], 1);
            if name == "@belljar-build" {
                allow("personality", [0x0004_0008 | up, 0, 0, 0, 0, 0]);
            } else {
                errno("personality", [0x0004_0000 | up, 0, 0, 0, 0, 0], 1);
            }
            errno("personality", [0x0040_0000 | up, 0, 0, 0, 0, 0], 1);
            allow("personality", [0xffff_ffff | up, 0, 0, 0, 0, 0]);
            if name != "@belljar-container" {
                errno("mknodat", [0, 0, 0x2000 | up, 0, 0, 0], 1);
                errno("mknod", [0, 0x61b6 | up, 0, 0, 0, 0], 1);
            }
            allow("mknodat", [0, 0, 0x11b6 | up, 0, 0, 0]);
        }
    }
}

/// What Landlock has no right for, and what a pid namespace would have kept apart: the built-in profile
/// without either.
#[test]
fn lite_touches_nothing_of_the_callers() {
    let policy = belljar::internals::profile::Profile::load("lite").unwrap().seccomp.unwrap();
    let path = 0x7fff_0000_1000;
    let high = 0xdead_beef_0000_0000;
    for call in
        ["chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchownat", "lchown", "fchown", "setxattr"]
    {
        assert_eq!(answer(&policy, call, [0, path, 0, 0, 0, 0]), Action::Errno(1), "{call}");
    }
    for call in ["setxattrat", "fsetxattr", "removexattr", "file_setattr", "utime", "utimes", "futimesat"] {
        assert_eq!(answer(&policy, call, [0, path, 0, 0, 0, 0]), Action::Errno(1), "{call}");
    }
    let refused = [
        ("utimensat", [3, path, 0, 0, 0, 0]),
        // A pointer counts whole: its lower half may be zero.
        ("utimensat", [3, 1 << 32, 0, 0, 0, 0]),
        ("prlimit64", [1, 0, path, 0, 0, 0]),
        ("prlimit64", [1, 0, 1 << 32, 0, 0, 0]),
        ("sched_setaffinity", [1, 8, path, 0, 0, 0]),
        ("setpriority", [0, 1, 19, 0, 0, 0]),
        // PRIO_PGRP and PRIO_USER
        ("setpriority", [1, 0, 19, 0, 0, 0]),
        ("setpriority", [2, 0, 19, 0, 0, 0]),
    ];
    for (call, args) in refused {
        assert_eq!(answer(&policy, call, args), Action::Errno(1), "{call} {args:x?}");
    }
    let allowed = [
        ("utimensat", [3, 0, path, 0, 0, 0]),
        ("prlimit64", [high, 0, path, path, 0, 0]),
        ("prlimit64", [1, 0, 0, path, 0, 0]),
        ("sched_setaffinity", [high, 8, path, 0, 0, 0]),
        ("setpriority", [high, high, 19, 0, 0, 0]),
    ];
    for (call, args) in allowed {
        assert_eq!(answer(&policy, call, args), Action::Allow, "{call} {args:x?}");
    }
}

/// CVE-2025-38236: out-of-band data on unix sockets, by every way to send.
#[test]
fn strict_sends_nothing_out_of_band() {
    for (name, policy) in composed() {
        let expected = if name == "@belljar-strict" { Action::Errno(95) } else { Action::Allow };
        for flags in [1, 0x4001, 1 | 1 << 40] {
            assert_eq!(answer(&policy, "sendto", [3, 0, 0, flags, 0, 0]), expected, "{name}");
            assert_eq!(answer(&policy, "sendmsg", [3, 0, flags, 0, 0, 0]), expected, "{name}");
            assert_eq!(answer(&policy, "sendmmsg", [3, 0, 1, flags, 0, 0]), expected, "{name}");
        }
        // MSG_NOSIGNAL, MSG_DONTWAIT
        assert_eq!(answer(&policy, "sendto", [3, 0, 0, 0x4040, 0, 0]), Action::Allow, "{name}");
        assert_eq!(answer(&policy, "sendmsg", [3, 0, 0x4040, 0, 0, 0]), Action::Allow, "{name}");
    }
}

#[test]
fn networks_differ() {
    for (name, policy) in composed() {
        for (family, protocol) in [(2, 0), (2, 6), (10, 17), (10, 58), (2, 1), (16, 0)] {
            let expected = if name == "@belljar-strict" { Action::Errno(97) } else { Action::Allow };
            assert_eq!(
                answer(&policy, "socket", [family, 2, protocol, 0, 0, 0]),
                expected,
                "{name}: {family}"
            );
        }
    }
}

#[test]
fn foreign_calls_kill() {
    for (name, policy) in composed() {
        let program = compile(&policy, Arch::X86_64, Unknown::Refuse).unwrap().program;
        let kill = Action::KillProcess.to_return();
        for nr in [0, 1, 39, 0x4000_0000, 0x4000_0000 | 512, 0xffff_ffff] {
            // i386, and 32-bit Arm.
            for arch in [0x4000_0003, 0x4000_0028, Arch::Aarch64.audit(), 0] {
                let data = Data { nr, arch, ip: 0, args: [0; 6] };
                assert_eq!(program.evaluate(&data), Ok(kill), "{name}");
            }
            if nr >= 0x4000_0000 && nr != u32::MAX {
                assert_eq!(
                    program.evaluate(&Data::new(nr, Arch::X86_64, [0; 6])),
                    Ok(kill),
                    "{name}: {nr:#x}"
                );
            }
        }
        // By which a tracer, outside, skips a call: no x32 call, as libseccomp has it.
        for &arch in Arch::ALL {
            let program = compile(&policy, arch, Unknown::Refuse).unwrap().program;
            let skipped = program.evaluate(&Data::new(u32::MAX, arch, [0; 6]));
            assert_eq!(skipped, Ok(policy.default.to_return()), "{name} on {arch}");
            if arch == Arch::X86_64 {
                assert_eq!(program.evaluate(&Data::new(u32::MAX - 1, arch, [0; 6])), Ok(kill), "{name}");
            }
        }
    }
}

/// What is newer than belljar, and what is known and refused.
#[test]
fn enosys_for_the_unknown() {
    let policy = Policy::new(Action::Errno(38))
        .with(groups::resolve(&["@belljar-strict"], Action::Allow, &[]).unwrap())
        .with(groups::resolve(&["@known"], Action::Errno(1), &[]).unwrap());
    for &arch in Arch::ALL {
        let program = compile(&policy, arch, Unknown::Refuse).unwrap().program;
        assert!(program.instructions.len() <= 400, "{}", program.instructions.len());
        let names::Known::Here(mount) = names::lookup("mount", arch) else { panic!() };
        assert_eq!(program.constant(mount, arch), Some(Action::Errno(1).to_return()));
        assert_eq!(program.constant(499, arch), Some(Action::Errno(38).to_return()));
        assert_same(&policy, &program, arch);
    }
}
