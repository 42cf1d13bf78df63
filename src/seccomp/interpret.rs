//! What a filter answers: an interpreter of classic BPF.

use thiserror::Error;

use super::program::{DATA_SIZE, OFFSET_ARCH, OFFSET_NR, op};
use super::validate::MEMORY_WORDS;
use super::{Action, Arch, Instruction, Program};

/// `struct seccomp_data`: what a filter can see of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Data {
    /// The system call's number.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where it was called.
    pub ip: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

impl Data {
    /// A call of this architecture.
    #[must_use]
    pub const fn new(nr: u32, arch: Arch, args: [u64; 6]) -> Self {
        Self { nr, arch: arch.audit(), ip: 0, args }
    }

    /// The 32-bit word at a multiple of four, as a little-endian kernel lays it out.
    fn word(&self, offset: u32) -> Option<u32> {
        let half = |value: u64| if offset.is_multiple_of(8) { value as u32 } else { (value >> 32) as u32 };
        match offset {
            _ if !offset.is_multiple_of(4) => None,
            OFFSET_NR => Some(self.nr),
            OFFSET_ARCH => Some(self.arch),
            8 | 12 => Some(half(self.ip)),
            _ => self.args.get((offset / 8) as usize - 2).map(|&arg| half(arg)),
        }
    }
}

/// A program that the kernel would not have taken: see [`Program::validate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the filter goes wrong at instruction {at}")]
#[non_exhaustive]
pub struct EvaluateError {
    /// Index of the instruction.
    pub at: usize,
}

impl Program {
    /// What the filter returns for a call: a `SECCOMP_RET_*` with its data, see [`Action::from_return`].
    ///
    /// # Errors
    /// [`EvaluateError`] where the program would not pass [`Program::validate`].
    #[doc(hidden)]
    pub fn evaluate(&self, data: &Data) -> Result<u32, EvaluateError> {
        let mut machine = Machine { a: 0, x: 0, memory: [0; MEMORY_WORDS as usize] };
        let mut at = 0;
        loop {
            let wrong = EvaluateError { at };
            let instruction = self.instructions.get(at).ok_or(wrong)?;
            match machine.step(instruction, data).ok_or(wrong)? {
                Step::Skip(instructions) => at = at.saturating_add(1).saturating_add(instructions as usize),
                Step::Return(value) => return Ok(value),
            }
        }
    }

    /// What the filter returns for a number with any arguments, if it can tell without looking at them.
    ///
    /// This is the kernel's own test (`seccomp_is_const_allow`): where the result is [`Action::Allow`], such
    /// calls do not run the filter at all.
    #[must_use]
    #[doc(hidden)]
    pub fn constant(&self, nr: u32, arch: Arch) -> Option<u32> {
        let (audit, mut a, mut at) = (arch.audit(), 0, 0_usize);
        loop {
            let &Instruction { code, jt, jf, k } = self.instructions.get(at)?;
            at += 1;
            let jump = |yes: bool| usize::from(if yes { jt } else { jf });
            match (code, k) {
                (op::LD_W_ABS, OFFSET_NR) => a = nr,
                (op::LD_W_ABS, OFFSET_ARCH) => a = audit,
                (op::RET_K, _) => return Some(k),
                (op::JA, _) => at = at.checked_add(k as usize)?,
                _ if code == op::ALU | op::AND => a &= k,
                _ if code == op::JMP | op::JEQ => at += jump(a == k),
                _ if code == op::JMP | op::JGE => at += jump(a >= k),
                _ if code == op::JMP | op::JGT => at += jump(a > k),
                _ if code == op::JMP | op::JSET => at += jump(a & k != 0),
                _ => return None,
            }
        }
    }

    /// What `prctl(PR_GET_SECCOMP)` returns below this filter: 2 where it is let through, a negative errno
    /// where the filter answers with one, `None` where asking would kill or need a supervisor.
    ///
    /// # Errors
    /// [`EvaluateError`] as [`Program::evaluate`].
    #[doc(hidden)]
    pub fn readback(&self, arch: Arch) -> Result<Option<i32>, EvaluateError> {
        let number = match arch {
            Arch::X86_64 => 157,
            Arch::Aarch64 => 167,
        };
        let args = [libc::PR_GET_SECCOMP as u64, 0, 0, 0, 0, 0];
        let value = self.evaluate(&Data::new(number, arch, args))?;
        Ok(match Action::from_return(value) {
            Action::Allow | Action::Log => Some(2),
            Action::Errno(errno) => Some(-i32::from(errno)),
            _ => None,
        })
    }
}

struct Machine {
    a: u32,
    x: u32,
    memory: [u32; MEMORY_WORDS as usize],
}

enum Step {
    /// Goes on behind so many instructions.
    Skip(u32),
    Return(u32),
}

impl Machine {
    /// Executes one instruction; `None` where the kernel would not have it.
    fn step(&mut self, instruction: &Instruction, data: &Data) -> Option<Step> {
        let &Instruction { code, jt, jf, k } = instruction;
        match code {
            op::RET_K => return Some(Step::Return(k)),
            op::RET_A => return Some(Step::Return(self.a)),
            op::JA => return Some(Step::Skip(k)),
            op::LD_W_ABS => self.a = data.word(k)?,
            op::LD_W_LEN => self.a = DATA_SIZE,
            op::LDX_W_LEN => self.x = DATA_SIZE,
            op::LD_IMM => self.a = k,
            op::LDX_IMM => self.x = k,
            op::LD_MEM => self.a = *self.memory.get(k as usize)?,
            op::LDX_MEM => self.x = *self.memory.get(k as usize)?,
            op::ST => *self.memory.get_mut(k as usize)? = self.a,
            op::STX => *self.memory.get_mut(k as usize)? = self.x,
            op::MISC_TAX => self.x = self.a,
            op::MISC_TXA => self.a = self.x,
            _ if code > 0xff => return None,
            _ => {
                let operand = if code & op::X == 0 { k } else { self.x };
                return match code & 0x07 {
                    op::JMP => {
                        let yes = self.test(code & 0xf0, operand)?;
                        Some(Step::Skip(u32::from(if yes { jt } else { jf })))
                    }
                    op::ALU => self.arithmetic(code & 0xf0, operand),
                    _ => None,
                };
            }
        }
        Some(Step::Skip(0))
    }

    fn test(&self, operation: u16, operand: u32) -> Option<bool> {
        match operation {
            op::JEQ => Some(self.a == operand),
            op::JGT => Some(self.a > operand),
            op::JGE => Some(self.a >= operand),
            op::JSET => Some(self.a & operand != 0),
            _ => None,
        }
    }

    fn arithmetic(&mut self, operation: u16, operand: u32) -> Option<Step> {
        self.a = match operation {
            op::ADD => self.a.wrapping_add(operand),
            op::SUB => self.a.wrapping_sub(operand),
            op::MUL => self.a.wrapping_mul(operand),
            op::DIV => match self.a.checked_div(operand) {
                Some(quotient) => quotient,
                // The kernel ends a filter that divides by zero with 0, which kills the thread.
                None => return Some(Step::Return(0)),
            },
            op::OR => self.a | operand,
            op::AND => self.a & operand,
            op::XOR => self.a ^ operand,
            op::LSH => self.a.wrapping_shl(operand),
            op::RSH => self.a.wrapping_shr(operand),
            op::NEG => self.a.wrapping_neg(),
            _ => return None,
        };
        Some(Step::Skip(0))
    }
}
