//! The compiler against random policies, its limits and its errors; the checker and the interpreter.

use super::by_policy::{assert_same, assert_same_within};
use belljar::internals::seccomp::{
    Action, Arch, CompileError, Condition, Data, Op, Policy, Program, Rule, Unknown, ValidateError, compile,
    names,
};
use proptest::prelude::*;

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Allow),
        1 => Just(Action::Log),
        2 => (0_u16..=4095).prop_map(Action::Errno),
        1 => Just(Action::KillProcess),
        1 => Just(Action::KillThread),
        1 => Just(Action::Trap),
        1 => any::<u16>().prop_map(Action::Trace),
    ]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        0_u64..8,
        any::<u32>().prop_map(u64::from),
        any::<u64>(),
        (0_u32..64).prop_map(|bit| 1 << bit),
        any::<u32>().prop_map(|high| u64::from(high) << 32),
        Just(0xffff_ffff),
        Just(0x1_0000_0000),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let op = prop_oneof![
        Just(Op::Eq),
        Just(Op::Ne),
        Just(Op::Lt),
        Just(Op::Le),
        Just(Op::Gt),
        Just(Op::Ge),
        value().prop_map(Op::MaskedEq),
    ];
    (0_u8..6, op, value(), any::<bool>()).prop_map(|(index, op, value, inside)| match op {
        // Mostly values that a mask lets through.
        Op::MaskedEq(mask) if inside => Condition { index, op, value: value & mask },
        _ => Condition { index, op, value },
    })
}

fn rule(arch: Arch) -> impl Strategy<Value = Rule> {
    let calls: Vec<&str> = names::all(arch).map(|(name, _)| name).collect();
    // Few names, so that rules meet; now and then many.
    let few: Vec<&str> = calls.iter().copied().step_by(29).collect();
    let names = prop_oneof![
        4 => prop::collection::vec(prop::sample::select(few), 1..4),
        1 => prop::collection::vec(prop::sample::select(calls), 1..120),
    ];
    (names, action(), prop::collection::vec(condition(), 0..4))
        .prop_map(|(names, action, args)| args.into_iter().fold(Rule::new(names, action), Rule::when))
}

fn policy(arch: Arch) -> impl Strategy<Value = Policy> {
    (action(), prop::collection::vec(rule(arch), 0..30))
        .prop_map(|(default, rules)| Policy::new(default).with(rules))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_policies((arch, policy) in prop::sample::select(Arch::ALL).prop_flat_map(|arch| (Just(arch), policy(arch)))) {
        let compiled = compile(&policy, arch, Unknown::Refuse).unwrap();
        prop_assert_eq!(compiled.program.validate(), Ok(()));
        assert_same_within(&policy, &compiled.program, arch, 300);
    }

    /// For any program: the checker and the interpreter come to an end, and what the checker takes,
    /// runs.
    #[test]
    fn random_programs(words in prop::collection::vec((code(), 0_u8..6, 0_u8..6, word()), 0..40)) {
        let mut program = empty();
        for (code, jt, jf, k) in words {
            program.instructions.push(belljar::internals::seccomp::Instruction { code, jt, jf, k });
        }
        let data = Data::new(1, Arch::X86_64, [1, 2, 3, 4, 5, 6]);
        let answer = program.evaluate(&data);
        if program.validate().is_ok() {
            prop_assert!(answer.is_ok());
            if let Some(constant) = program.constant(1, Arch::X86_64) {
                prop_assert_eq!(Ok(constant), answer);
            }
        }
    }
}

fn code() -> impl Strategy<Value = u16> {
    prop_oneof![
        prop::sample::select(
            &[
                0x20_u16, 0x06, 0x16, 0x05, 0x15, 0x25, 0x35, 0x45, 0x1d, 0x54, 0x5c, 0x34, 0x3c, 0x64, 0x6c,
                0x84, 0x00, 0x01, 0x02, 0x03, 0x60, 0x61, 0x07, 0x87, 0x80, 0x81
            ][..]
        ),
        any::<u16>(),
    ]
}

fn word() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..20, (0_u32..20).prop_map(|word| word * 4), any::<u32>()]
}

fn empty() -> Program {
    let mut program = compile(&Policy::new(Action::Allow), Arch::NATIVE, Unknown::Refuse).unwrap().program;
    program.instructions.clear();
    program
}

/// One rule with more conditions than a conditional jump reaches over.
#[test]
fn long_rules() {
    for &arch in Arch::ALL {
        let conditions = (0..90).map(|value| Condition {
            index: value % 6,
            op: Op::Ne,
            value: (7 << 32) + u64::from(value),
        });
        let rule = conditions.fold(Rule::new(["ioctl"], Action::Allow), Rule::when);
        let policy = Policy::new(Action::Errno(1)).with([rule, Rule::new(["read"], Action::Allow)]);
        let program = compile(&policy, arch, Unknown::Refuse).unwrap().program;
        assert!(program.instructions.len() > 255);
        assert_same(&policy, &program, arch);
    }
}

