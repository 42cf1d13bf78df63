//! seccompiler's own compiler, to compare ours with: another dispatcher, which has two actions and compares
//! numbers one by one.

use std::collections::{BTreeMap, BTreeSet};

use belljar::internals::seccomp::{
    Action, Arch, Condition, Data, Op, Policy, Program, Rule, Unknown, compile,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::by_policy::{arguments, rules_for};

/// What stands for every action but the one that is asked about: an errno that no policy has.
pub const OTHER: Action = Action::Errno(77);
/// Behind the last call of every table.
const NUMBERS: u32 = 1024;

/// "Is it this action, or another?", as [`SeccompFilter`] compiles it.
pub struct Oracle {
    /// The action that is asked about.
    pub action: Action,
    /// Calls about which it can tell: all but those whose rules have several actions.
    pub calls: BTreeSet<u32>,
    pub program: Program,
}

/// One for each action of the policy.
pub fn oracles(policy: &Policy, arch: Arch) -> Vec<Oracle> {
    let actions: BTreeSet<Action> =
        policy.rules.iter().map(|rule| rule.action).chain([policy.default]).collect();
    let pairs = actions.into_iter().flat_map(|action| [(action, true), (action, false)]);
    pairs.filter_map(|(action, matches)| oracle(policy, arch, action, matches)).collect()
}

/// `matches`: whether the filter matches the calls that get the action, or those that do not. `None` where
/// the default is not what the filter would have for what it does not match.
fn oracle(policy: &Policy, arch: Arch, action: Action, matches: bool) -> Option<Oracle> {
    if (policy.default == action) == matches {
        return None;
    }
    let mut calls: BTreeSet<u32> = (0..NUMBERS).chain([u32::MAX]).collect();
    let mut rules = BTreeMap::new();
    for number in 0..NUMBERS {
        let named: Vec<&Rule> = rules_for(policy, number, arch).collect();
        let (branches, last) = match named.iter().position(|rule| rule.args.is_empty()) {
            Some(at) => (&named[..at], named[at].action),
            None => (&named[..], policy.default),
        };
        let is_match = |of: Action| (of == action) == matches;
        if is_match(last) && branches.iter().all(|rule| is_match(rule.action)) {
            rules.insert(i64::from(number), Vec::new());
        } else if is_match(last) || !branches.iter().all(|rule| is_match(rule.action)) {
            calls.remove(&number);
        } else if !branches.is_empty() {
            let all = branches
                .iter()
                .map(|rule| SeccompRule::new(rule.args.iter().map(condition).collect()).expect("conditions"));
            rules.insert(i64::from(number), all.collect());
        }
    }
    let (hit, miss) = if matches { (action, OTHER) } else { (OTHER, action) };
    let target = match arch {
        Arch::X86_64 => TargetArch::x86_64,
        _ => TargetArch::aarch64,
    };
    let filter = SeccompFilter::new(rules, answer(miss), answer(hit), target).expect("two actions");
    let mut program = compile(&Policy::new(OTHER), arch, Unknown::Refuse).unwrap().program;
    program.instructions = BpfProgram::try_from(filter).expect("a program");
    Some(Oracle { action, calls, program })
}

fn answer(action: Action) -> SeccompAction {
    match action {
        Action::Allow => SeccompAction::Allow,
        Action::Log => SeccompAction::Log,
        Action::Errno(errno) => SeccompAction::Errno(errno.into()),
        Action::KillProcess => SeccompAction::KillProcess,
        Action::KillThread => SeccompAction::KillThread,
        Action::Trap => SeccompAction::Trap,
        Action::Trace(data) => SeccompAction::Trace(data.into()),
        other => panic!("seccompiler has no {other:?}"),
    }
}

fn condition(condition: &Condition) -> SeccompCondition {
    let operator = match condition.op {
        Op::Eq => SeccompCmpOp::Eq,
        Op::Ne => SeccompCmpOp::Ne,
        Op::Lt => SeccompCmpOp::Lt,
        Op::Le => SeccompCmpOp::Le,
        Op::Gt => SeccompCmpOp::Gt,
        Op::Ge => SeccompCmpOp::Ge,
        Op::MaskedEq(mask) => {
            assert_eq!(condition.value & !mask, 0, "seccompiler would take it for one that can hold");
            SeccompCmpOp::MaskedEq(mask)
        }
        other => panic!("an operator that this test does not know: {other:?}"),
    };
    SeccompCondition::new(condition.index, SeccompCmpArgLen::Qword, operator, condition.value)
        .expect("an argument's number")
}

/// Every call × interesting arguments × architectures under both compilers; returns the calls about which
/// some filter could tell, and how many were compared.
pub fn assert_agree(policy: &Policy, program: &Program, arch: Arch) -> (BTreeSet<u32>, usize) {
    let foreign = [Arch::X86_64.audit(), Arch::Aarch64.audit(), 0x4000_0003, 0x4000_0028, 0];
    let (mut told, mut compared) = (BTreeSet::new(), 0);
    for oracle in oracles(policy, arch) {
        oracle.program.validate().expect("a program that the kernel takes");
        for &nr in &oracle.calls {
            let rules: Vec<&Rule> = rules_for(policy, nr, arch).collect();
            for (at, args) in arguments(&rules, 1024).into_iter().enumerate() {
                // What another architecture's call does cannot depend on its arguments: some of them are
                // enough.
                let others = foreign.into_iter().filter(|&audit| audit != arch.audit() && at % 61 < 3);
                for audit in [arch.audit()].into_iter().chain(others) {
                    let data = Data { nr, arch: audit, ip: 0x7fff_1234_5678, args };
                    let [ours, theirs] =
                        [program, &oracle.program].map(|program| program.evaluate(&data).unwrap());
                    let expected = match Action::from_return(theirs) {
                        Action::KillProcess if audit != arch.audit() => Action::KillProcess.to_return(),
                        _ if audit != arch.audit() => panic!("seccompiler lets {audit:#x} in"),
                        found if found == oracle.action => oracle.action.to_return(),
                        found => {
                            assert_eq!(found, OTHER);
                            assert_ne!(ours, oracle.action.to_return(), "{arch}: {nr} {args:x?}");
                            ours
                        }
                    };
                    assert_eq!(ours, expected, "{arch}: {nr} {args:x?} of {audit:#x}: {:?}", oracle.action);
                    compared += 1;
                }
            }
        }
        told.extend(oracle.calls);
    }
    (told, compared)
}
