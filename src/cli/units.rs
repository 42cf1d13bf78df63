//! Sizes, durations and counts as they are written on the command line. A unit is always spelled out, and "no limit"
//! is the word `unlimited`: `0` means different things to different programs.

use std::time::Duration;

/// A limit: a value, or `None` for `unlimited`. (A type of its own, because clap reads `Option` as "may be absent".)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit<T>(pub Option<T>);

/// Why a value is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Not a number with a unit.
    #[error("not {what}; write for example {example}")]
    Malformed { what: &'static str, example: &'static str },
    /// A number alone.
    #[error("the unit is missing; write for example {example}")]
    NoUnit { example: &'static str },
    /// A unit that does not exist.
    #[error("no unit of that name; use one of {known}")]
    UnknownUnit { known: &'static str },
    /// 0.
    #[error("0 is not a limit; write \"unlimited\" for none")]
    Zero,
    /// A fraction of a second where only whole seconds can be enforced.
    #[error("only whole seconds can be enforced")]
    NotWholeSeconds,
    /// More than the type can hold.
    #[error("too large; write \"unlimited\" for none")]
    TooLarge,
}

const SIZE: &str = "a size";
const SIZE_EXAMPLE: &str = "64M";
const DURATION: &str = "a duration";
const DURATION_EXAMPLE: &str = "5s or 1m30s";

/// A size in bytes: `512B`, `64K`, `1.5G`, `2TiB`; units are powers of 1024, in either case.
pub fn size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split_number(text);
    let (whole, fraction) =
        decimal(number).ok_or(UnitError::Malformed { what: SIZE, example: SIZE_EXAMPLE })?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" if whole == 0 && fraction == (0, 1) => return Err(UnitError::Zero),
        "" => return Err(UnitError::NoUnit { example: SIZE_EXAMPLE }),
        "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err(UnitError::UnknownUnit { known: "B, K, M, G, T" }),
    };
    match scale(whole, fraction, 1 << shift)? {
        0 => Err(UnitError::Zero),
        bytes => Ok(bytes),
    }
}

/// A duration: `500ms`, `5s`, `2m`, `1h`, `1d`, or several in a row from the largest down (`1m30s`).
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let malformed = UnitError::Malformed { what: DURATION, example: DURATION_EXAMPLE };
    if text.is_empty() {
        return Err(malformed);
    }
    let (mut rest, mut total, mut next_unit) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let (number, tail) = split_number(rest);
        let (whole, fraction) = decimal(number).ok_or(malformed.clone())?;
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        if unit.is_empty() {
            let zero = whole == 0 && fraction == (0, 1) && total == 0;
            return Err(if zero { UnitError::Zero } else { UnitError::NoUnit { example: DURATION_EXAMPLE } });
        }
        let at = UNITS.iter().position(|(name, _)| *name == unit);
        let at = at.ok_or(UnitError::UnknownUnit { known: "ms, s, m, h, d" })?;
        if at < next_unit {
            return Err(malformed);
        }
        next_unit = at + 1;
        total = total.checked_add(scale(whole, fraction, UNITS[at].1)?).ok_or(UnitError::TooLarge)?;
        rest = tail;
    }
    if total == 0 { Err(UnitError::Zero) } else { Ok(Duration::from_millis(total)) }
}

/// A [`duration`] of whole seconds (`RLIMIT_CPU` has no finer unit).
pub fn seconds(text: &str) -> Result<Duration, UnitError> {
    duration(text).and_then(|duration| {
        if duration.subsec_nanos() == 0 { Ok(duration) } else { Err(UnitError::NotWholeSeconds) }
    })
}

/// A number of CPUs with up to three decimals (`1.5`), in thousandths.
pub fn cpus(text: &str) -> Result<u64, UnitError> {
    let (whole, fraction) =
        decimal(text).ok_or(UnitError::Malformed { what: "a number of CPUs", example: "1.5" })?;
    match scale(whole, fraction, 1000)? {
        0 => Err(UnitError::Zero),
        thousandths => Ok(thousandths),
    }
}

/// A whole number above 0.
pub fn count(text: &str) -> Result<u64, UnitError> {
    match decimal(text) {
        Some((0, (0, 1))) => Err(UnitError::Zero),
        Some((whole, (0, 1))) => Ok(whole),
        _ => Err(UnitError::Malformed { what: "a whole number", example: "64" }),
    }
}

/// The parser of clap for a limit: `unlimited`, or what `parse` reads.
pub fn limit<T>(
    parse: fn(&str) -> Result<T, UnitError>,
) -> impl Fn(&str) -> Result<Limit<T>, UnitError> + Clone + Send + Sync + 'static
where
    T: 'static,
{
    move |text| {
        if text == "unlimited" { Ok(Limit(None)) } else { parse(text).map(|value| Limit(Some(value))) }
    }
}

