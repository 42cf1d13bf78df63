//! System-call filters: groups, OCI JSON and the compiler. Pure; no kernel in reach.

use serde::{Deserialize, Serialize};

/// What a filter should do, by names. Compiled for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// For every system call that no rule matches.
    pub default: Action,
    /// First match wins.
    pub rules: Vec<Rule>,
    /// `SECCOMP_FILTER_FLAG_*` to load with (OCI `flags`).
    pub flags: u64,
}

/// One rule: some system calls, an action, and conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Names of system calls; groups (`@…`) are already spelled out.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// All must hold.
    pub args: Vec<Condition>,
}

/// `SECCOMP_RET_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The call is made.
    Allow,
    /// The call is made and logged.
    Log,
    /// The call fails with this errno.
    Errno(u16),
    /// The process is killed (`SIGSYS`).
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// The thread gets a `SIGSYS` that it can handle.
    Trap,
    /// A tracer decides.
    Trace(u16),
    /// A supervisor decides (user notification).
    Notify,
}

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Condition {
    /// 0 to 5.
    pub index: u8,
    /// How it is compared.
    pub op: Op,
    /// With what.
    pub value: u64,
}

/// OCI `SCMP_CMP_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `(arg & mask) == value`
    MaskedEq(u64),
}

/// A classic BPF program as `seccomp(2)` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Program {
    /// Instructions, at most 4096.
    pub instructions: Vec<Instruction>,
}

/// `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Jump if true.
    pub jt: u8,
    /// Jump if false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}