/// One call with so many rules that its code is longer than a conditional jump reaches, in the middle of
/// others.
#[test]
fn far_jumps() {
    for &arch in Arch::ALL {
        let mut policy = Policy::new(Action::Errno(1));
        for value in 0..200 {
            let condition = Condition { index: 1, op: Op::Eq, value: value << 33 | value };
            policy.rules.push(Rule::new(["ioctl"], Action::Errno(value as u16 % 7)).when(condition));
            let condition = Condition { index: 0, op: Op::Gt, value: value << 30 };
            policy.rules.push(Rule::new(["fcntl"], Action::Errno(value as u16 % 5)).when(condition));
        }
        policy = policy.with([Rule::new(["read", "write", "openat", "exit", "mount"], Action::Allow)]);
        let program = compile(&policy, arch, Unknown::Refuse).unwrap().program;
        assert!(program.instructions.len() > 1000, "{}", program.instructions.len());
        assert_same(&policy, &program, arch);
    }
}

#[test]
fn too_long_names_the_call() {
    let mut policy = Policy::new(Action::Errno(1));
    for value in 0..3000 {
        let condition = Condition { index: 1, op: Op::Eq, value };
        policy.rules.push(Rule::new(["ioctl"], Action::Errno(value as u16)).when(condition));
    }
    let error = compile(&policy, Arch::NATIVE, Unknown::Refuse).unwrap_err();
    assert!(
        matches!(&error, CompileError::TooLong { syscall, rules: 3000, .. } if syscall == "ioctl"),
        "{error}"
    );
}

#[test]
fn errors_name_the_call() {
    let fails = |policy: &Policy| compile(policy, Arch::X86_64, Unknown::Refuse).unwrap_err();
    let deny = Policy::new(Action::Errno(1));

    let typo = deny.clone().with([Rule::new(["read", "opennat"], Action::Allow)]);
    let error = fails(&typo);
    assert_eq!(error.to_string(), "unknown system call \"opennat\" (did you mean \"openat\"?)");
    let compiled = compile(&typo, Arch::X86_64, Unknown::Skip).unwrap();
    assert_eq!(compiled.skipped, ["opennat"]);
    assert_eq!(compiled.program.constant(0, Arch::X86_64), Some(0x7fff_0000));

    let index = Condition { index: 6, op: Op::Eq, value: 0 };
    let error = fails(&deny.clone().with([Rule::new(["ioctl"], Action::Allow).when(index)]));
    assert_eq!(error, CompileError::Index { syscall: "ioctl".into(), index: 6 });

    let error = fails(&deny.clone().with([Rule::new(["ioctl"], Action::Errno(4096))]));
    assert_eq!(error, CompileError::Errno { syscall: "ioctl".into(), errno: 4096 });
    assert!(matches!(fails(&Policy::new(Action::Errno(9999))), CompileError::Errno { .. }));

    let notify = deny.clone().with([Rule::new(["mount"], Action::Notify)]);
    assert_eq!(fails(&notify), CompileError::Notify { syscall: "mount".into() });
    let mut listened = notify;
    listened.flags = 1 << 3;
    compile(&listened, Arch::X86_64, Unknown::Refuse).unwrap();

    let error = fails(&deny.with([Rule::new(["@file-system"], Action::Allow)]));
    assert_eq!(error, CompileError::Group { group: "@file-system".into() });
}

/// A portable list: what only other architectures have is left out without a word, also where typing errors
/// are refused.
#[test]
fn names_of_other_architectures() {
    let policy =
        Policy::new(Action::Errno(1)).with([Rule::new(["open", "socketcall", "openat"], Action::Allow)]);
    for &arch in Arch::ALL {
        let compiled = compile(&policy, arch, Unknown::Refuse).unwrap();
        assert!(compiled.skipped.is_empty());
        assert_same(&policy, &compiled.program, arch);
    }
}

