//! What the kernel demands of a filter before it takes it.

use thiserror::Error;

use super::Program;
use super::program::{DATA_SIZE, MAX_INSTRUCTIONS, op};

/// Words of scratch memory (`BPF_MEMWORDS`).
pub(super) const MEMORY_WORDS: u32 = 16;

/// The kernel would refuse the program (`EINVAL`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValidateError {
    /// No instruction, or more than 4096.
    #[error("a filter has 1 to {max} instructions, not {length}", max = MAX_INSTRUCTIONS)]
    Length {
        /// How many there are.
        length: usize,
    },
    /// An operation that seccomp does not know.
    #[error("instruction {at}: operation {code:#06x} is not allowed in a seccomp filter")]
    Operation {
        /// Index of the instruction.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// An operand outside of its bounds.
    #[error("instruction {at}: operand {k:#x} is out of bounds for operation {code:#06x}")]
    Operand {
        /// Index of the instruction.
        at: usize,
        /// Its code.
        code: u16,
        /// Its operand.
        k: u32,
    },
    /// A jump behind the end.
    #[error("instruction {at}: jump behind the end of the filter")]
    Jump {
        /// Index of the instruction.
        at: usize,
    },
    /// Scratch memory is read that not every way there has written.
    #[error("instruction {at}: reads scratch memory that was not written")]
    Uninitialised {
        /// Index of the instruction.
        at: usize,
    },
    /// The last instruction is no return.
    #[error("the last instruction is not a return")]
    NoReturn,
}

impl Program {
    /// Checks what the kernel's own checkers do (`bpf_check_classic`, `seccomp_check_filter`): a program that
    /// passes can be loaded, and [`Program::evaluate`] always comes to a result.
    ///
    /// # Errors
    /// [`ValidateError`] with the first instruction that is wrong.
    #[doc(hidden)]
    pub fn validate(&self) -> Result<(), ValidateError> {
        let length = self.instructions.len();
        if !(1..=MAX_INSTRUCTIONS).contains(&length) {
            return Err(ValidateError::Length { length });
        }
        for at in 0..length {
            self.instruction(at)?;
        }
        if !matches!(self.instructions[length - 1].code, op::RET_K | op::RET_A) {
            return Err(ValidateError::NoReturn);
        }
        self.memory()
    }

    fn instruction(&self, at: usize) -> Result<(), ValidateError> {
        let instruction = &self.instructions[at];
        let (code, k) = (instruction.code, instruction.k);
        let operand = |good: bool| if good { Ok(()) } else { Err(ValidateError::Operand { at, code, k }) };
        let behind = self.instructions.len() - at - 1;
        match code {
            op::LD_W_ABS => operand(k < DATA_SIZE && k % 4 == 0),
            op::LD_MEM | op::LDX_MEM | op::ST | op::STX => operand(k < MEMORY_WORDS),
            op::RET_K | op::RET_A | op::LD_IMM | op::LDX_IMM | op::MISC_TAX | op::MISC_TXA => Ok(()),
            op::LD_W_LEN | op::LDX_W_LEN => Ok(()),
            op::JA if (k as usize) < behind => Ok(()),
            op::JA => Err(ValidateError::Jump { at }),
            _ => match (code & 0x07, code & 0xf0, code & op::X != 0) {
                // Codes with bits beyond class, operation and source.
                _ if code > 0xff => Err(ValidateError::Operation { at, code }),
                (op::JMP, op::JEQ | op::JGT | op::JGE | op::JSET, _) => {
                    let farthest = usize::from(instruction.jt.max(instruction.jf));
                    if farthest < behind { Ok(()) } else { Err(ValidateError::Jump { at }) }
                }
                (op::ALU, op::DIV, false) => operand(k != 0),
                (op::ALU, op::LSH | op::RSH, false) => operand(k < 32),
                (op::ALU, op::NEG, false) => Ok(()),
                (op::ALU, op::ADD | op::SUB | op::MUL | op::DIV | op::OR | op::AND | op::XOR, _)
                | (op::ALU, op::LSH | op::RSH, true) => Ok(()),
                _ => Err(ValidateError::Operation { at, code }),
            },
        }
    }

    /// No way through the program reads a word of memory that it has not written (`check_load_and_stores`).
    fn memory(&self) -> Result<(), ValidateError> {
        // What all ways to an instruction have written; jumps go forwards only.
        let mut written = vec![u16::MAX; self.instructions.len()];
        let mut now = 0_u16;
        for (at, instruction) in self.instructions.iter().enumerate() {
            now &= written[at];
            match instruction.code {
                op::ST | op::STX => now |= 1 << instruction.k,
                op::LD_MEM | op::LDX_MEM if now & (1 << instruction.k) == 0 => {
                    return Err(ValidateError::Uninitialised { at });
                }
                op::JA => {
                    written[at + 1 + instruction.k as usize] &= now;
                    now = u16::MAX;
                }
                code if code & 0x07 == op::JMP => {
                    written[at + 1 + usize::from(instruction.jt)] &= now;
                    written[at + 1 + usize::from(instruction.jf)] &= now;
                    now = u16::MAX;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
