//! The filters of the built-in profiles, call by call, against files that a person has read.
//!
//! `tests/golden/PROFILE.ARCH.txt` has every number from 0 to the end of the architecture's table: its name,
//! the verdict for arguments that are all zero, and, where the arguments decide, the verdict for the smallest
//! arguments of each rule. The files are written anew with `BELLJAR_WRITE_GOLDEN=1 cargo test --test golden`;
//! read the difference before it is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use belljar::internals::profile::{Profile, builtin_names};
use belljar::internals::seccomp::{
    Action, Arch, Condition, Data, Op, Policy, Program, Unknown, compile, names,
};
use nix::errno::Errno;

const WRITE: &str = "BELLJAR_WRITE_GOLDEN";
/// `AUDIT_ARCH_I386` and `AUDIT_ARCH_ARM`: the 32-bit cgroup_procs_fds of the two architectures.
const I386: u32 = 0x4000_0003;
const ARM: u32 = 0x4000_0028;
/// `__X32_SYSCALL_BIT`
const X32: u32 = 0x4000_0000;

#[test]
fn filters_are_the_ones_that_were_read() {
    let write = std::env::var_os(WRITE).is_some();
    let mut differing = Vec::new();
    let mut expected_files = BTreeSet::new();
    for profile in builtin_names() {
        let policy = Profile::load(profile).expect("a built-in profile").seccomp.expect("a filter");
        for &arch in Arch::ALL {
            let file = directory().join(format!("{profile}.{arch}.txt"));
            let text = table(&policy, arch);
            if write {
                std::fs::write(&file, &text).expect("to write the golden file");
            } else if let Some(difference) = difference(&file, &text) {
                differing.push(difference);
            }
            expected_files.insert(file);
        }
    }
    let files: BTreeSet<_> = std::fs::read_dir(directory())
        .expect("the directory")
        .map(|entry| entry.expect("a file").path())
        .collect();
    assert_eq!(files, expected_files, "a golden file without a profile, or the reverse");
    assert!(
        differing.is_empty(),
        "the built-in filters changed; if that is meant, write the files with {WRITE}=1 and read their difference:\n{}",
        differing.join("\n")
    );
}

/// Calls that only x86_64 has and that ask for what another does, which both have: the verdict is that of the
/// other, with arguments that ask for the same.
const OLD: [(&str, &str, [u64; 6]); 35] = [
    ("access", "faccessat", [0; 6]),
    ("alarm", "setitimer", [0; 6]),
    ("chmod", "fchmodat", [0; 6]),
    ("chown", "fchownat", [0; 6]),
    ("creat", "openat", [0; 6]),
    ("dup2", "dup3", [0; 6]),
    ("epoll_create", "epoll_create1", [0; 6]),
    ("epoll_wait", "epoll_pwait", [0; 6]),
    ("eventfd", "eventfd2", [0; 6]),
    ("fork", "clone", [0; 6]),
    ("futimesat", "utimensat", BY_PATH),
    ("getdents", "getdents64", [0; 6]),
    ("getpgrp", "getpgid", [0; 6]),
    ("inotify_init", "inotify_init1", [0; 6]),
    ("lchown", "fchownat", [0; 6]),
    ("link", "linkat", [0; 6]),
    ("lstat", "newfstatat", [0; 6]),
    ("mkdir", "mkdirat", [0; 6]),
    // Its devices are at another place of the arguments: see the golden files.
    ("mknod", "mknodat", [0; 6]),
    ("open", "openat", [0; 6]),
    ("pause", "rt_sigsuspend", [0; 6]),
    ("pipe", "pipe2", [0; 6]),
    ("poll", "ppoll", [0; 6]),
    ("readlink", "readlinkat", [0; 6]),
    ("rename", "renameat", [0; 6]),
    ("rmdir", "unlinkat", [0; 6]),
    ("select", "pselect6", [0; 6]),
    ("signalfd", "signalfd4", [0; 6]),
    ("stat", "newfstatat", [0; 6]),
    ("symlink", "symlinkat", [0; 6]),
    ("time", "gettimeofday", [0; 6]),
    ("unlink", "unlinkat", [0; 6]),
    ("utime", "utimensat", BY_PATH),
    ("utimes", "utimensat", BY_PATH),
    // CLONE_VM | CLONE_VFORK
    ("vfork", "clone", [0x4100, 0, 0, 0, 0, 0]),
];
const BY_PATH: [u64; 6] = [0, 1, 0, 0, 0, 0];
/// Other calls that only x86_64 has, of which no profile has any: the hardware's cgroup_procs_fds, and what
/// is no longer or never was built into a kernel.
const REFUSED: [&str; 20] = [
    "_sysctl",
    "afs_syscall",
    "create_module",
    "epoll_ctl_old",
    "epoll_wait_old",
    "get_kernel_syms",
    "get_thread_area",
    "getpmsg",
    "ioperm",
    "iopl",
    "modify_ldt",
    "putpmsg",
    "query_module",
    "security",
    "set_thread_area",
    "sysfs",
    "tuxcall",
    "uselib",
    "ustat",
    "vserver",
];
/// And those that all have: the own thread's registers and shadow stack, and the calls that the kernel's
/// probes put into a program (from anywhere else they fail).
const ALLOWED: [&str; 3] = ["arch_prctl", "uprobe", "uretprobe"];

