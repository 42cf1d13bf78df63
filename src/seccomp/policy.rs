//! What a filter should do, by names.

use super::Rules;

/// What a filter should do, by names. Compiled for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Policy {
    /// For every system call that no rule matches.
    pub default: Action,
    /// First match wins.
    pub rules: Rules,
    /// `SECCOMP_FILTER_FLAG_*` to load with (OCI `flags`).
    pub flags: u64,
}

impl Policy {
    /// A policy with a default action and nothing else.
    #[must_use]
    pub const fn new(default: Action) -> Self {
        Self { default, rules: Rules::new(), flags: 0 }
    }

    /// Adds rules behind those there are.
    #[must_use]
    pub fn with(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// With the flag for a listener where a rule notifies.
    pub(crate) fn with_listener_flag(mut self) -> Self {
        if self.rules.iter().any(|rule| rule.action == Action::Notify) {
            self.flags |= libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        }
        self
    }

    /// With `@no-set-id` before everything that it says.
    pub(crate) fn without_set_id(&self) -> Self {
        let first = super::groups::no_set_id();
        Self { rules: first.into_iter().chain(self.rules.iter().cloned()).collect(), ..self.clone() }
    }
}

/// One rule: some system calls, an action, and conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Rule {
    /// Names of system calls; groups (`@…`) are already expanded.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// All must hold.
    pub args: Vec<Condition>,
}

impl Rule {
    /// A rule for some system calls, with any arguments.
    #[must_use]
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>, action: Action) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), action, args: Vec::new() }
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.args.push(condition);
        self
    }
}

/// `SECCOMP_RET_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Action {
    /// The call is made.
    Allow,
    /// The call is made and logged.
    Log,
    /// The call fails with this errno (at most 4095). 0 makes it succeed without being made.
    Errno(u16),
    /// The process is killed (`SIGSYS`).
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// The thread gets a `SIGSYS` that it can handle.
    Trap,
    /// A tracer decides; without one the call fails with `ENOSYS`.
    Trace(u16),
    /// A supervisor decides (user notification).
    Notify,
}

impl Action {
    /// What a filter returns for it (`linux/seccomp.h`).
    #[must_use]
    pub const fn to_return(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Log => 0x7ffc_0000,
            Self::Errno(errno) => 0x0005_0000 | errno as u32,
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Trace(data) => 0x7ff0_0000 | data as u32,
            Self::Notify => 0x7fc0_0000,
        }
    }

    /// What the kernel does with a filter's return value; an unknown one kills the process.
    #[must_use]
    pub const fn from_return(value: u32) -> Self {
        let data = (value & 0xffff) as u16;
        match value & 0xffff_0000 {
            0x7fff_0000 => Self::Allow,
            0x7ffc_0000 => Self::Log,
            // The kernel's own limit, MAX_ERRNO.
            0x0005_0000 => Self::Errno(if data > 4095 { 4095 } else { data }),
            0 => Self::KillThread,
            0x0003_0000 => Self::Trap,
            0x7ff0_0000 => Self::Trace(data),
            0x7fc0_0000 => Self::Notify,
            _ => Self::KillProcess,
        }
    }
}

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Condition {
    /// 0 to 5.
    pub index: u8,
    /// How it is compared: all 64 bits, unsigned. The kernel reads many arguments as 32-bit integers and
    /// ignores the upper half: compare those with [`Op::MaskedEq`] and the mask `0xffff_ffff`
    /// (CVE-2019-10063).
    pub op: Op,
    /// With what.
    pub value: u64,
}

impl Condition {
    /// Whether it holds for these arguments; false for an index above 5.
    #[must_use]
    #[doc(hidden)]
    pub fn holds(&self, args: &[u64; 6]) -> bool {
        args.get(usize::from(self.index)).is_some_and(|&arg| match self.op {
            Op::Eq => arg == self.value,
            Op::Ne => arg != self.value,
            Op::Lt => arg < self.value,
            Op::Le => arg <= self.value,
            Op::Gt => arg > self.value,
            Op::Ge => arg >= self.value,
            Op::MaskedEq(mask) => arg & mask == self.value,
        })
    }
}

/// OCI `SCMP_CMP_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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
