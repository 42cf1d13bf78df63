//! System-call names and numbers.

mod aarch64;
mod elsewhere;
mod index;
mod x86_64;

use super::Arch;
use index::Index;

/// A system call's name and number.
pub(super) type Entry = (&'static str, u32);

static X86_64: Index = Index::new(x86_64::TABLE);
static AARCH64: Index = Index::new(aarch64::TABLE);

/// The number of a system call.
pub(super) fn number(name: &str, arch: Arch) -> Option<u32> {
    let index = match arch {
        Arch::X86_64 => &X86_64,
        Arch::Aarch64 => &AARCH64,
    };
    index.find(table(arch), name)
}

/// The table of an architecture, sorted by name.
pub(super) fn table(arch: Arch) -> &'static [Entry] {
    match arch {
        Arch::X86_64 => x86_64::TABLE,
        Arch::Aarch64 => aarch64::TABLE,
    }
}

/// Names that no architecture of [`Arch`] has.
pub(super) fn elsewhere() -> &'static [&'static str] {
    elsewhere::TABLE
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_are_sorted_and_numbers_unique() {
        for &arch in Arch::ALL {
            let table = table(arch);
            assert!(table.is_sorted_by(|a, b| a.0 < b.0), "{arch}");
            let numbers: BTreeSet<_> = table.iter().map(|entry| entry.1).collect();
            assert_eq!(numbers.len(), table.len(), "{arch}");
            assert!(numbers.iter().all(|&number| number < 512), "{arch}");
        }
        assert!(elsewhere().is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn elsewhere_is_disjoint() {
        for name in elsewhere() {
            for &arch in Arch::ALL {
                assert!(table(arch).binary_search_by_key(name, |entry| entry.0).is_err(), "{name} on {arch}");
            }
        }
    }

    /// From 424 on all architectures share their numbers.
    #[test]
    fn common_range_agrees() {
        let common =
            |arch| table(arch).iter().filter(|entry| entry.1 >= 424).copied().collect::<BTreeSet<_>>();
        assert_eq!(common(Arch::X86_64), common(Arch::Aarch64));
    }
}
