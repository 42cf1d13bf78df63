//! Seccomp profiles as OCI runtimes and Docker write them.

use std::collections::BTreeSet;

use super::assert_tame;
use crate::capability::{Capability, CapabilitySet};
use crate::seccomp::oci::{Context, parse};
use crate::seccomp::{Action, Arch, Condition, Data, Op, Policy, Unknown, compile, names};

/// Calls that are tried besides those that the profile names.
const OTHERS: [u32; 4] = [0, 59, 435, 599];
/// Rules of a profile whose arguments are tried.
const TRIED: usize = 64;

/// Parses, compiles, validates and evaluates; the compiled filter says what the policy says.
pub(super) fn json(bytes: &[u8]) -> bool {
    let capabilities = CapabilitySet::of(&[Capability::CAP_SYS_ADMIN, Capability::CAP_CHOWN]);
    let mut accepted = false;
    for arch in [Arch::X86_64, Arch::Aarch64] {
        for unknown in [Unknown::Skip, Unknown::Refuse] {
            let context = Context { capabilities, kernel: (6, 18), arch, unknown };
            match parse(bytes, &context) {
                Ok(policy) => {
                    accepted = true;
                    same(&policy, arch, unknown);
                }
                Err(error) => assert_tame(&crate::error_chain(&error)),
            }
        }
    }
    accepted
}

fn same(policy: &Policy, arch: Arch, unknown: Unknown) {
    let compiled = match compile(policy, arch, unknown) {
        Ok(compiled) => compiled,
        Err(error) => return assert_tame(&crate::error_chain(&error)),
    };
    compiled.program.validate().expect("a compiled filter is one that the kernel takes");
    compiled.program.readback(arch).expect("a valid filter ends");
    assert!(compiled.skipped.is_empty(), "the parser has left unknown names out already");
    let numbers = policy.rules.iter().take(TRIED).filter_map(|rule| rule.names.first());
    let numbers: BTreeSet<u32> = numbers.filter_map(|name| number(name, arch)).chain(OTHERS).collect();
    let mut arguments = vec![[0; 6], [u64::MAX; 6]];
    for condition in policy.rules.iter().take(TRIED).flat_map(|rule| &rule.args) {
        let index = usize::from(condition.index);
        for value in around(condition) {
            // All alike, and this one alone.
            let mut alone = [0; 6];
            alone[index] = value;
            arguments.extend([[value; 6], alone]);
        }
    }
    for nr in numbers {
        for args in &arguments {
            let data = Data::new(nr, arch, *args);
            let answer = compiled.program.evaluate(&data).expect("a valid filter ends");
            assert_eq!(answer, by_policy(policy, nr, arch, args).to_return(), "{arch}: {nr} {args:x?}");
        }
        for foreign in [0, 0x4000_0003, Arch::X86_64.audit(), Arch::Aarch64.audit()] {
            if foreign != arch.audit() {
                let data = Data { arch: foreign, ..Data::new(nr, arch, [0; 6]) };
                let answer = compiled.program.evaluate(&data).expect("a valid filter ends");
                assert_eq!(answer, Action::KillProcess.to_return(), "a call of another architecture");
            }
        }
    }
}

fn number(name: &str, arch: Arch) -> Option<u32> {
    match names::lookup(name, arch) {
        names::Known::Here(number) => Some(number),
        _ => None,
    }
}

/// The first rule that names the call and whose conditions hold.
fn by_policy(policy: &Policy, nr: u32, arch: Arch, args: &[u64; 6]) -> Action {
    let name = names::name(nr, arch);
    let holds = |condition: &Condition| {
        let (arg, value) = (args[usize::from(condition.index)], condition.value);
        match condition.op {
            Op::Eq => arg == value,
            Op::Ne => arg != value,
            Op::Lt => arg < value,
            Op::Le => arg <= value,
            Op::Gt => arg > value,
            Op::Ge => arg >= value,
            Op::MaskedEq(mask) => arg & mask == value,
        }
    };
    let mut rules =
        policy.rules.iter().filter(|rule| name.is_some_and(|n| rule.names.iter().any(|m| m == n)));
    rules.find(|rule| rule.args.iter().all(holds)).map_or(policy.default, |rule| rule.action)
}

/// Values on both sides of a condition.
fn around(condition: &Condition) -> [u64; 6] {
    let value = condition.value;
    let mask = if let Op::MaskedEq(mask) = condition.op { mask } else { u64::MAX };
    [value, value.wrapping_add(1), value.wrapping_sub(1), value ^ 1 << 32, value | !mask, value ^ mask]
}
