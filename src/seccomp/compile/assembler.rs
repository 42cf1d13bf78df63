//! Builds a program from its end.
//!
//! BPF jumps only forwards, so all that an instruction can jump to is already there, and how far away it is
//! is known.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompRule};

use crate::seccomp::program::{MAX_INSTRUCTIONS, op};
use crate::seccomp::{Action, Instruction, Program};

/// A place in the program: its distance from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Label(usize);

/// The farthest that a conditional jump reaches.
const REACH: usize = u8::MAX as usize;

pub(super) struct Assembler {
    /// The last instruction first.
    reversed: Vec<Instruction>,
    /// The nearest return of each value.
    returns: BTreeMap<u32, Label>,
}

impl Assembler {
    pub fn new() -> Self {
        Self { reversed: Vec::new(), returns: BTreeMap::new() }
    }

    /// How many instructions there are.
    pub fn len(&self) -> usize {
        self.reversed.len()
    }

    /// A place that returns this action.
    pub fn ret(&mut self, action: Action) -> Label {
        let value = action.to_return();
        match self.returns.get(&value) {
            Some(&label) => label,
            None => self.push_return(value),
        }
    }

    /// A comparison of the accumulator with `k`.
    pub fn branch(&mut self, test: u16, k: u32, then: Label, otherwise: Label) -> Label {
        // Bringing one target near moves the other by one instruction.
        let then = self.near(then, REACH - 1);
        let otherwise = self.near(otherwise, REACH);
        let (jt, jf) = (self.distance(then), self.distance(otherwise));
        debug_assert!(jt <= REACH && jf <= REACH);
        self.push(Instruction { code: op::JMP | test, jt: jt as u8, jf: jf as u8, k })
    }

    /// Loads a word of `seccomp_data` and goes on at `next`.
    pub fn load(&mut self, offset: u32, next: Label) -> Label {
        self.adjacent(next);
        self.push(Instruction { code: op::LD_W_ABS, jt: 0, jf: 0, k: offset })
    }

    /// Returns the action where all conditions hold, else goes on at `otherwise`.
    pub fn rule(&mut self, rule: SeccompRule, action: Action, otherwise: Label) -> Label {
        self.adjacent(otherwise);
        // A long rule has a jump that nothing reaches here, and that ends one instruction behind `otherwise`:
        // the kernel wants one there.
        if let [only] = self.reversed.as_slice() {
            self.push_return(only.k);
        }
        let mut label = self.push_return(action.to_return());
        // The rule goes on behind its end where it matches, and one instruction further where it does not.
        let rule = BpfProgram::from(rule);
        // It begins with a jump; what that skips is for another way into it.
        let entry = match rule.first() {
            Some(Instruction { code: op::JA, k, .. }) => 1 + *k as usize,
            _ => 0,
        };
        for instruction in rule.into_iter().skip(entry).rev() {
            label = self.push(instruction);
        }
        label
    }

    /// The program, or how long it was where that is too long.
    pub fn finish(mut self) -> Result<Program, usize> {
        if self.reversed.len() > MAX_INSTRUCTIONS {
            return Err(self.reversed.len());
        }
        self.reversed.reverse();
        Ok(Program { instructions: self.reversed })
    }

    fn push(&mut self, instruction: Instruction) -> Label {
        self.reversed.push(instruction);
        Label(self.reversed.len() - 1)
    }

    fn push_return(&mut self, value: u32) -> Label {
        let label = self.push(Instruction { code: op::RET_K, jt: 0, jf: 0, k: value });
        self.returns.insert(value, label);
        label
    }

    /// How far the instruction that is pushed next would have to jump.
    fn distance(&self, target: Label) -> usize {
        self.reversed.len() - 1 - target.0
    }

    /// The target itself, or a place within `reach` that leads to it.
    fn near(&mut self, target: Label, reach: usize) -> Label {
        if self.distance(target) <= reach {
            return target;
        }
        let Instruction { code, k, .. } = self.reversed[target.0];
        if code == op::RET_K {
            // As long as a jump, and one step less. There may be a copy that is near enough.
            match self.returns.get(&k) {
                Some(&copy) if self.distance(copy) <= reach => copy,
                _ => self.push_return(k),
            }
        } else {
            self.jump(target)
        }
    }

    /// Makes sure that `next` is where an instruction without a jump goes on.
    fn adjacent(&mut self, next: Label) {
        if self.distance(next) != 0 {
            let Instruction { code, k, .. } = self.reversed[next.0];
            if code == op::RET_K {
                self.push_return(k)
            } else {
                self.jump(next)
            };
        }
    }

    fn jump(&mut self, target: Label) -> Label {
        let distance = self.distance(target);
        self.push(Instruction { code: op::JA, jt: 0, jf: 0, k: distance as u32 })
    }
}
