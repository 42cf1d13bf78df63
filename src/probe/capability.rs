//! Names of capabilities, in the order of their bits (capabilities(7), linux/capability.h).

use crate::profile::CAPABILITIES;

/// The names in a set; a bit without a name is its number.
pub(super) fn names(set: u64) -> Vec<String> {
    (0..u64::BITS as usize)
        .filter(|bit| set >> bit & 1 == 1)
        .map(|bit| CAPABILITIES.get(bit).map_or_else(|| bit.to_string(), |name| (*name).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_their_names() {
        assert_eq!(names(0), Vec::<String>::new());
        assert_eq!(
            names(1 | 1 << 21 | 1 << 40 | 1 << 63),
            ["CHOWN", "SYS_ADMIN", "CHECKPOINT_RESTORE", "63"]
        );
    }
}
