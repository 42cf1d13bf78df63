//! A direct, slow reading of a policy, to compare compiled filters with.

use std::collections::BTreeSet;

use belljar::internals::seccomp::{Action, Arch, Condition, Data, Op, Policy, Program, Rule, groups, names};

pub fn composed() -> Vec<(&'static str, Policy)> {
    ["@belljar-strict", "@belljar-standard", "@belljar-build", "@belljar-container"]
        .into_iter()
        .map(|name| {
            let rules = groups::resolve(&[name], Action::Allow, &[]).unwrap();
            (name, Policy::new(Action::Errno(1)).with(rules))
        })
        .collect()
}

/// What the policy says, rule by rule; `rules` are those that name the call.
fn decide(policy: &Policy, rules: &[&Rule], arch: Arch, data: &Data) -> Action {
    let x32 = arch == Arch::X86_64 && data.nr & 0xc000_0000 != 0 && data.nr != u32::MAX;
    let foreign = data.arch != arch.audit() || x32;
    if foreign {
        return Action::KillProcess;
    }
    rules
        .iter()
        .find(|rule| rule.args.iter().all(|condition| holds(condition, data.args)))
        .map_or(policy.default, |rule| rule.action)
}

pub fn rules_for(policy: &Policy, nr: u32, arch: Arch) -> impl Iterator<Item = &Rule> {
    let name = names::name(nr, arch);
    policy
        .rules
        .iter()
        .filter(move |rule| name.is_some_and(|name| rule.names.iter().any(|other| other == name)))
}

fn holds(condition: &Condition, args: [u64; 6]) -> bool {
    let (arg, value) = (args[usize::from(condition.index)], condition.value);
    match condition.op {
        Op::Eq => arg == value,
        Op::Ne => arg != value,
        Op::Lt => arg < value,
        Op::Le => arg <= value,
        Op::Gt => arg > value,
        Op::Ge => arg >= value,
        Op::MaskedEq(mask) => arg & mask == value,
        _ => panic!("an operator that this test does not know"),
    }
}

/// The verdict of a number that has no conditions before its first rule without.
pub fn constant_by_policy(policy: &Policy, nr: u32, arch: Arch) -> Option<Action> {
    match rules_for(policy, nr, arch).next() {
        None => Some(policy.default),
        Some(rule) if rule.args.is_empty() => Some(rule.action),
        Some(_) => None,
    }
}

/// Values at which a condition could go wrong: around its value, in each half, with garbage above.
fn interesting(condition: &Condition) -> Vec<u64> {
    let value = condition.value;
    let mask = if let Op::MaskedEq(mask) = condition.op { mask } else { u64::MAX };
    let high = 1 << 32;
    let mut values = vec![
        0,
        u64::MAX,
        value,
        value.wrapping_add(1),
        value.wrapping_sub(1),
        value.wrapping_add(high),
        value.wrapping_sub(high),
        value ^ (1 << 63),
        value | !mask,
        value ^ mask,
        value & 0xffff_ffff,
        value.rotate_left(32),
    ];
    // Every single bit that the mask looks at.
    if mask != u64::MAX {
        values.extend((0..64).map(|bit| value ^ (1 << bit)));
    }
    values
}

/// Argument vectors for a number: combinations of the interesting values, all of them for one or two
/// arguments.
pub fn arguments(rules: &[&Rule], limit: usize) -> Vec<[u64; 6]> {
    let mut by_index: [BTreeSet<u64>; 6] = Default::default();
    for condition in rules.iter().flat_map(|rule| &rule.args) {
        by_index[usize::from(condition.index)].extend(interesting(condition));
    }
    let mut vectors = vec![[0; 6], [u64::MAX; 6]];
    for (index, values) in by_index.iter().enumerate() {
        // Keeps the product bounded where many arguments have conditions.
        let step = 1 + vectors.len() * values.len() / limit;
        let more: Vec<[u64; 6]> = vectors
            .iter()
            .flat_map(|vector| values.iter().map(move |&value| (vector, value)))
            .step_by(step)
            .map(|(vector, value)| {
                let mut vector: [u64; 6] = *vector;
                vector[index] = value;
                vector
            })
            .collect();
        vectors.extend(more);
    }
    vectors
}

/// Executes the program for every number, and compares; returns how many calls were compared.
pub fn assert_same(policy: &Policy, program: &Program, arch: Arch) -> usize {
    assert_same_within(policy, program, arch, 8192)
}

/// The same with about `limit` argument vectors for each argument that has conditions.
pub fn assert_same_within(policy: &Policy, program: &Program, arch: Arch, limit: usize) -> usize {
    let foreign = [Arch::X86_64.audit(), Arch::Aarch64.audit(), 0x4000_0003, 0x4000_0028, 0];
    let edges = [0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0x4000_003b, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    let mut checked = 0;
    for nr in (0..600).chain(edges) {
        let rules: Vec<&Rule> = rules_for(policy, nr, arch).collect();
        let constant = program.constant(nr, arch);
        for (at, args) in arguments(&rules, limit).into_iter().enumerate() {
            // What another architecture's call does cannot depend on its arguments: some of them are enough.
            let others = foreign.into_iter().filter(|&audit| audit != arch.audit() && at % 61 < 3);
            for audit in [arch.audit()].into_iter().chain(others) {
                let data = Data { nr, arch: audit, ip: 0x7fff_1234_5678, args };
                let answer = program.evaluate(&data).unwrap();
                let expected = decide(policy, &rules, arch, &data);
                if answer != expected.to_return() {
                    let name = names::name(nr, arch);
                    panic!("{arch}: {name:?} {nr} {args:x?} of {audit:#x}: {answer:#x} is not {expected:?}");
                }
                if audit == arch.audit() {
                    assert!(constant.is_none_or(|constant| constant == answer), "{nr}: {constant:?}");
                }
                checked += 1;
            }
        }
    }
    checked
}
