//! A classic BPF program.

use seccompiler::BpfProgram;
/// `struct sock_filter`: an operation, two jumps and an operand.
pub use seccompiler::sock_filter as Instruction;
use serde::{Deserialize, Serialize};

/// A classic BPF program as `seccomp(2)` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Program {
    /// Instructions, at most 4096.
    #[serde(with = "as_tuples")]
    pub instructions: BpfProgram,
}

/// The crate's type is not serde's.
mod as_tuples {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Instruction;

    pub fn serialize<S: Serializer>(program: &[Instruction], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(program.iter().map(|one| (one.code, one.jt, one.jf, one.k)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Instruction>, D::Error> {
        let all = Vec::<(u16, u8, u8, u32)>::deserialize(deserializer)?;
        Ok(all.into_iter().map(|(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect())
    }
}

/// `BPF_MAXINSNS`.
pub(super) const MAX_INSTRUCTIONS: usize = 4096;

/// Offsets in `struct seccomp_data`.
pub(super) const OFFSET_NR: u32 = 0;
pub(super) const OFFSET_ARCH: u32 = 4;
/// `sizeof(struct seccomp_data)`.
pub(super) const DATA_SIZE: u32 = 64;

/// Operation codes (`linux/bpf_common.h`), already put together.
pub(super) mod op {
    pub const LD_W_ABS: u16 = 0x20;
    pub const LD_W_LEN: u16 = 0x80;
    pub const LDX_W_LEN: u16 = 0x81;
    pub const LD_IMM: u16 = 0x00;
    pub const LDX_IMM: u16 = 0x01;
    pub const LD_MEM: u16 = 0x60;
    pub const LDX_MEM: u16 = 0x61;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const RET_K: u16 = 0x06;
    pub const RET_A: u16 = 0x16;
    pub const MISC_TAX: u16 = 0x07;
    pub const MISC_TXA: u16 = 0x87;
    pub const JA: u16 = 0x05;

    /// Class of arithmetic; the operation is in `0xf0`, the source in [`X`].
    pub const ALU: u16 = 0x04;
    /// Class of jumps.
    pub const JMP: u16 = 0x05;
    /// Operand from the index register in place of `k`.
    pub const X: u16 = 0x08;

    pub const ADD: u16 = 0x00;
    pub const SUB: u16 = 0x10;
    pub const MUL: u16 = 0x20;
    pub const DIV: u16 = 0x30;
    pub const OR: u16 = 0x40;
    pub const AND: u16 = 0x50;
    pub const LSH: u16 = 0x60;
    pub const RSH: u16 = 0x70;
    pub const NEG: u16 = 0x80;
    pub const XOR: u16 = 0xa0;

    pub const JEQ: u16 = 0x10;
    pub const JGT: u16 = 0x20;
    pub const JGE: u16 = 0x30;
    pub const JSET: u16 = 0x40;
}
