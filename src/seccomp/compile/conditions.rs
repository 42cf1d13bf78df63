//! 64-bit comparisons on a machine of 32 bits.

use super::assembler::{Assembler, Label};
use super::verdicts::{Branch, Verdict};
use crate::seccomp::program::{OFFSET_ARGS, op};
use crate::seccomp::{Condition, Op};

/// A place in the program, and a short cut for whoever has the accumulator ready.
#[derive(Debug, Clone, Copy)]
struct Node {
    entry: Label,
    /// What the first instructions load, and the place behind them.
    shortcut: Option<(Loaded, Label)>,
}

/// What the accumulator holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Loaded {
    offset: u32,
    mask: u32,
}

impl Node {
    const fn at(entry: Label) -> Self {
        Self { entry, shortcut: None }
    }

    /// Where to go with this accumulator.
    fn with(self, accumulator: Loaded) -> Label {
        match self.shortcut {
            Some((loaded, label)) if loaded == accumulator => label,
            _ => self.entry,
        }
    }
}

/// The code of a verdict.
pub(super) fn verdict(assembler: &mut Assembler, verdict: &Verdict) -> Label {
    let mut node = Node::at(assembler.ret(verdict.last));
    for branch in verdict.branches.iter().rev() {
        node = self::branch(assembler, branch, node);
    }
    node.entry
}

/// All conditions in order, else on to `otherwise`.
fn branch(assembler: &mut Assembler, branch: &Branch, otherwise: Node) -> Node {
    let mut node = Node::at(assembler.ret(branch.action));
    for args in branch.args.iter().rev() {
        node = condition(assembler, args, node, otherwise);
    }
    node
}

fn condition(assembler: &mut Assembler, condition: &Condition, then: Node, otherwise: Node) -> Node {
    let word = |high: bool| Loaded {
        // Both architectures are little-endian.
        offset: OFFSET_ARGS + 8 * u32::from(condition.index) + if high { 4 } else { 0 },
        mask: u32::MAX,
    };
    let (low, high) = (word(false), word(true));
    let (value_low, value_high) = (condition.value as u32, (condition.value >> 32) as u32);
    match condition.op {
        Op::Eq => equal(assembler, [low, high], condition.value, then, otherwise),
        Op::Ne => equal(assembler, [low, high], condition.value, otherwise, then),
        Op::Ge => order(assembler, op::JGE, [(low, value_low), (high, value_high)], then, otherwise),
        Op::Gt => order(assembler, op::JGT, [(low, value_low), (high, value_high)], then, otherwise),
        Op::Lt => order(assembler, op::JGE, [(low, value_low), (high, value_high)], otherwise, then),
        Op::Le => order(assembler, op::JGT, [(low, value_low), (high, value_high)], otherwise, then),
        Op::MaskedEq(mask) => {
            let low = Loaded { mask: mask as u32, ..low };
            let high = Loaded { mask: (mask >> 32) as u32, ..high };
            equal(assembler, [low, high], condition.value, then, otherwise)
        }
    }
}

/// Whether both words are the value's. A word with an empty mask always is: such conditions keep only the other word.
fn equal(
    assembler: &mut Assembler,
    [low, high]: [Loaded; 2],
    value: u64,
    then: Node,
    otherwise: Node,
) -> Node {
    let (value_low, value_high) = (value as u32, (value >> 32) as u32);
    let node = if low.mask == 0 { then } else { word_equal(assembler, low, value_low, then, otherwise) };
    if high.mask == 0 { node } else { word_equal(assembler, high, value_high, node, otherwise) }
}

/// Whether a masked word is `value`.
fn word_equal(assembler: &mut Assembler, word: Loaded, value: u32, then: Node, otherwise: Node) -> Node {
    let whole = Loaded { mask: u32::MAX, ..word };
    if word.mask == u32::MAX {
        let test = assembler.branch(op::JEQ, value, then.with(whole), otherwise.with(whole));
        return load(assembler, whole, test);
    }
    // "None of these bits" and "this bit" need no masking.
    if value == 0 {
        let test = assembler.branch(op::JSET, word.mask, otherwise.with(whole), then.with(whole));
        return load(assembler, whole, test);
    }
    if value == word.mask && value.is_power_of_two() {
        let test = assembler.branch(op::JSET, value, then.with(whole), otherwise.with(whole));
        return load(assembler, whole, test);
    }
    let test = assembler.branch(op::JEQ, value, then.with(word), otherwise.with(word));
    let and = assembler.and(word.mask, test);
    let entry = assembler.load(word.offset, and);
    Node { entry, shortcut: Some((word, test)) }
}

/// Whether the argument is above the value (`test` says whether the low words may be equal).
fn order(
    assembler: &mut Assembler,
    test: u16,
    [(low, value_low), (high, value_high)]: [(Loaded, u32); 2],
    then: Node,
    otherwise: Node,
) -> Node {
    let lower = assembler.branch(test, value_low, then.with(low), otherwise.with(low));
    let lower = load(assembler, low, lower);
    let same = assembler.branch(op::JEQ, value_high, lower.entry, otherwise.with(high));
    let above = assembler.branch(op::JGT, value_high, then.with(high), same);
    load(assembler, high, above)
}

fn load(assembler: &mut Assembler, word: Loaded, next: Label) -> Node {
    Node { entry: assembler.load(word.offset, next), shortcut: Some((word, next)) }
}
