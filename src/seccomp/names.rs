//! From names to numbers and back.

use super::{Arch, tables};

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Known {
    /// A system call of the architecture, with its number.
    Here(u32),
    /// A system call, but not of this architecture (`open` on aarch64, `socketcall`).
    Elsewhere,
    /// No system call of any architecture that belljar knows: newer than its tables, or a typing error.
    Nowhere,
}

/// Looks a system call up by its kernel name (`openat`).
#[must_use]
pub fn lookup(name: &str, arch: Arch) -> Known {
    if let Some(number) = tables::number(name, arch) {
        return Known::Here(number);
    }
    let other = Arch::ALL.iter().any(|&other| tables::number(name, other).is_some());
    if other || tables::elsewhere().search(name) { Known::Elsewhere } else { Known::Nowhere }
}

/// The name of a system call's number.
#[must_use]
pub fn name(number: u32, arch: Arch) -> Option<&'static str> {
    tables::table(arch).iter().find(|entry| u32::from(entry.1) == number).map(|entry| entry.0)
}

/// All system calls of an architecture, by name, with their numbers.
pub fn all(arch: Arch) -> impl Iterator<Item = (&'static str, u32)> {
    tables::table(arch).iter().map(|(name, number)| (name, number.into()))
}

/// The known system call whose name is nearest to `name`, for "did you mean"; `None` where nothing is near.
#[must_use]
pub fn nearest(name: &str, arch: Arch) -> Option<&'static str> {
    nearest_of(name, tables::table(arch).iter().map(|entry| entry.0))
}

/// The candidate nearest to `name` by edit distance, if at most a third of it differs.
pub(super) fn nearest_of<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any name there is: nothing is near, and the distance is quadratic.
    if name.len() > 64 {
        return None;
    }
    let allowed = (name.len() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (strsim::levenshtein(name, candidate), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_kinds_of_names() {
        assert_eq!(lookup("openat", Arch::X86_64), Known::Here(257));
        assert_eq!(lookup("openat", Arch::Aarch64), Known::Here(56));
        assert_eq!(lookup("open", Arch::X86_64), Known::Here(2));
        assert_eq!(lookup("open", Arch::Aarch64), Known::Elsewhere);
        assert_eq!(lookup("socketcall", Arch::X86_64), Known::Elsewhere);
        assert_eq!(lookup("opena", Arch::X86_64), Known::Nowhere);
        assert_eq!(lookup("", Arch::X86_64), Known::Nowhere);
    }

    #[test]
    fn names_and_numbers_are_inverse() {
        for &arch in Arch::ALL {
            for (call, number) in all(arch) {
                assert_eq!(name(number, arch), Some(call));
                assert_eq!(lookup(call, arch), Known::Here(number));
            }
            assert_eq!(name(9999, arch), None);
        }
    }

    #[test]
    fn nearest_name() {
        assert_eq!(nearest("opennat", Arch::X86_64), Some("openat"));
        assert_eq!(nearest("exceve", Arch::X86_64), Some("execve"));
        assert_eq!(nearest("clock_getime", Arch::X86_64), Some("clock_gettime"));
        assert_eq!(nearest("frobnicate_everything", Arch::X86_64), None);
        assert_eq!(nearest(&"x".repeat(100_000), Arch::X86_64), None);
    }
}
