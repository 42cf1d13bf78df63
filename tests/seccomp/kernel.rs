//! The compiled filters on the real kernel. Each check runs in a forked child that makes only raw system
//! calls.

use super::by_policy::composed;
use super::oracle::{OTHER, oracles};
use belljar::internals::seccomp::{
    Action, Arch, Condition, Data, Instruction, Op, Policy, Program, Rule, Unknown, compile, names,
};

/// How a child ended that loaded a filter and made one system call.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It succeeded.
    Returned,
    /// It failed with this errno.
    Failed(i32),
    /// The child was killed.
    Killed(i32),
    /// The filter was not taken, with this errno.
    NotLoaded(i32),
}

/// Exit codes of the child: 0, an errno, or this much more than an errno.
const LOAD_FAILED: i32 = 200;

fn errno() -> i32 {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() }
}

/// Loads a filter: returns 0 or an errno.
fn load(filter: &[Instruction]) -> i32 {
    let fprog = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut().cast::<libc::sock_filter>(),
    };
    // SAFETY: plain values, and a program that lives through the call; `Instruction` has `sock_filter`'s
    // layout.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return errno();
        }
        if libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const fprog) != 0 {
            return errno();
        }
    }
    0
}

/// Runs one call in a child, below a filter. The call returns what a libc wrapper would, with errno set.
fn below(filter: Option<&Program>, call: impl Fn() -> i64) -> Ended {
    // SAFETY: the child only makes system calls (no allocation, no lock) and ends with `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", errno());
    if pid == 0 {
        let failed = filter.map_or(0, |program| load(&program.instructions));
        let code = if failed != 0 {
            LOAD_FAILED + failed
        } else if call() < 0 {
            errno()
        } else {
            0
        };
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(code) }
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place to write to.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    if libc::WIFSIGNALED(status) {
        return Ended::Killed(libc::WTERMSIG(status));
    }
    match libc::WEXITSTATUS(status) {
        0 => Ended::Returned,
        code if code > LOAD_FAILED => Ended::NotLoaded(code - LOAD_FAILED),
        code => Ended::Failed(code),
    }
}

fn syscall(number: i64, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the arguments are plain values or null; what the kernel makes of them is the test.
    unsafe { libc::syscall(number as libc::c_long, a, b, c, d, e, f) }
}

fn number(call: &str) -> u32 {
    match names::lookup(call, Arch::NATIVE) {
        names::Known::Here(number) => number,
        other => panic!("{call} is {other:?}"),
    }
}

/// The kernel takes every composed policy, and gives the errno that the interpreter gives.
#[test]
fn samples_agree_with_the_kernel() {
    let high = 0xdead_beef_0000_0000_u64;
    let calls: &[(&str, [u64; 6])] = &[
        ("clone3", [0, 0, 0, 0, 0, 0]),
        ("ioctl", [u64::MAX, 0x5412, 0, 0, 0, 0]),
        ("ioctl", [u64::MAX, 0x5412 | high, 0, 0, 0, 0]),
        ("ioctl", [u64::MAX, 0x541c | 1 << 32, 0, 0, 0, 0]),
        ("ioctl", [u64::MAX, 0x5423, 0, 0, 0, 0]),
        ("clone", [0x1000_0011, 0, 0, 0, 0, 0]),
        ("clone", [0x0002_0011 | high, 0, 0, 0, 0, 0]),
        ("socket", [40, 1, 0, 0, 0, 0]),
        ("socket", [38 | high, 5, 0, 0, 0, 0]),
        ("socket", [16, 3, 12, 0, 0, 0]),
        ("socket", [2, 1, 262, 0, 0, 0]),
        ("mount", [0; 6]),
        ("ptrace", [u64::MAX, 0, 0, 0, 0, 0]),
        ("keyctl", [0; 6]),
        ("io_uring_setup", [0; 6]),
        ("bpf", [u64::MAX, 0, 0, 0, 0, 0]),
        ("unshare", [0x1000_0000, 0, 0, 0, 0, 0]),
        ("setns", [u64::MAX, 0, 0, 0, 0, 0]),
        ("userfaultfd", [u64::MAX, 0, 0, 0, 0, 0]),
        ("perf_event_open", [0; 6]),
        ("personality", [0x0004_0000 | high, 0, 0, 0, 0, 0]),
        ("fcntl", [0, 1024 | high, 0, 0, 0, 0]),
        ("prctl", [35 | high, 0, 0, 0, 0, 0]),
        ("mknodat", [u64::MAX, 0, 0x21b6, 0, 0, 0]),
    ];
    for (name, policy) in composed() {
        let program = compile(&policy, Arch::NATIVE, Unknown::Refuse).unwrap().program;
        let mut refused = 0;
        for &(call, args) in calls {
            let number = number(call);
            let answer = program.evaluate(&Data::new(number, Arch::NATIVE, args)).unwrap();
            let Action::Errno(errno) = Action::from_return(answer) else { continue };
            let ended = below(Some(&program), || syscall(number.into(), args));
            assert_eq!(ended, Ended::Failed(errno.into()), "{name}: {call} {args:x?}");
            refused += 1;
        }
        assert!(refused >= 18, "{name}: only {refused} samples are refused");
    }
}

