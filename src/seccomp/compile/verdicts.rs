//! What happens to each system call: the policy's rules by number, simplified.

use std::collections::BTreeSet;

use seccompiler::BackendError;

use super::{CompileError, Unknown};
use crate::seccomp::names::{self, Known};
use crate::seccomp::{Action, Arch, Condition, Op, Policy, Rule};

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u64 = 1 << 3;

/// What happens to a call: the first branch whose conditions hold, else the last word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Verdict {
    pub branches: Vec<Branch>,
    pub last: Action,
}

/// Conditions (at least one) and what happens where all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub args: Vec<Condition>,
    pub action: Action,
}

impl PartialOrd for Branch {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Branch {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |branch: &Self| {
            (
                branch.action,
                branch.args.iter().map(|arg| (arg.index, op_key(arg.op), arg.value)).collect::<Vec<_>>(),
            )
        };
        key(self).cmp(&key(other))
    }
}

fn op_key(op: Op) -> (u8, u64) {
    match op {
        Op::Eq => (0, 0),
        Op::Ne => (1, 0),
        Op::Lt => (2, 0),
        Op::Le => (3, 0),
        Op::Gt => (4, 0),
        Op::Ge => (5, 0),
        Op::MaskedEq(mask) => (6, mask),
    }
}

/// By number, ascending; the default for all others.
#[derive(Debug)]
pub(super) struct Verdicts {
    pub by_number: Vec<(u32, Verdict)>,
    pub default: Action,
    arch: Arch,
}

impl Verdicts {
    /// The error for conditions that cannot be compiled.
    pub fn refused(&self, number: u32, source: BackendError) -> CompileError {
        let syscall = names::name(number, self.arch).unwrap_or("none").to_owned();
        CompileError::Conditions { syscall, source }
    }

    /// The error for a program that does not fit.
    pub fn too_long(&self, instructions: usize) -> CompileError {
        let most = self.by_number.iter().max_by_key(|(_, verdict)| verdict.branches.len());
        CompileError::TooLong {
            instructions,
            syscall: most
                .and_then(|(number, _)| names::name(*number, self.arch))
                .unwrap_or("none")
                .to_owned(),
            rules: most.map_or(0, |(_, verdict)| verdict.branches.len()),
        }
    }
}

/// A call's branches while its rules are read.
#[derive(Default)]
struct Open {
    branches: Vec<Branch>,
    /// Set by a rule without conditions: no later rule is reached.
    last: Option<Action>,
}

/// Reads the policy.
pub(super) fn verdicts(
    policy: &Policy,
    arch: Arch,
    unknown: Unknown,
) -> Result<(Verdicts, Vec<String>), CompileError> {
    let check = |syscall: &str, action| check(syscall, action, policy.flags);
    check("the default", policy.default)?;
    // By number: a few hundred, all small.
    let mut open: Vec<Option<Open>> = Vec::new();
    let (mut skipped, mut seen) = (Vec::new(), BTreeSet::new());
    for rule in &policy.rules {
        let args = simplified(&rule.args);
        for name in &rule.names {
            check(name, rule.action)?;
            if let Some(bad) = rule.args.iter().find(|arg| arg.index > 5) {
                return Err(CompileError::Index { syscall: name.clone(), index: bad.index });
            }
            match number(name, arch, unknown)? {
                Named::Number(number) => add(at(&mut open, number), args.as_deref(), rule),
                Named::Foreign => {}
                Named::Unknown if !seen.insert(name) => {}
                Named::Unknown => {
                    log::debug!("seccomp: unknown system call {name:?} is left out");
                    skipped.push(name.clone());
                }
            }
        }
    }
    let by_number =
        (0..).zip(open).filter_map(|(number, open)| Some((number, close(open?, policy.default)))).collect();
    Ok((Verdicts { by_number, default: policy.default, arch }, skipped))
}

fn check(syscall: &str, action: Action, flags: u64) -> Result<(), CompileError> {
    match action {
        Action::Errno(errno) if errno > 4095 => {
            Err(CompileError::Errno { syscall: syscall.to_owned(), errno })
        }
        Action::Notify if flags & NEW_LISTENER == 0 => {
            Err(CompileError::Notify { syscall: syscall.to_owned() })
        }
        _ => Ok(()),
    }
}

fn at(open: &mut Vec<Option<Open>>, number: u32) -> &mut Open {
    let number = number as usize;
    if number >= open.len() {
        open.resize_with(number + 1, || None);
    }
    open[number].get_or_insert_default()
}

enum Named {
    Number(u32),
    Foreign,
    Unknown,
}

fn number(name: &str, arch: Arch, unknown: Unknown) -> Result<Named, CompileError> {
    if name.starts_with('@') {
        return Err(CompileError::Group { group: name.to_owned() });
    }
    match (names::lookup(name, arch), unknown) {
        (Known::Here(number), _) => Ok(Named::Number(number)),
        (Known::Elsewhere, _) => Ok(Named::Foreign),
        (Known::Nowhere, Unknown::Skip) => Ok(Named::Unknown),
        (Known::Nowhere, Unknown::Refuse) => {
            Err(CompileError::Unknown { syscall: name.to_owned(), nearest: names::nearest(name, arch) })
        }
    }
}

/// How many branches of a call a new one is compared with: a policy of any length is compiled in time that
/// grows with it.
const COMPARED: usize = 128;

/// Adds a rule, unless it can never be reached: its conditions cannot hold (`None`), or an earlier rule has
/// the same.
fn add(open: &mut Open, args: Option<&[Condition]>, rule: &Rule) {
    match args {
        _ if open.last.is_some() => {}
        None => {}
        Some([]) => open.last = Some(rule.action),
        Some(args) if open.branches.iter().take(COMPARED).any(|branch| branch.args == args) => {}
        Some(args) => open.branches.push(Branch { args: args.to_vec(), action: rule.action }),
    }
}

/// Without branches that change nothing, so that as many calls as possible have a constant verdict.
fn close(open: Open, default: Action) -> Verdict {
    let last = open.last.unwrap_or(default);
    let mut branches = open.branches;
    while branches.last().is_some_and(|branch| branch.action == last) {
        branches.pop();
    }
    Verdict { branches, last }
}

/// The conditions that can fail; `None` where one cannot hold.
fn simplified(args: &[Condition]) -> Option<Vec<Condition>> {
    let mut kept = Vec::new();
    for arg in args {
        match truth(arg) {
            Some(false) => return None,
            Some(true) => {}
            None if kept.contains(arg) => {}
            None => kept.push(*arg),
        }
    }
    Some(kept)
}

/// Whether a condition holds for every argument, or for none.
fn truth(condition: &Condition) -> Option<bool> {
    match (condition.op, condition.value) {
        (Op::Ge, 0) | (Op::Le, u64::MAX) | (Op::MaskedEq(0), 0) => Some(true),
        (Op::Lt, 0) | (Op::Gt, u64::MAX) => Some(false),
        (Op::MaskedEq(mask), value) if value & !mask != 0 => Some(false),
        _ => None,
    }
}
