//! From a system call's number to its verdict.

use std::collections::BTreeMap;

use super::assembler::{Assembler, Label};
use super::verdicts::{Verdict, Verdicts};
use super::{CompileError, conditions};
use crate::seccomp::program::{MAX_INSTRUCTIONS, OFFSET_ARCH, OFFSET_NR, op};
use crate::seccomp::{Action, Arch};

/// Numbers from `start` to the next range's that share a place in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    start: u32,
    target: Label,
}

/// Exceptions that a [`Segment`] may have: they are looked at one by one.
const MAX_EXCEPTIONS: usize = 3;

/// Ranges that are told apart by equality: a target, but for single numbers in between.
struct Segment<'a> {
    start: u32,
    target: Label,
    exceptions: Vec<&'a Range>,
}

/// Emits the code of every verdict once, and says which numbers go where. The first range starts at 0.
pub(super) fn ranges(
    assembler: &mut Assembler,
    verdicts: &Verdicts,
    arch: Arch,
) -> Result<Vec<Range>, CompileError> {
    let mut places: BTreeMap<&Verdict, Label> = BTreeMap::new();
    let default = Verdict { branches: Vec::new(), last: verdicts.default };
    let mut ranges: Vec<Range> = Vec::new();
    let mut next = 0;
    let mut last: Option<(&Verdict, Label)> = None;
    for (number, verdict) in &verdicts.by_number {
        let number = *number;
        if number > next {
            let target = assembler.ret(default.last);
            start(&mut ranges, next, target);
        }
        let target = match last {
            // Neighbours mostly share their verdict.
            Some((same, label)) if same == verdict => label,
            _ => match places.get(verdict) {
                Some(label) => *label,
                None => {
                    let label = conditions::verdict(assembler, verdict)
                        .map_err(|source| verdicts.refused(number, source))?;
                    places.insert(verdict, label);
                    label
                }
            },
        };
        last = Some((verdict, target));
        if assembler.len() > MAX_INSTRUCTIONS {
            return Err(verdicts.too_long(assembler.len()));
        }
        start(&mut ranges, number, target);
        next = number + 1;
    }
    let rest = assembler.ret(default.last);
    start(&mut ranges, next, rest);
    if let Some(foreign) = arch.foreign_from() {
        let kill = assembler.ret(Action::KillProcess);
        start(&mut ranges, foreign, kill);
        // No x32 call: by this number a tracer, outside, skips a call (ptrace(2)).
        start(&mut ranges, u32::MAX, rest);
    }
    Ok(ranges)
}

/// Starts a range, unless the one before goes to the same place.
fn start(ranges: &mut Vec<Range>, start: u32, target: Label) {
    if ranges.last().is_none_or(|last| last.target != target) {
        ranges.push(Range { start, target });
    }
}

/// A balanced search over the ranges, with the number in the accumulator.
pub(super) fn search(assembler: &mut Assembler, ranges: &[Range]) -> Label {
    tree(assembler, &segments(ranges))
}

/// A lone number between two ranges of one target is one comparison as an exception, and two as a range.
fn segments(ranges: &[Range]) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let mut rest = ranges;
    while let [first, ..] = rest {
        let mut segment = Segment { start: first.start, target: first.target, exceptions: Vec::new() };
        let mut used = 1;
        while let [single, after, ..] = &rest[used..] {
            let lone = after.start - single.start == 1 && after.target == first.target;
            if !lone || segment.exceptions.len() == MAX_EXCEPTIONS {
                break;
            }
            segment.exceptions.push(single);
            used += 2;
        }
        rest = &rest[used..];
        segments.push(segment);
    }
    segments
}

fn tree(assembler: &mut Assembler, segments: &[Segment<'_>]) -> Label {
    if let [segment] = segments {
        return segment.exceptions.iter().rev().fold(segment.target, |otherwise, exception| {
            assembler.branch(op::JEQ, exception.start, exception.target, otherwise)
        });
    }
    let (left, right) = segments.split_at(segments.len() / 2);
    let start = right[0].start;
    let right = tree(assembler, right);
    let left = tree(assembler, left);
    assembler.branch(op::JGE, start, right, left)
}

/// The beginning of the program: kill foreign architectures, load the number.
pub(super) fn architecture(assembler: &mut Assembler, search: Label, arch: Arch) {
    let number = assembler.load(OFFSET_NR, search);
    let kill = assembler.ret(Action::KillProcess);
    let test = assembler.branch(op::JEQ, arch.audit(), number, kill);
    assembler.load(OFFSET_ARCH, test);
}
