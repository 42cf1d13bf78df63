//! Limits as they are written on the command line: as in a profile, with `unlimited` for none.

pub use crate::profile::units::{count, cpus, duration, size};
pub(super) use crate::profile::units::{show_duration, show_size};

use crate::profile::ValueError;

/// A limit: a value, or `None` for `unlimited`. (A type of its own, because clap reads `Option` as "may be absent".)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit<T>(pub Option<T>);

/// clap's parser for a limit: `unlimited`, or what `parse` reads.
pub fn limit<T: 'static>(
    parse: fn(&str) -> Result<T, ValueError>,
) -> impl Fn(&str) -> Result<Limit<T>, ValueError> + Clone + Send + Sync + 'static {
    move |text| crate::profile::units::limit(text, parse).map(Limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlimited_is_a_word() {
        assert_eq!(limit(size)("unlimited"), Ok(Limit(None)));
        assert_eq!(limit(size)("1KiB"), Ok(Limit(Some(1024))));
        assert!(limit(size)("Unlimited").is_err());
        assert!(limit(size)("0").is_err());
    }
}
