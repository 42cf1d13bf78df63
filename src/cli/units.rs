//! Limits as they are written on the command line: as in a profile, with `unlimited` for none.

use std::time::Duration;

pub use crate::profile::units::{count, cpus, duration, output, rate, size};
pub(super) use crate::profile::units::{show_duration, show_size};

use crate::profile::ValueError;

/// A limit: a value, or `None` for `unlimited`. (A type of its own, because clap reads `Option` as "may be
/// absent".)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit<T>(pub Option<T>);

/// clap's parser for a limit: `unlimited`, or what `parse` reads.
pub fn limit<T: 'static>(
    parse: fn(&str) -> Result<T, ValueError>,
) -> impl Fn(&str) -> Result<Limit<T>, ValueError> + Clone + Send + Sync + 'static {
    move |text| crate::profile::units::limit(text, parse).map(Limit)
}

/// A count of the kernel's in the largest unit that it has one of.
pub fn show_rounded(bytes: u64) -> String {
    match [(30, "GiB"), (20, "MiB"), (10, "KiB")].into_iter().find(|(bits, _)| bytes >> bits > 0) {
        Some((bits, unit)) => format!("{}{unit}", bytes >> bits),
        None => format!("{bytes}B"),
    }
}

/// A time that has passed, to the second: `5s`, `2m05s`, `3h20m`, `4d02h`.
pub fn show_elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_have_passed() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m00s"), (3599, "59m59s"), (12_000, "3h20m"), (90_000, "1d01h")]
        {
            assert_eq!(show_elapsed(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn unlimited_is_a_word() {
        assert_eq!(limit(size)("unlimited"), Ok(Limit(None)));
        assert_eq!(limit(size)("1KiB"), Ok(Limit(Some(1024))));
        assert!(limit(size)("Unlimited").is_err());
        assert!(limit(size)("0").is_err());
    }
}
