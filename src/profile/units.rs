//! Sizes, times, counts and ids as people write them, and back.
//!
//! A size always has a unit; a time without one is in seconds, as timeout(1) has it. 0 is never a limit:
//! `unlimited` is the word for none. There are no signs, no spaces and no leading zeros; what does not fit is
//! an error.

use std::time::Duration;

use super::value_error::ValueError;
use super::{IdRange, Throttled, User};

/// Limits are offsets and counts of the kernel's, which are signed.
pub(crate) const MAX: u64 = i64::MAX as u64;

/// The most CPUs there can be, in thousandths.
pub(crate) const MAX_CPUS: u64 = 1000 << 20;

const SIZE_HINT: &str = "write B, KiB, MiB, GiB or TiB (powers of 1024; K, M, G and T, large or small, mean the same), or kB, MB, GB or TB (powers of 1000)";
const TIME_HINT: &str = "write us, ms, s, m (minutes), h or d";
const TIME: &str = "a time (as in 10s, 1.5s or 1m30s)";

/// Longest first, so that the first one that fits is the one that prints shortest.
const SIZES: [(&str, u64); 17] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    // Single letters are powers of 1024, as docker, systemd and dd have them.
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    // Small ones too, as docker and dd have them.
    ("t", 1 << 40),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("k", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// The one that shows what is left comes last.
const TIMES: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// A limit that can be `unlimited` (`None`), by the parser of its value.
///
/// # Errors
/// Those of `parse`.
pub(crate) fn limit<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, ValueError>,
) -> Result<Option<T>, ValueError> {
    if text == "unlimited" { Ok(None) } else { parse(text).map(Some) }
}

/// A size in bytes, above 0: `64MiB`, `512K`, `64m`, `10MB`.
///
/// # Errors
/// No unit, an unknown or ambiguous one (`KB`), 0, not a number, or more than 2^63 - 1 bytes.
pub fn size(text: &str) -> Result<u64, ValueError> {
    let expected = "a size (as in 64MiB)";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() || !unit.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err(ValueError::Malformed { text: text.to_owned(), expected });
    }
    let number = decimal_in(number, text, expected)?;
    if number == 0 {
        return Err(ValueError::Zero);
    }
    if unit.is_empty() {
        return Err(ValueError::NoUnit { text: text.to_owned(), hint: SIZE_HINT });
    }
    let factor = SIZES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let factor = factor.ok_or_else(|| ValueError::Unit { text: text.to_owned(), hint: SIZE_HINT })?;
    number.checked_mul(factor).filter(|&n| n <= MAX).ok_or_else(|| ValueError::range(text, 1, MAX))
}

/// A limit of output: a size, with `:truncate` where what comes after it is thrown away in place of ending
/// the run.
///
/// # Errors
/// Those of [`size`].
pub fn output(text: &str) -> Result<(u64, bool), ValueError> {
    match text.strip_suffix(":truncate") {
        Some(bytes) => size(bytes).map(|bytes| (bytes, true)),
        None => size(text).map(|bytes| (bytes, false)),
    }
}

/// The same, as it is written.
pub(crate) fn show_output(bytes: u64, truncated: bool) -> String {
    show_size(bytes) + if truncated { ":truncate" } else { "" }
}

/// What may be read or written in a second: a size, or a number of reads or writes.
///
/// # Errors
/// Those of [`size`] and [`count`], or more reads or writes than the kernel counts (2^32 - 1).
pub fn rate(text: &str, kind: Throttled) -> Result<u64, ValueError> {
    const MAX_IOPS: u64 = u32::MAX as u64;
    match kind {
        Throttled::ReadBps | Throttled::WriteBps => size(text),
        Throttled::ReadIops | Throttled::WriteIops => match count(text)? {
            n if n > MAX_IOPS => Err(ValueError::range(text, 1, MAX_IOPS)),
            n => Ok(n),
        },
    }
}

/// The same, as it is written.
pub(crate) fn show_rate(rate: u64, kind: Throttled) -> String {
    match kind {
        Throttled::ReadBps | Throttled::WriteBps => show_size(rate),
        Throttled::ReadIops | Throttled::WriteIops => rate.to_string(),
    }
}