#[test]
fn both_architectures_judge_a_call_alike() {
    for profile in builtin_names() {
        let policy = Profile::load(profile).expect("a built-in profile").seccomp.expect("a filter");
        let (x86_64, aarch64) = (calls(&table(&policy, Arch::X86_64)), calls(&table(&policy, Arch::Aarch64)));
        for (name, lines) in &aarch64 {
            // aarch64 has no call of its own.
            assert_eq!(Some(lines), x86_64.get(name), "{profile}: {name}");
        }
        let only: BTreeSet<_> = x86_64.keys().filter(|name| !aarch64.contains_key(*name)).collect();
        let listed: BTreeSet<_> =
            OLD.iter().map(|(name, ..)| *name).chain(REFUSED).chain(ALLOWED).map(str::to_owned).collect();
        assert_eq!(only, listed.iter().collect(), "{profile}: the calls of x86_64 alone");

        let program = compile(&policy, Arch::X86_64, Unknown::Skip).expect("a program").program;
        let judge = |name: &str, args| {
            let names::Known::Here(number) = names::lookup(name, Arch::X86_64) else { panic!("{name}") };
            verdict(&program, &Data::new(number, Arch::X86_64, args))
        };
        for (name, other, args) in OLD {
            assert_eq!(judge(name, [0; 6]), judge(other, args), "{profile}: {name} and {other}");
        }
        for name in REFUSED {
            assert_eq!(judge(name, [0; 6]), "EPERM", "{profile}: {name}");
        }
        for name in ALLOWED {
            assert_eq!(judge(name, [0; 6]), "allow", "{profile}: {name}");
        }
    }
}

