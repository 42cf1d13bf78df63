//! Architectures that filters are compiled for.

use serde::{Deserialize, Serialize};

/// An architecture with a system-call table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Arch {
    /// x86-64, 64-bit system calls only: the i386 entry (`int 0x80`) and x32 are foreign.
    X86_64,
    /// 64-bit Arm, little endian; 32-bit Arm is foreign.
    Aarch64,
}

impl Arch {
    /// The architecture that this code was compiled for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::X86_64;
    /// The architecture that this code was compiled for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Aarch64;

    /// Every architecture.
    pub const ALL: &'static [Self] = &[Self::X86_64, Self::Aarch64];

    /// `AUDIT_ARCH_*` (`linux/audit.h`), what `seccomp_data.arch` holds.
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The first number that is not a native system call: `__X32_SYSCALL_BIT` on x86-64, whose kernel reports
    /// x32 calls under `AUDIT_ARCH_X86_64`.
    #[must_use]
    pub(crate) const fn foreign_from(self) -> Option<u32> {
        match self {
            Self::X86_64 => Some(0x4000_0000),
            Self::Aarch64 => None,
        }
    }

    /// The name that Go, and so Docker's profiles, use (`GOARCH`).
    #[must_use]
    pub const fn go_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}
