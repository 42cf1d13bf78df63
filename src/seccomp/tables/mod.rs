//! System-call names and numbers: files of lines, sorted by name, bytewise, that the compiler reads.

mod index;

use super::Arch;
use super::packed::{Listed, Packed, Table, Words, bytes, lines, list};
use index::Index;

/// The 64-bit interface, up to Linux 7.0: `arch/x86/entry/syscalls/syscall_64.tbl`. The numbers from 512 on
/// belong to x32 alone and are not here.
const X86_64_TEXT: &str = include_str!("x86_64.txt");
/// The generic table, up to Linux 7.0: `scripts/syscall.tbl` (before 6.11
/// `include/uapi/asm-generic/unistd.h`) with arm64's choices (`renameat`, `rlimit`, `memfd_secret`).
const AARCH64_TEXT: &str = include_str!("aarch64.txt");
/// 32-bit interfaces and other machines. A profile that lists one of them for portability is right, and is
/// told apart from a typing error.
const ELSEWHERE: Words = Words::new(include_bytes!("elsewhere.txt"));

const X86_64_LIST: [Listed; lines(X86_64_TEXT)] = list(X86_64_TEXT);
const AARCH64_LIST: [Listed; lines(AARCH64_TEXT)] = list(AARCH64_TEXT);
static X86_64: Packed<{ X86_64_LIST.len() }, { bytes(&X86_64_LIST) }> = Packed::new(&X86_64_LIST);
static AARCH64: Packed<{ AARCH64_LIST.len() }, { bytes(&AARCH64_LIST) }> = Packed::new(&AARCH64_LIST);
static X86_64_INDEX: Index = Index::new(&X86_64_LIST);
static AARCH64_INDEX: Index = Index::new(&AARCH64_LIST);

/// The number of a system call.
pub(super) fn number(name: &str, arch: Arch) -> Option<u32> {
    let index = match arch {
        Arch::X86_64 => &X86_64_INDEX,
        Arch::Aarch64 => &AARCH64_INDEX,
    };
    index.find(table(arch), name)
}

/// The table of an architecture, sorted by name.
pub(super) fn table(arch: Arch) -> Table {
    match arch {
        Arch::X86_64 => X86_64.table(),
        Arch::Aarch64 => AARCH64.table(),
    }
}

/// Names that no architecture of [`Arch`] has.
pub(super) fn elsewhere() -> Words {
    ELSEWHERE
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_are_sorted_and_numbers_unique() {
        for &arch in Arch::ALL {
            let table: Vec<_> = table(arch).iter().collect();
            assert!(table.is_sorted_by(|a, b| a.0 < b.0), "{arch}");
            let numbers: BTreeSet<_> = table.iter().map(|entry| entry.1).collect();
            assert_eq!(numbers.len(), table.len(), "{arch}");
            assert!(numbers.iter().all(|&number| number < 512), "{arch}");
        }
        assert!(elsewhere().iter().is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn elsewhere_is_disjoint() {
        for name in elsewhere().iter() {
            for &arch in Arch::ALL {
                assert_eq!(table(arch).search(name), None, "{name} on {arch}");
            }
        }
    }

    /// From 424 on all architectures share their numbers.
    #[test]
    fn common_range_agrees() {
        let common = |arch| table(arch).iter().filter(|entry| entry.1 >= 424).collect::<BTreeSet<_>>();
        assert_eq!(common(Arch::X86_64), common(Arch::Aarch64));
    }
}
