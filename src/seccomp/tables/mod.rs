//! System-call names and numbers.

mod aarch64;
mod elsewhere;
mod index;
mod x86_64;

use super::Arch;
use super::packed::{Listed, Packed, Table, Words, bytes, words};
use index::Index;

static X86_64: Packed<{ x86_64::LIST.len() }, { bytes(x86_64::LIST) }> = Packed::new(x86_64::LIST);
static AARCH64: Packed<{ aarch64::LIST.len() }, { bytes(aarch64::LIST) }> = Packed::new(aarch64::LIST);
static X86_64_INDEX: Index = Index::new(x86_64::LIST);
static AARCH64_INDEX: Index = Index::new(aarch64::LIST);

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
    words!(elsewhere::LIST)
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