/// What the filters let through ends as it does without a filter.
#[test]
fn allowed_calls_are_made() {
    let calls: &[(&str, [u64; 6])] = &[
        ("getpid", [0; 6]),
        ("socket", [1, 1, 0, 0, 0, 0]),
        ("socket", [1 | 0xdead_beef_0000_0000, 1, 0, 0, 0, 0]),
        ("ioctl", [u64::MAX, 0x5401, 0, 0, 0, 0]),
        ("fcntl", [1, 1, 0, 0, 0, 0]),
        ("personality", [0xffff_ffff, 0, 0, 0, 0, 0]),
        ("prctl", [21, 0, 0, 0, 0, 0]),
        ("memfd_create", [0; 6]),
        ("mknodat", [u64::MAX, 0, 0x11b6, 0, 0, 0]),
        ("close", [u64::MAX, 0, 0, 0, 0, 0]),
    ];
    for (name, policy) in composed() {
        let program = compile(&policy, Arch::NATIVE, Unknown::Refuse).unwrap().program;
        for &(call, args) in calls {
            let number = number(call).into();
            let (with, without) =
                (below(Some(&program), || syscall(number, args)), below(None, || syscall(number, args)));
            assert_eq!(with, without, "{name}: {call}");
        }
    }
}

/// `prctl(PR_GET_SECCOMP)` answers what the plan expects of it.
#[test]
fn readback_is_true() {
    for (action, expected) in [(Action::Allow, Ended::Failed(2)), (Action::Errno(13), Ended::Failed(13))] {
        let policy = Policy::new(Action::Allow).with([Rule::new(["prctl"], action)]);
        let program = compile(&policy, Arch::NATIVE, Unknown::Refuse).unwrap().program;
        let readback = program.readback(Arch::NATIVE).unwrap().unwrap();
        assert_eq!(Ended::Failed(readback.abs()), expected);
        let ended = below(Some(&program), || {
            let mode = syscall(number("prctl").into(), [21, 0, 0, 0, 0, 0]);
            if mode > 0 {
                // SAFETY: the location is this thread's own.
                unsafe { *libc::__errno_location() = mode as i32 };
                return -1;
            }
            mode
        });
        assert_eq!(ended, expected);
    }
}

/// Killed by the filter with the bit of x32. -1 is no x32 call: a tracer outside skips calls by it, and the
/// policy's default answers.
#[test]
#[cfg(target_arch = "x86_64")]
fn foreign_numbers_kill() {
    for (name, policy) in composed() {
        let program = compile(&policy, Arch::NATIVE, Unknown::Refuse).unwrap().program;
        for nr in [0x4000_0000_i64 | 39, 0x4000_0000 | 512, -2] {
            let ended = below(Some(&program), || syscall(nr, [0; 6]));
            assert_eq!(ended, Ended::Killed(libc::SIGSYS), "{name}: {nr:#x}");
        }
        let Action::Errno(default) = policy.default else { panic!("{name}") };
        assert_eq!(below(Some(&program), || syscall(-1, [0; 6])), Ended::Failed(default.into()), "{name}");
    }
}

/// The 32-bit entry: 20 is `getpid` there, `writev` here.
#[test]
#[cfg(target_arch = "x86_64")]
fn int_0x80_kills() {
    let int80 = || {
        let result: i64;
        // SAFETY: `getpid` of i386 takes no argument and touches no memory; r8 to r11 may be zeroed by the
        // entry.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => result,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        }
        result
    };
    // A kernel without IA32 emulation gives SIGSEGV with or without a filter.
    let unfiltered = below(None, int80);
    let expected = match unfiltered {
        Ended::Returned => Ended::Killed(libc::SIGSYS),
        other => other,
    };
    for (name, policy) in composed() {
        let program = compile(&policy, Arch::NATIVE, Unknown::Refuse).unwrap().program;
        assert_eq!(below(Some(&program), int80), expected, "{name}");
    }
}