/// Rules that change nothing leave the bitmap its constant verdict.
#[test]
fn idle_conditions_vanish() {
    let condition = |op, value| Condition { index: 0, op, value };
    let policy = Policy::new(Action::Errno(1)).with([
        Rule::new(["read"], Action::Allow).when(condition(Op::Ge, 0)).when(condition(Op::Le, u64::MAX)),
        Rule::new(["write"], Action::Allow).when(condition(Op::Eq, 1)),
        Rule::new(["write"], Action::Allow),
        Rule::new(["close"], Action::Allow).when(condition(Op::MaskedEq(0xff), 0x100)),
        Rule::new(["ioctl"], Action::Errno(1)).when(condition(Op::Eq, 1)),
    ]);
    for &arch in Arch::ALL {
        let program = compile(&policy, arch, Unknown::Refuse).unwrap().program;
        for (call, expected) in
            [("read", 0x7fff_0000), ("write", 0x7fff_0000), ("close", 0x5_0001), ("ioctl", 0x5_0001)]
        {
            let names::Known::Here(number) = names::lookup(call, arch) else { panic!() };
            assert_eq!(program.constant(number, arch), Some(expected), "{call}");
        }
        assert_same(&policy, &program, arch);
    }
}

#[test]
fn readback() {
    let prctl = |args: &[Condition], action| {
        let rule = args.iter().fold(Rule::new(["prctl"], action), |rule, &arg| rule.when(arg));
        let policy = Policy::new(Action::Errno(38)).with([rule]);
        compile(&policy, Arch::NATIVE, Unknown::Refuse).unwrap().program.readback(Arch::NATIVE).unwrap()
    };
    assert_eq!(prctl(&[], Action::Allow), Some(2));
    assert_eq!(prctl(&[], Action::Log), Some(2));
    assert_eq!(prctl(&[], Action::Errno(13)), Some(-13));
    assert_eq!(prctl(&[], Action::KillProcess), None);
    assert_eq!(prctl(&[], Action::Trap), None);
    // PR_GET_SECCOMP is 21.
    assert_eq!(prctl(&[Condition { index: 0, op: Op::Eq, value: 21 }], Action::Allow), Some(2));
    assert_eq!(prctl(&[Condition { index: 0, op: Op::Eq, value: 22 }], Action::Allow), Some(-38));
}

#[test]
fn the_checker_refuses_what_the_kernel_does() {
    let program = |code: &[(u16, u8, u8, u32)]| {
        let mut program = empty();
        program.instructions.extend(
            code.iter().map(|&(code, jt, jf, k)| belljar::internals::seccomp::Instruction {
                code,
                jt,
                jf,
                k,
            }),
        );
        program.validate()
    };
    const RET: (u16, u8, u8, u32) = (0x06, 0, 0, 0);
    assert_eq!(program(&[]), Err(ValidateError::Length { length: 0 }));
    assert_eq!(program(&[RET; 4097]), Err(ValidateError::Length { length: 4097 }));
    assert_eq!(program(&[RET; 4096]), Ok(()));
    assert_eq!(program(&[(0x20, 0, 0, 0)]), Err(ValidateError::NoReturn));
    assert!(matches!(program(&[(0x20, 0, 0, 64), RET]), Err(ValidateError::Operand { at: 0, .. })));
    assert!(matches!(program(&[(0x20, 0, 0, 2), RET]), Err(ValidateError::Operand { at: 0, .. })));
    // BPF_LD|BPF_H|BPF_ABS: packets only.
    assert!(matches!(program(&[(0x28, 0, 0, 0), RET]), Err(ValidateError::Operation { at: 0, .. })));
    // BPF_MOD is not in seccomp's list.
    assert!(matches!(program(&[(0x94, 0, 0, 3), RET]), Err(ValidateError::Operation { at: 0, .. })));
    assert!(matches!(program(&[(0x34, 0, 0, 0), RET]), Err(ValidateError::Operand { at: 0, .. })));
    assert!(matches!(program(&[(0x64, 0, 0, 32), RET]), Err(ValidateError::Operand { at: 0, .. })));
    assert!(matches!(program(&[(0x60, 0, 0, 0), RET]), Err(ValidateError::Uninitialised { at: 0 })));
    assert!(matches!(program(&[(0x02, 0, 0, 16), RET]), Err(ValidateError::Operand { at: 0, .. })));
    assert_eq!(program(&[(0x02, 0, 0, 3), (0x60, 0, 0, 3), RET]), Ok(()));
    // One way around the store.
    assert!(matches!(
        program(&[(0x15, 1, 0, 0), (0x02, 0, 0, 3), (0x60, 0, 0, 3), RET]),
        Err(ValidateError::Uninitialised { at: 2 })
    ));
    assert_eq!(program(&[(0x15, 0, 1, 0), RET]), Err(ValidateError::Jump { at: 0 }));
    assert_eq!(program(&[(0x05, 0, 0, 1), RET]), Err(ValidateError::Jump { at: 0 }));
    assert_eq!(program(&[(0x05, 0, 0, u32::MAX), RET]), Err(ValidateError::Jump { at: 0 }));
    assert_eq!(program(&[(0x05, 0, 0, 0), RET]), Ok(()));
}
