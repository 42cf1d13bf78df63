use proptest::prelude::*;

use super::*;

#[test]
fn sizes() {
    for (text, bytes) in [
        ("1B", 1),
        ("512B", 512),
        ("1KiB", 1024),
        ("1K", 1024),
        ("64MiB", 64 << 20),
        ("64M", 64 << 20),
        ("64m", 64 << 20),
        ("2g", 2 << 30),
        ("1k", 1024),
        ("2GiB", 2 << 30),
        ("1TiB", 1 << 40),
        ("10kB", 10_000),
        ("10MB", 10_000_000),
        ("1GB", 1_000_000_000),
        ("1TB", 1_000_000_000_000),
        ("9223372036854775807B", MAX),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
}

#[test]
fn sizes_that_are_none() {
    for text in [
        "",
        " ",
        "MiB",
        "-1MiB",
        "+1MiB",
        "1 MiB",
        " 1MiB",
        "1MiB ",
        "1.5MiB",
        "0x10B",
        "1_000B",
        "1e3B",
        "01MiB",
        "1MiB1",
        "1µB",
        "١MiB",
        "unlimited",
        "1,5M",
        "1M\n",
        "1M\0",
        "--1M",
    ] {
        assert!(matches!(size(text), Err(ValueError::Malformed { .. })), "{text:?}: {:?}", size(text));
    }
    for text in ["1", "512", "67108864"] {
        assert!(matches!(size(text), Err(ValueError::NoUnit { .. })), "{text}");
    }
    // KB is 1000 to some and 1024 to others, and the rest are not units.
    for text in ["1b", "1KB", "1kb", "1kib", "1mib", "1Mib", "1Mb", "1PiB", "1s", "1bytes"] {
        assert!(matches!(size(text), Err(ValueError::Unit { .. })), "{text}");
    }
    for text in ["0", "0B", "0MiB"] {
        assert_eq!(size(text), Err(ValueError::Zero), "{text}");
    }
    for text in
        ["9223372036854775808B", "8388608TiB", "18446744073709551616B", "99999999999999999999999999TiB"]
    {
        assert!(matches!(size(text), Err(ValueError::Range { .. })), "{text}");
    }
}

#[test]
fn output_limits() {
    assert_eq!(output("1M"), Ok((1 << 20, false)));
    assert_eq!(output("1M:truncate"), Ok((1 << 20, true)));
    assert_eq!(output("0B:truncate"), Err(ValueError::Zero));
    for text in ["1M:", "1M:end", "1M:truncate:truncate", ":truncate", "truncate", "1M :truncate"] {
        assert!(output(text).is_err(), "{text}");
    }
}

#[test]
fn times() {
    for (text, ms) in [
        ("1ms", 1),
        ("500ms", 500),
        ("10s", 10_000),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("2d", 172_800_000),
        ("90", 90_000),
        ("0.5", 500),
        ("1.5s", 1500),
        ("1.25h", 4_500_000),
        ("1m30s", 90_000),
        ("1h30m", 5_400_000),
        ("1d2h3m4.005s", 93_784_005),
        ("0h5m", 300_000),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    assert_eq!(duration("7us"), Ok(Duration::from_micros(7)));
}

#[test]
fn times_that_are_none() {
    for text in [
        "",
        "s",
        "-1s",
        "+1s",
        "1 s",
        "1.s",
        ".5s",
        "1.5.5s",
        "30m1h",
        "1m1m",
        "1m30",
        "1.5m30s",
        "1.0000001s",
        "01s",
        "unlimited",
        "\u{1b}1s",
    ] {
        assert!(matches!(duration(text), Err(ValueError::Malformed { .. })), "{text:?}");
    }
    for text in ["1e3s", "10M", "10S", "10min", "10sec", "10ns", "10H", "10MiB"] {
        assert!(matches!(duration(text), Err(ValueError::Unit { .. })), "{text}");
    }
    for text in ["0", "0s", "0ms", "0m0s", "0.0s"] {
        assert_eq!(duration(text), Err(ValueError::Zero), "{text}");
    }
    for text in ["9999999999999999h", "9223372036854775808us", "18446744073709551616s"] {
        assert!(matches!(duration(text), Err(ValueError::Range { .. })), "{text}");
    }
}

#[test]
fn counts() {
    assert_eq!(count("1"), Ok(1));
    assert_eq!(count("9223372036854775807"), Ok(MAX));
    assert_eq!(count("0"), Err(ValueError::Zero));
    for text in ["", "-1", "+1", "1.0", "0x1", "007", "1 ", "many", "unlimited", "1K"] {
        assert!(matches!(count(text), Err(ValueError::Malformed { .. })), "{text:?}");
    }
    for text in ["9223372036854775808", "18446744073709551616"] {
        assert!(matches!(count(text), Err(ValueError::Range { .. })), "{text}");
    }
}

#[test]
fn cpu_numbers() {
    for (text, milli) in
        [("1", 1000), ("1.5", 1500), ("0.25", 250), ("0.001", 1), ("2.050", 2050), ("128", 128_000)]
    {
        assert_eq!(cpus(text), Ok(milli), "{text}");
    }
    for text in ["0", "0.0", "0.000"] {
        assert_eq!(cpus(text), Err(ValueError::Zero), "{text}");
    }
    for text in
        ["", ".", ".5", "1.", "1.2345", "-1", "+1", "1e3", "inf", "nan", "1,5", "1.5 ", "01", "0.+1", "0.-1"]
    {
        assert!(matches!(cpus(text), Err(ValueError::Malformed { .. })), "{text:?}");
    }
    for text in ["1048577", "18446744073709551616", "18446744073709551615"] {
        assert!(matches!(cpus(text), Err(ValueError::Range { .. })), "{text}");
    }
}

#[test]
fn users() {
    assert_eq!(user("1000"), Ok(User { uid: 1000, gid: 1000 }));
    assert_eq!(user("0:5"), Ok(User { uid: 0, gid: 5 }));
    assert_eq!(user("4294967294:0"), Ok(User { uid: 4_294_967_294, gid: 0 }));
    for text in [
        "", ":", "1:", ":1", "1:2:3", "root", "-1", "+1", " 1", "1 ", "01", "0x0", "1:-1", "1.0", "1\0", "１",
    ] {
        assert!(matches!(user(text), Err(ValueError::Malformed { .. })), "{text:?}");
    }
    for text in ["4294967295", "4294967296", "0:4294967295", "18446744073709551616"] {
        assert!(matches!(user(text), Err(ValueError::Range { .. })), "{text}");
    }
}

#[test]
fn resource_limits() {
    assert_eq!(rlimit("0"), Ok(Some(0)));
    assert_eq!(rlimit("256"), Ok(Some(256)));
    assert_eq!(rlimit("8MiB"), Ok(Some(8 << 20)));
    assert_eq!(rlimit("unlimited"), Ok(None));
    for text in ["", "-1", "infinity", "Unlimited", "1.5", "08", "9223372036854775808"] {
        assert!(rlimit(text).is_err(), "{text:?}");
    }
}

#[test]
fn octal_numbers() {
    for (text, n) in [("0", 0), ("022", 0o22), ("22", 0o22), ("0022", 0o22), ("0o77", 0o77), ("777", 0o777)] {
        assert_eq!(octal(text, 0o777), Ok(n), "{text}");
    }
    for text in ["", "8", "0o", "-22", "1000", "0x1f", "rwx", "7777777777777777777"] {
        assert!(octal(text, 0o777).is_err(), "{text}");
    }
    assert_eq!(octal("1777", 0o7777), Ok(0o1777));
}

proptest! {
    #[test]
    fn a_size_comes_back(bytes in 1..=MAX) {
        prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
    }

    #[test]
    fn a_round_size_comes_back_short(n in 1u64..1024, unit in 0usize..4) {
        let text = format!("{n}{}", SIZES[unit].0);
        prop_assert_eq!(show_size(size(&text).unwrap()), text);
    }

    #[test]
    fn a_time_comes_back(us in 1..=MAX) {
        let time = Duration::from_micros(us);
        prop_assert_eq!(duration(&show_duration(time)), Ok(time));
    }

    #[test]
    fn nothing_panics(text in "\\PC*|[0-9]{0,30}[a-zA-Z]{0,4}|[0-9.:]{0,24}") {
        let _ = (size(&text), duration(&text), count(&text), cpus(&text), user(&text), rlimit(&text), octal(&text, 0o777));
    }
}