/// `1 min 30 s`.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let parts = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "min"),
        (millis / 1000 % 60, "s"),
        (millis % 1000, "ms"),
    ];
    let shown: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    if shown.is_empty() { "0 s".to_owned() } else { shown.join(" ") }
}

/// `64 MiB`: in the largest unit that needs no fraction.
pub fn show_size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes != 0 && bytes.trailing_zeros() >= *shift) {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

/// The leading digits (and point), and the rest.
fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

/// `12.5` as the whole part and the fraction (5, 10). At most nine decimals.
fn decimal(text: &str) -> Option<(u64, (u64, u64))> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if (1..=9).contains(&fraction.len()) => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    // Twenty digits and more do not fit; the largest number does not scale either, and says "too large".
    let whole = whole.parse().unwrap_or(u64::MAX);
    let power = fraction.bytes().fold(1_u64, |power, _| power * 10);
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    Some((whole, if fraction == 0 { (0, 1) } else { (fraction, power) }))
}

/// (whole + fraction) × factor, rounded down.
fn scale(whole: u64, (numerator, denominator): (u64, u64), factor: u64) -> Result<u64, UnitError> {
    let wide = u128::from(whole) * u128::from(factor)
        + u128::from(numerator) * u128::from(factor) / u128::from(denominator);
    // The largest value is RLIM_INFINITY to the kernel.
    u64::try_from(wide).ok().filter(|value| *value < i64::MAX as u64).ok_or(UnitError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1B", 1),
            ("64K", 64 << 10),
            ("64k", 64 << 10),
            ("64M", 64 << 20),
            ("1.5G", 3 << 29),
            ("2TiB", 2 << 40),
            ("0.5KiB", 512),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert_eq!(size("0"), Err(UnitError::Zero));
        assert_eq!(size("0M"), Err(UnitError::Zero));
        assert_eq!(size("0.4B"), Err(UnitError::Zero));
        assert_eq!(size("64"), Err(UnitError::NoUnit { example: SIZE_EXAMPLE }));
        assert_eq!(size("64X"), Err(UnitError::UnknownUnit { known: "B, K, M, G, T" }));
        assert_eq!(size("99999999999999999999999T"), Err(UnitError::TooLarge));
        for text in ["", "M", "-1M", "+1M", "1..5M", ".5M", "1.M", "1 M", "0x10M", "1e3M", "١M", "∞"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5000),
            ("0.5s", 500),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(duration("0"), Err(UnitError::Zero));
        assert_eq!(duration("0s"), Err(UnitError::Zero));
        assert_eq!(duration("5"), Err(UnitError::NoUnit { example: DURATION_EXAMPLE }));
        assert_eq!(duration("1m30"), Err(UnitError::NoUnit { example: DURATION_EXAMPLE }));
        assert_eq!(duration("5y"), Err(UnitError::UnknownUnit { known: "ms, s, m, h, d" }));
        assert_eq!(duration("99999999999999999999d"), Err(UnitError::TooLarge));
        for text in ["", "s", "-5s", "5s5m", "5s5s", "5 s", "NaN", "1e3s", "inf"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_seconds() {
        assert_eq!(seconds("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(seconds("1500ms"), Err(UnitError::NotWholeSeconds));
    }

    #[test]
    fn counts_and_cpus() {
        assert_eq!(count("64"), Ok(64));
        assert_eq!(count("0"), Err(UnitError::Zero));
        assert!(count("1.5").is_err() && count("-1").is_err() && count("").is_err());
        assert_eq!(cpus("1.5"), Ok(1500));
        assert_eq!(cpus("0"), Err(UnitError::Zero));
        assert_eq!(cpus("0.0001"), Err(UnitError::Zero));
        assert!(cpus("1.5x").is_err());
    }

    #[test]
    fn values_are_shown_as_a_person_says_them() {
        assert_eq!(show_duration(Duration::from_millis(5_400_250)), "1 h 30 min 250 ms");
        assert_eq!(show_duration(Duration::from_secs(5)), "5 s");
        assert_eq!(show_size(64 << 20), "64 MiB");
        assert_eq!(show_size(1500), "1500 bytes");
    }

    #[test]
    fn unlimited_is_a_word() {
        assert_eq!(limit(size)("unlimited"), Ok(Limit(None)));
        assert_eq!(limit(size)("1K"), Ok(Limit(Some(1024))));
        assert!(limit(size)("Unlimited").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (size(&text), duration(&text), cpus(&text), count(&text));
        }

        #[test]
        fn whole_sizes_are_exact(n in 1_u64..1 << 22) {
            prop_assert_eq!(size(&format!("{n}M")), Ok(n << 20));
        }
    }
}