/// Every operator on both halves, by the kernel itself.
#[test]
fn operators_agree_with_the_kernel() {
    let pivot = 0x0000_0002_8000_0000_u64;
    let ops = [
        Op::Eq,
        Op::Ne,
        Op::Lt,
        Op::Le,
        Op::Gt,
        Op::Ge,
        Op::MaskedEq(0x0000_0003_f000_0000),
        Op::MaskedEq(0x8000_0000),
    ];
    // getppid takes no argument: what is in the registers is the filter's alone.
    let number = number("getppid");
    for op in ops {
        let value = if let Op::MaskedEq(mask) = op { pivot & mask } else { pivot };
        let policy = Policy::new(Action::Allow)
            .with([Rule::new(["getppid"], Action::Errno(77)).when(Condition { index: 4, op, value })]);
        let program = compile(&policy, Arch::NATIVE, Unknown::Refuse).unwrap().program;
        for arg in
            [0, pivot, pivot - 1, pivot + 1, pivot + (1 << 32), pivot - (1 << 32), 0x8000_0000, u64::MAX]
        {
            let args = [0, 0, 0, 0, arg, 0];
            let answer = program.evaluate(&Data::new(number, Arch::NATIVE, args)).unwrap();
            let expected =
                if answer == Action::Allow.to_return() { Ended::Returned } else { Ended::Failed(77) };
            let condition = policy.rules[0].args[0];
            assert_eq!(condition.holds(&args), expected == Ended::Failed(77));
            assert_eq!(below(Some(&program), || syscall(number.into(), args)), expected, "{op:?} {arg:#x}");
        }
    }
}

/// Every call that a built-in filter refuses with any arguments, under that filter, and under
/// seccompiler's of the same policy, which has one errno for all of them. A few that both allow are made.
#[test]
fn both_compilers_agree_in_the_kernel() {
    for name in belljar::internals::profile::builtin_names() {
        let policy = belljar::internals::profile::Profile::load(name).unwrap().seccomp.unwrap();
        let ours = compile(&policy, Arch::NATIVE, Unknown::Skip).unwrap().program;
        let oracle = oracles(&policy, Arch::NATIVE).into_iter().find(|oracle| oracle.action == Action::Allow);
        let oracle = oracle.expect("a filter that refuses by default");
        let Action::Errno(other) = OTHER else { panic!("{OTHER:?}") };
        let mut refused = 0;
        for nr in 0..600 {
            let Some(Action::Errno(errno @ 1..)) = ours.constant(nr, Arch::NATIVE).map(Action::from_return)
            else {
                continue;
            };
            if !oracle.calls.contains(&nr) {
                continue;
            }
            let call = || syscall(nr.into(), [0; 6]);
            assert_eq!(below(Some(&ours), call), Ended::Failed(errno.into()), "{name}: {nr}");
            assert_eq!(below(Some(&oracle.program), call), Ended::Failed(other.into()), "{name}: {nr}");
            refused += 1;
        }
        assert!(refused > 50, "{name}: {refused}");
        for call in ["getpid", "getuid", "sched_yield", "gettid"] {
            for program in [&ours, &oracle.program] {
                assert_eq!(below(Some(program), || syscall(number(call).into(), [0; 6])), Ended::Returned);
            }
        }
    }
}

/// The kernel's checker and ours: a program of the greatest length is taken, and a wrong one refused by both.
#[test]
fn the_checker_agrees_with_the_kernel() {
    let mut program = compile(&Policy::new(Action::Allow), Arch::NATIVE, Unknown::Refuse).unwrap().program;
    let load = Instruction { code: 0x20, jt: 0, jf: 0, k: 0 };
    let ret = Instruction { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    program.instructions = vec![load; 4095];
    program.instructions.push(ret);
    assert_eq!(program.validate(), Ok(()));
    assert_eq!(below(Some(&program), || 0), Ended::Returned);

    let wrong: &[&[(u16, u8, u8, u32)]] = &[
        &[(0x20, 0, 0, 64), (0x06, 0, 0, 0)],
        &[(0x20, 0, 0, 2), (0x06, 0, 0, 0)],
        &[(0x28, 0, 0, 0), (0x06, 0, 0, 0)],
        &[(0x94, 0, 0, 3), (0x06, 0, 0, 0)],
        &[(0x34, 0, 0, 0), (0x06, 0, 0, 0)],
        &[(0x64, 0, 0, 32), (0x06, 0, 0, 0)],
        &[(0x60, 0, 0, 0), (0x06, 0, 0, 0)],
        &[(0x02, 0, 0, 16), (0x06, 0, 0, 0)],
        &[(0x15, 0, 1, 0), (0x06, 0, 0, 0)],
        &[(0x05, 0, 0, 1), (0x06, 0, 0, 0)],
        &[(0x20, 0, 0, 0)],
        &[(0x120, 0, 0, 0), (0x06, 0, 0, 0)],
    ];
    for code in wrong {
        program.instructions =
            code.iter().map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect();
        assert!(program.validate().is_err(), "{code:x?}");
        assert_eq!(below(Some(&program), || 0), Ended::NotLoaded(libc::EINVAL), "{code:x?}");
    }
}