/// The lines about each call of a table, without its number.
fn calls(table: &str) -> BTreeMap<String, Vec<String>> {
    let mut calls = BTreeMap::<String, Vec<String>>::new();
    let mut current = String::new();
    for line in table.lines() {
        let mut words = line.split_whitespace();
        match (words.next().map(str::parse::<u32>), words.next()) {
            (Some(Ok(_)), Some("to")) => current.clear(),
            (Some(Ok(_)), Some(name)) => {
                current = name.to_owned();
                calls.insert(current.clone(), vec![words.collect::<Vec<_>>().join(" ")]);
            }
            _ if line.starts_with("   ") => {
                calls.get_mut(&current).expect("a call").push(line.trim().to_owned());
            }
            _ => {}
        }
    }
    calls
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The lines that are not the same, if any.
fn difference(file: &Path, text: &str) -> Option<String> {
    let golden = std::fs::read_to_string(file).unwrap_or_default();
    if golden == text {
        return None;
    }
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (golden.lines().collect(), text.lines().collect());
    let mut report = format!("{}:", file.display());
    for line in old.difference(&new) {
        write!(report, "\n  - {line}").expect("text");
    }
    for line in new.difference(&old) {
        write!(report, "\n  + {line}").expect("text");
    }
    Some(report)
}

fn table(policy: &Policy, arch: Arch) -> String {
    let program = compile(policy, arch, Unknown::Skip).expect("a program").program;
    let end = names::all(arch).map(|(_, number)| number).max().expect("a table");
    let mut text = format!("# Every system call of {arch}: number, name, verdict for zero arguments.\n");
    // One more than the table has: what the kernel may get tomorrow.
    let mut number = 0;
    while number <= end + 1 {
        let data = |args| Data::new(number, arch, args);
        let Some(name) = names::name(number, arch) else {
            let last = last_nameless(&program, number, end + 1, arch);
            writeln!(text, "{number:3} to {last}: no call: {}", verdict(&program, &data([0; 6])))
                .expect("text");
            number = last + 1;
            continue;
        };
        write!(text, "{number:3} {name:<24} {}", verdict(&program, &data([0; 6]))).expect("text");
        if program.constant(number, arch).is_some() {
            text.push('\n');
        } else {
            text.push_str(" (by arguments)\n");
            for args in arguments(policy, name) {
                let shown: Vec<_> = args.iter().map(|arg| format!("{arg:#x}")).collect();
                writeln!(text, "      {name}({}) {}", shown.join(", "), verdict(&program, &data(args)))
                    .expect("text");
            }
        }
        number += 1;
    }
    for (door, audit, number) in cgroup_procs_fds(arch) {
        let data = Data { nr: number, arch: audit, ip: 0, args: [0; 6] };
        writeln!(text, "{door}: {}", verdict(&program, &data)).expect("text");
    }
    text
}

/// The last number from here on that has no name and the same verdict with any arguments.
fn last_nameless(program: &Program, from: u32, end: u32, arch: Arch) -> u32 {
    let constant = program.constant(from, arch);
    assert!(constant.is_some(), "{from}: a call without a name, by its arguments");
    let same =
        |number: &u32| names::name(*number, arch).is_none() && program.constant(*number, arch) == constant;
    (from..=end).take_while(same).last().unwrap_or(from)
}

/// Calls that are not the architecture's own.
fn cgroup_procs_fds(arch: Arch) -> Vec<(&'static str, u32, u32)> {
    match arch {
        Arch::X86_64 => {
            vec![
                ("i386 getpid", I386, 20),
                ("i386 socketcall", I386, 102),
                ("x32 getpid", arch.audit(), X32 | 39),
                ("a call that a tracer skips", arch.audit(), u32::MAX),
            ]
        }
        _ => vec![("32-bit arm getpid", ARM, 20)],
    }
}

/// The smallest arguments that each rule about a call looks for, and those that a sceptic would try.
fn arguments(policy: &Policy, name: &str) -> Vec<[u64; 6]> {
    let about = policy.rules.iter().filter(|rule| rule.names.iter().any(|other| other == name));
    let looked_for = about.map(|rule| {
        let mut args = [0; 6];
        for Condition { index, op, value } in &rule.args {
            args[usize::from(*index)] = match op {
                Op::Eq | Op::MaskedEq(_) => *value,
                Op::Ne => *value + 1,
                _ => panic!("a comparison that this test has no arguments for: {op:?}"),
            };
        }
        args
    });
    let mut seen = BTreeSet::from([[0; 6]]);
    looked_for.chain(sceptical(name)).filter(|args| seen.insert(*args)).collect()
}

/// Arguments that no built-in profile should let through, for calls that some let through with others.
fn sceptical(name: &str) -> Vec<[u64; 6]> {
    // CLONE_NEWNS, …CGROUP, …UTS, …IPC, …USER, …PID, …NET
    let namespaces = [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
    let first = |values: &[u64]| values.iter().map(|&value| [value, 0, 0, 0, 0, 0]).collect();
    match name {
        "clone" => first(&namespaces),
        // CLONE_NEWTIME
        "unshare" => first(&[&namespaces[..], &[0x80]].concat()),
        "socket" => {
            // Every family, then protocols of AF_INET (SCTP, MPTCP, raw) and AF_NETLINK (audit, netfilter).
            let mut all: Vec<_> = (0..=46).map(|family| [family, 1, 0, 0, 0, 0]).collect();
            all.extend([132, 262, 255].map(|protocol| [2, 1, protocol, 0, 0, 0]));
            all.extend([9, 12].map(|protocol| [16, 3, protocol, 0, 0, 0]));
            all
        }
        // ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC
        "personality" => first(&[0x4_0000, 0x40_0000]),
        // Character and block devices.
        "mknod" => vec![[0, 0x2000, 0, 0, 0, 0], [0, 0x6000, 0, 0, 0, 0]],
        "mknodat" => vec![[0, 0, 0x2000, 0, 0, 0], [0, 0, 0x6000, 0, 0, 0]],
        // Another process, with new limits.
        "prlimit64" => vec![[1, 0, 1, 0, 0, 0]],
        "sched_setaffinity" => first(&[1]),
        // Another process; a user's.
        "setpriority" => vec![[0, 1, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0]],
        // By path.
        "utimensat" => vec![[0, 1, 0, 0, 0, 0]],
        _ => Vec::new(),
    }
}

fn verdict(program: &Program, data: &Data) -> String {
    match Action::from_return(program.evaluate(data).expect("a program that runs")) {
        Action::Allow => "allow".to_owned(),
        Action::Errno(0) => "done (without doing it)".to_owned(),
        Action::Errno(errno) => format!("{:?}", Errno::from_raw(errno.into())),
        Action::KillProcess => "kill".to_owned(),
        other => format!("{other:?}"),
    }
}