/// A time above 0: `500ms`, `10s`, `1.5s`, `1m30s`, `90` (seconds).
///
/// # Errors
/// An unknown unit, units that do not become smaller, a fraction of anything but the smallest unit or below a
/// microsecond, 0, not a number, or more than 2^63 - 1 microseconds.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    let malformed = || ValueError::Malformed { text: text.to_owned(), expected: TIME };
    let too_long = || time_out_of_range(text);
    let (mut micros, mut rest, mut above) = (0_u64, text, u64::MAX);
    loop {
        let at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, more) = rest.split_at(at);
        let at = more.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(more.len());
        let (unit, more) = more.split_at(at);
        let (whole, fraction) = match number.split_once('.') {
            // Nothing may come after a fraction.
            Some((whole, fraction)) if more.is_empty() && !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(malformed()),
            None => (number, ""),
        };
        let whole = decimal(whole, TIME).map_err(|error| match error {
            ValueError::Malformed { .. } => malformed(),
            _ => too_long(),
        })?;
        let factor = match unit {
            // As in timeout(1), for a number alone.
            "" if rest.len() == text.len() && more.is_empty() => 1_000_000,
            "" => return Err(malformed()),
            unit => match TIMES.iter().find(|(name, _)| *name == unit) {
                Some((_, factor)) => *factor,
                None => return Err(ValueError::Unit { text: text.to_owned(), hint: TIME_HINT }),
            },
        };
        if factor >= above {
            return Err(malformed());
        }
        above = factor;
        let part = whole.checked_mul(factor).ok_or_else(too_long)?;
        let part = part.checked_add(fraction_of(fraction, factor).ok_or_else(malformed)?);
        micros = part.and_then(|part| micros.checked_add(part)).filter(|&n| n <= MAX).ok_or_else(too_long)?;
        rest = more;
        if rest.is_empty() {
            return if micros == 0 { Err(ValueError::Zero) } else { Ok(Duration::from_micros(micros)) };
        }
    }
}

/// The digits after a point, in parts of a unit that has so many; `None` where they do not come out even.
fn fraction_of(digits: &str, factor: u64) -> Option<u64> {
    let scale = 10_u64.checked_pow(u32::try_from(digits.len()).ok()?)?;
    if digits.is_empty() {
        return Some(0);
    }
    let parts = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    parts.is_multiple_of(scale).then_some(parts / scale)
}

/// A number above 0 without a unit.
///
/// # Errors
/// 0, not a decimal number, or more than 2^63 - 1.
pub fn count(text: &str) -> Result<u64, ValueError> {
    match decimal(text, "a whole number (as in 256)")? {
        0 => Err(ValueError::Zero),
        n if n > MAX => Err(ValueError::range(text, 1, MAX)),
        n => Ok(n),
    }
}

/// A number of CPUs, in thousandths: `2`, `1.5`, `0.25`.
///
/// # Errors
/// 0, not a decimal number with at most three digits after the point, or more than 2^20 CPUs.
#[cfg(feature = "cli")]
pub fn cpus(text: &str) -> Result<u64, ValueError> {
    const EXPECTED: &str = "a number of CPUs (as in 1.5, with at most three digits after the point)";
    let malformed = || ValueError::Malformed { text: text.to_owned(), expected: EXPECTED };
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => {
            if fraction.is_empty() || fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return Err(malformed());
            }
            (whole, format!("{fraction:0<3}").parse::<u64>().map_err(|_| malformed())?)
        }
        None => (text, 0),
    };
    let whole = decimal_in(whole, text, EXPECTED)?;
    match whole.checked_mul(1000).and_then(|w| w.checked_add(fraction)) {
        Some(0) => Err(ValueError::Zero),
        Some(n) if n <= MAX_CPUS => Ok(n),
        _ => Err(cpus_out_of_range(text)),
    }
}

/// A number of CPUs, in thousandths, which is rounded to the nearest.
///
/// # Errors
/// It rounds to 0, is negative, not a number, or more than 2^20 CPUs.
pub(crate) fn cpus_of(number: f64) -> Result<u64, ValueError> {
    // A float beyond the type's range becomes its bound, and what is no number 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let thousandths = (number * 1000.0).round() as u64;
    if (1..=MAX_CPUS).contains(&thousandths) { Ok(thousandths) } else { Err(cpus_out_of_range(number)) }
}

fn cpus_out_of_range(number: impl ToString) -> ValueError {
    ValueError::range(number, "0.001", MAX_CPUS / 1000)
}

/// For a time above [`MAX`] microseconds.
pub(crate) fn time_out_of_range(time: impl ToString) -> ValueError {
    ValueError::range(time, "1us", format!("{MAX}us"))
}

