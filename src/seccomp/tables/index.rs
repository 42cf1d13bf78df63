//! A hash index over a table, made by the compiler: a filter is compiled at every start, and looking up three
//! hundred names by binary search was most of its time.

use super::{Listed, Table};

/// A power of two, well above the largest table.
const SLOTS: usize = 1024;

/// Positions in the table plus one, by the hash of the name; 0 is free.
pub(super) struct Index([u16; SLOTS]);

impl Index {
    pub const fn new(table: &[Listed]) -> Self {
        assert!(table.len() < SLOTS / 2);
        let mut slots = [0; SLOTS];
        let mut at = 0;
        while at < table.len() {
            let mut slot = hash(table[at].0.as_bytes());
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            at += 1;
            slots[slot] = at as u16;
        }
        Self(slots)
    }

    /// The number of a name in the table that the index was made of.
    pub fn find(&self, table: Table, name: &str) -> Option<u32> {
        let mut slot = hash(name.as_bytes());
        // Ends at a free slot: at least half of them are.
        loop {
            let at = usize::from(self.0[slot]).checked_sub(1)?;
            let (found, number) = table.get(at)?;
            if found == name {
                return Some(number.into());
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// FNV-1a, folded.
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 16)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::super::{Arch, number, table};

    #[test]
    fn index_agrees_with_the_table() {
        for &arch in Arch::ALL {
            for (name, expected) in table(arch).iter() {
                assert_eq!(number(name, arch), Some(expected.into()));
                for other in [&name[1..], &format!("{name}x")] {
                    let listed =
                        table(arch).iter().find(|entry| entry.0 == other).map(|entry| entry.1.into());
                    assert_eq!(number(other, arch), listed);
                }
            }
            assert_eq!(number("", arch), None);
        }
    }
}
