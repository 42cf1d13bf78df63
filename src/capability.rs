//! Sets of capabilities (capabilities(7)).
//!
//! A single one is [`caps::Capability`]. The crate's own set is a `HashSet`, which has no order, is no
//! constant, and cannot hold what a newer kernel has; the kernel's is a mask.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};
use std::sync::OnceLock;

pub use caps::Capability;
use serde::{Deserialize, Serialize};

/// The last one that has a name.
const LAST: Capability = Capability::CAP_CHECKPOINT_RESTORE;

/// A set of capabilities, as the kernel has it: bit N is capability N. Bits of a newer kernel have no
/// [`Capability`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// All that have names.
    pub const NAMED: Self = Self(u64::MAX >> (u64::BITS - 1 - LAST as u32));

    /// These.
    #[must_use]
    pub const fn of(list: &[Capability]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < list.len() {
            bits |= 1 << list[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// The kernel's mask.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// As `/proc/PID/status` has it (proc_pid_status(5)).
    #[cfg(feature = "doctor")]
    pub(crate) fn from_hexadecimal(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }

    /// As a mask: bit N is capability N.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bitmask() != 0
    }

    /// Whether all of these are.
    #[must_use]
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that have names, by their numbers.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        named().iter().copied().filter(move |capability| self.contains(*capability))
    }

    /// The names, without `CAP_`, by their numbers; one without a name is its number.
    pub(crate) fn names(self) -> impl Iterator<Item = String> {
        let unnamed = (0..u64::BITS).filter(move |bit| (self & !Self::NAMED).0 >> bit & 1 == 1);
        self.iter().map(bare).chain(unnamed.map(|bit| bit.to_string()))
    }
}

/// All that have names, by their numbers.
fn named() -> &'static [Capability] {
    static NAMED: OnceLock<Vec<Capability>> = OnceLock::new();
    NAMED.get_or_init(|| {
        let mut all: Vec<Capability> = caps::all().into_iter().collect();
        all.sort_unstable_by_key(Capability::index);
        all
    })
}

/// By its name, with or without `CAP_`.
pub(crate) fn parse(text: &str) -> Option<Capability> {
    format!("CAP_{}", text.strip_prefix("CAP_").unwrap_or(text)).parse().ok()
}

/// Its name without `CAP_`.
fn bare(capability: Capability) -> String {
    capability.to_string().split_off("CAP_".len())
}

impl From<Capability> for CapabilitySet {
    fn from(capability: Capability) -> Self {
        Self(capability.bitmask())
    }
}

impl FromIterator<Self> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        sets.into_iter().fold(Self::EMPTY, Self::bitor)
    }
}

impl BitOr for CapabilitySet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for CapabilitySet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for CapabilitySet {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The mask, as `/proc/PID/status` has it.
impl fmt::LowerHex for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_the_kernels_mask() {
        let set = CapabilitySet::of(&[
            Capability::CAP_CHOWN,
            Capability::CAP_SYS_ADMIN,
            Capability::CAP_CHECKPOINT_RESTORE,
        ]);
        // linux/capability.h
        assert_eq!(set.bits(), 1 | 1 << 21 | 1 << 40);
        assert_eq!((set.len(), set.contains(Capability::CAP_SYS_ADMIN)), (3, true));
        assert!(!set.contains(Capability::CAP_BPF) && !set.contains_all(CapabilitySet::NAMED));
        assert_eq!(set.iter().map(CapabilitySet::from).collect::<CapabilitySet>(), set);
    }

    #[test]
    fn bits_have_their_names() {
        let names = |bits| CapabilitySet::from_bits(bits).names().collect::<Vec<_>>();
        assert_eq!(names(0), Vec::<String>::new());
        assert_eq!(
            names(1 | 1 << 21 | 1 << 40 | 1 << 63),
            ["CHOWN", "SYS_ADMIN", "CHECKPOINT_RESTORE", "63"]
        );
    }

    #[test]
    fn all_that_the_crate_names_are_there() {
        assert_eq!(
            caps::all().into_iter().map(CapabilitySet::from).collect::<CapabilitySet>(),
            CapabilitySet::NAMED
        );
        assert_eq!(u32::try_from(named().len()).unwrap(), CapabilitySet::NAMED.len());
    }
}