/// `UID[:GID]`; without the group, it has the user's number.
///
/// # Errors
/// Anything that is not one or two decimal numbers of 0 to 4294967294 (the last number of 32 bits is "no id"
/// to the kernel).
pub fn user(text: &str) -> Result<User, ValueError> {
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (id(uid, text)?, id(gid, text)?),
        None => (id(text, text)?, id(text, text)?),
    };
    Ok(User { uid, gid })
}

fn id(text: &str, whole: &str) -> Result<u32, ValueError> {
    let id = decimal_in(text, whole, "a user id, or UID:GID (as in 1000:1000)")?;
    u32::try_from(id)
        .ok()
        .filter(|&id| id != u32::MAX)
        .ok_or_else(|| ValueError::range(whole, 0, u64::from(u32::MAX) - 1))
}

/// An id of a range.
pub(crate) fn id_in_range(text: &str) -> Result<u32, ValueError> {
    id(text, text)
}

/// `INSIDE:OUTSIDE:COUNT`: a range of ids, and where it begins on the host.
///
/// # Errors
/// Anything that is not three decimal numbers: two ids and how many there are, at least one.
pub fn id_range(text: &str) -> Result<IdRange, ValueError> {
    let fields: Vec<&str> = text.split(':').collect();
    let [inside, outside, count] = fields[..] else {
        let expected = "a range of ids: INSIDE:OUTSIDE:COUNT (as in 0:100000:65536)";
        return Err(ValueError::Malformed { text: text.to_owned(), expected });
    };
    Ok(IdRange { inside: id_in_range(inside)?, outside: id_in_range(outside)?, count: id_count(count)? })
}

/// How many ids a range has.
pub(crate) fn id_count(text: &str) -> Result<u32, ValueError> {
    match decimal(text, "a number of ids")? {
        0 => Err(ValueError::Malformed {
            text: text.to_owned(),
            expected: "a number of ids (COUNT is 1 or more)",
        }),
        n => u32::try_from(n).map_err(|_| ValueError::range(text, 1, u64::from(u32::MAX))),
    }
}

/// The value of a resource limit: a number (0 is one, for the kernel), a size, or `unlimited` (`None`).
///
/// # Errors
/// Neither of these.
pub fn rlimit(text: &str) -> Result<Option<u64>, ValueError> {
    limit(text, |text| {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            match decimal(text, "a number")? {
                n if n > MAX => Err(ValueError::range(text, 0, MAX)),
                n => Ok(n),
            }
        } else {
            size(text)
        }
    })
}

/// A mode or a mask in octal digits, with or without leading zeros: `022`, `1777`.
///
/// # Errors
/// Anything else, or a number above `max`.
pub(crate) fn octal(text: &str, max: u32) -> Result<u32, ValueError> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Err(ValueError::Malformed { text: text.to_owned(), expected: "octal digits (as in 022)" });
    }
    u32::from_str_radix(digits, 8).ok().filter(|&n| n <= max).ok_or_else(|| ValueError::Malformed {
        text: text.to_owned(),
        expected: if max == 0o777 { "a mask of at most 0777" } else { "a mode of at most 07777" },
    })
}

/// The shortest exact way to write a size that [`size`] reads.
pub(crate) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES, "B")
}

/// The shortest exact way to write a time that [`duration`] reads; below a microsecond nothing is kept.
pub(crate) fn show_duration(time: Duration) -> String {
    show(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), &TIMES, "us")
}

fn show(value: u64, units: &[(&str, u64)], smallest: &str) -> String {
    let unit = units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    let (name, factor) = unit.copied().unwrap_or((smallest, 1));
    format!("{}{name}", value / factor)
}

/// Decimal digits, without a sign and without leading zeros.
fn decimal(text: &str, expected: &'static str) -> Result<u64, ValueError> {
    decimal_in(text, text, expected)
}

/// The same, as a part of a text.
fn decimal_in(text: &str, whole: &str, expected: &'static str) -> Result<u64, ValueError> {
    let canonical = text == "0" || !text.starts_with('0');
    if text.is_empty() || !canonical || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ValueError::Malformed { text: whole.to_owned(), expected });
    }
    text.parse().map_err(|_| ValueError::range(text, 0, MAX))
}

/// A number between these bounds, of which the lower one is above 0.
pub(crate) fn within(number: u64, min: u64, max: u64) -> Result<(), ValueError> {
    match number {
        0 => Err(ValueError::Zero),
        n if (min..=max).contains(&n) => Ok(()),
        n => Err(ValueError::range(n, min, max)),
    }
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
