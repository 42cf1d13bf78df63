use std::os::unix::ffi::OsStringExt as _;

use clap::CommandFactory as _;
use proptest::prelude::*;

use super::*;
use crate::cli::args::{Cli, Command, Parsed, parse_all};

fn line(words: &[&str]) -> Vec<OsString> {
    ["belljar", "run"].iter().chain(words).map(OsString::from).collect()
}

/// What clap makes of it.
fn by_clap(argv: &[OsString]) -> Option<RunArgs> {
    match parse_all(argv) {
        Ok(Parsed::Do(Cli { command: Command::Run(run), .. })) => Some(*run),
        _ => None,
    }
}

#[test]
fn every_option_of_the_table_is_read_as_clap_reads_it() {
    for (option, value) in [
        ("--profile", "build"),
        ("-p", "./a.toml"),
        ("--set", "a=b=c"),
        ("--net", "host"),
        ("--net", "none"),
        ("--bind", "a:/b"),
        ("--ro-bind", "/a\\:b"),
        ("--tmpfs", "/x:4M"),
        ("--rootfs", "alpine"),
        ("--workdir", "/tmp"),
        ("-w", "sub"),
        ("--env", "A=b"),
        ("-e", "HOME"),
        ("--hostname", "here"),
        ("--user", "5:6"),
        ("--keep-fd", "7"),
        ("--memory", "64M"),
        ("-m", "unlimited"),
        ("--pids", "12"),
        ("--cpus", "1.5"),
        ("--cgroup-parent", "/a/b"),
        ("--limits", "cgroup"),
        ("--limits", "rlimit"),
        ("--timeout", "90s"),
        ("--cpu-time", "unlimited"),
        ("--file-size", "1GiB"),
        ("--output-limit", "1M:truncate"),
        ("--report", "-"),
    ] {
        let separate = line(&[option, value, "--", "cmd", "--x", "--"]);
        let joined = line(&[&format!("{option}={value}"), "--", "cmd"]);
        for argv in [separate, joined] {
            let quick = read(&argv);
            assert!(quick.is_some(), "{argv:?}");
            assert_eq!(quick, by_clap(&argv), "{argv:?}");
        }
    }
    for words in [
        &["--", "cmd"][..],
        &["--overlay-tmp", "--timing", "-eA", "-t", "--rootfs=/r", "-pa", "-m1M", "--", "cmd", "--", "-p"],
    ] {
        let argv = line(words);
        assert!(read(&argv).is_some(), "{argv:?}");
        assert_eq!(read(&argv), by_clap(&argv), "{argv:?}");
    }
}

#[test]
fn the_table_is_of_options_that_there_are() {
    let mut command = Cli::command();
    let run = command.find_subcommand_mut("run").expect("run");
    for option in OPTIONS {
        assert!(run.get_arguments().any(|known| known.get_long() == Some(option)), "{option}");
    }
}

#[test]
fn everything_else_is_claps() {
    for words in [
        &[][..],
        &["--"],
        &["probe"],
        &["probe", "--", "x"],
        &["--help"],
        &["-v", "--", "cmd"],
        &["--bogus", "--", "cmd"],
        &["--prof", "a", "--", "cmd"],
        &["--memory", "--", "cmd"],
        &["--memory", "lots", "--", "cmd"],
        &["--memory", "1M", "-m", "2M", "--", "cmd"],
        &["-p", "a", "--profile=b", "--", "cmd"],
        &["--bind", "-dir", "--", "cmd"],
        &["--hostname=", "--", "cmd"],
        &["--overlay-tmp", "--overlay-tmp", "--", "cmd"],
        &["--overlay-tmp=yes", "--", "cmd"],
        &["-t", "--tty", "--", "cmd"],
        &["-t=1", "--", "cmd"],
        &["--dry-run", "--", "cmd"],
        &["--stats", "--", "cmd"],
        &["--memory-swap", "1M", "--", "cmd"],
        &["-e"],
    ] {
        assert_eq!(read(&line(words)), None, "{words:?}");
    }
    for argv in [&["belljar", "ps"][..], &["belljar", "-v", "run", "--", "cmd"], &["belljar"], &[]] {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        assert_eq!(read(&argv), None, "{argv:?}");
    }
    let mut argv = line(&["--hostname", "x", "--", "cmd"]);
    argv[3] = OsString::from_vec(vec![0xff]);
    assert_eq!(read(&argv), None);
}

fn word() -> impl Strategy<Value = OsString> {
    let options = prop::sample::select(&OPTIONS[..]).prop_map(|name| format!("--{name}"));
    let values = prop::sample::select(
        &[
            "",
            "-",
            "--",
            "---",
            "=",
            "a",
            "/a",
            "/a:/b",
            "a:b",
            "1M",
            "2",
            "1:2",
            "unlimited",
            "host",
            "none",
            "cgroup",
            "A=b",
            "1s",
            "-1",
            "-x",
            "probe",
            "--help",
            "-v",
            "--tty",
            "-t",
            "--dry-run",
            "--timing",
            "--memory-swap=1M",
            "-p",
            "-m",
            "-w",
            "-e",
            "--profile",
            "\u{e9}",
        ][..],
    );
    prop_oneof![
        3 => options.clone().prop_map(OsString::from),
        3 => values.clone().prop_map(OsString::from),
        2 => (options, values.clone()).prop_map(|(option, value)| format!("{option}={value}").into()),
        1 => (prop::sample::select(&["-p", "-m", "-w", "-e", "-t"][..]), values)
            .prop_map(|(option, value)| format!("{option}{value}").into()),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(OsString::from_vec),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn what_is_read_is_what_clap_reads(
        before in prop::collection::vec(word(), 0..6),
        after in prop::collection::vec(word(), 0..3),
    ) {
        let mut argv = line(&[]);
        argv.extend(before);
        argv.push("--".into());
        argv.extend(after);
        if let Some(run) = read(&argv) {
            prop_assert_eq!(Some(run), by_clap(&argv), "{:?}", argv);
        }
    }
}
