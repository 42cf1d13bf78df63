use std::os::unix::ffi::OsStringExt as _;

use super::*;

fn words(line: &[&str]) -> Vec<OsString> {
    line.iter().map(Into::into).collect()
}

/// The message and hints that a wrong command line gets.
fn refused(line: &[&str]) -> (String, Vec<String>) {
    refused_os(words(line))
}

fn refused_os(line: Vec<OsString>) -> (String, Vec<String>) {
    match parse(&line) {
        Err(Error::Usage { message, hints }) => (message, hints),
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// A start pays for the definition of its own options only.
#[test]
fn the_options_of_a_subcommand_are_defined_when_it_is_named() {
    for subcommand in Cli::command().get_subcommands() {
        assert!(subcommand.get_about().is_some(), "{}", subcommand.get_name());
        assert_eq!(subcommand.get_arguments().count(), 0, "{}", subcommand.get_name());
    }
}

#[test]
fn help_names_every_subcommand_and_option_of_this_version_and_no_other() {
    let mut command = Cli::command();
    let help = command.render_long_help().to_string();
    for word in ["run", "exec", "kill", "wait", "doctor", "profile", "ps", "completions", "man"] {
        assert!(help.contains(&format!("\n  {word} ")), "{word}: {help}");
    }
    for word in ["\n  learn ", "\n  oci "] {
        assert!(!help.contains(word), "{word}: {help}");
    }
    command.build();
    let run = command.find_subcommand_mut("run").expect("run").render_long_help().to_string();
    for option in [
        "-p, --profile <NAME|FILE>",
        "--set <KEY=VALUE>",
        "--net <MODE>",
        "--bind <SRC[:DST]>",
        "--ro-bind <SRC[:DST]>",
        "--tmpfs <DST[:SIZE]>",
        "--rootfs <DIR>",
        "--overlay-tmp",
        "-w, --workdir <DIR>",
        "-e, --env <K[=V]>",
        "--hostname <NAME>",
        "--name <NAME>",
        "-d, --detach",
        "--user <UID[:GID]>",
        "-t, --tty",
        "--keep-fd <N>",
        "-m, --memory <SIZE>",
        "--pids <N>",
        "--cpus <N>",
        "--timeout <DURATION>",
        "--cpu-time <DURATION>",
        "--file-size <SIZE>",
        "--output-limit <SIZE[:truncate]>",
        "--io-weight <N>",
        "--io-read-bps <PATH:SIZE>",
        "--io-write-bps <PATH:SIZE>",
        "--io-read-iops <PATH:N>",
        "--io-write-iops <PATH:N>",
        "--stats[=<INTERVAL>]",
        "--report <FILE|->",
        "--dry-run",
        "--json",
        "-v, --verbose",
        "-q, --quiet",
    ] {
        assert!(run.contains(option), "{option}: {run}");
    }
    for text in ["Examples:", "Files:", "belljar run [OPTIONS] -- <COMMAND> [ARGS]..."] {
        assert!(run.contains(text), "{text}: {run}");
    }
}

#[test]
fn a_wrong_value_is_told_on_one_line_with_the_option_and_the_reason() {
    // (the option, a bad value, a part of the reason)
    for (option, value, reason) in [
        ("--net", "wifi", "[possible values: none, host]"),
        ("--bind", "a:b", "b is not an absolute path"),
        ("--bind", "", "the path is empty"),
        ("--bind", "a:/b:ro", "more than one colon"),
        ("--ro-bind", "a:/", "--rootfs"),
        ("--tmpfs", "tmp", "not an absolute path"),
        ("--tmpfs", "/tmp:many", "not a size"),
        ("--rootfs", "", "the path is empty"),
        ("--workdir", "", "the path is empty"),
        ("--env", "=x", "name is empty"),
        ("--user", "root", "not a user id, or UID:GID"),
        ("--keep-fd", "1", "standard streams"),
        ("--keep-fd", "x", "not the number of a descriptor"),
        ("--memory", "64", "has no unit"),
        ("--memory", "0", "or \"unlimited\""),
        ("--pids", "-1", "unexpected argument '-1'"),
        ("--pids", "many", "not a whole number"),
        ("--cpus", "0", "0 is not a limit"),
        ("--timeout", "5x", "ambiguous unit: write us, ms, s"),
        ("--timeout", "0s", "0 is not a limit"),
        ("--cpu-time", "1,5s", "not a time"),
        ("--file-size", "1Q", "unknown or ambiguous unit"),
        ("--output-limit", "99999999999T", "out of range"),
        ("--output-limit", "1M:end", "not a size"),
        ("--io-weight", "0", "not in 1..=1000"),
        ("--io-read-bps", "/dev/sda", "a path, a colon and a rate"),
        ("--io-write-bps", "/dev/sda:5", "has no unit"),
        ("--io-read-iops", "/dev/sda:many", "not a whole number"),
        ("--io-write-iops", ":5", "the path is empty"),
        ("--report", "", "the path is empty"),
    ] {
        let (message, hints) = refused(&["belljar", "run", option, value, "--", "true"]);
        assert!(message.contains(reason), "{option} {value}: {message}");
        assert!(message.contains(option) || value.starts_with('-'), "{option} {value}: {message}");
        assert!(!message.contains('\n') && !message.contains("  "), "{option} {value}: {message}");
        assert_eq!(hints.last().map(String::as_str), Some("see belljar run --help"));
    }
}

#[test]
fn what_is_missing_or_too_much_is_told() {
    for (line, reason) in [
        (&["belljar"][..], "no subcommand is given"),
        (&["belljar", "rum"], "unrecognized subcommand 'rum'"),
        (&["belljar", "--frob"], "unexpected argument '--frob' found"),
        (&["belljar", "run"], "neither a role nor a command is given"),
        (&["belljar", "run", "--"], "no command after --"),
        (&["belljar", "run", "-p", "strict", "--"], "no command after --"),
        (&["belljar", "run", "-x"], "unexpected argument '-x' found"),
        (&["belljar", "run", "--profile"], "a value is required for '--profile <NAME|FILE>'"),
        (&["belljar", "run", "--profile", "--", "true"], "a value is required for '--profile <NAME|FILE>'"),
        // A value that a stranger chose is never taken for an option, and no option for a value.
        (&["belljar", "run", "--bind", "--rootfs=/", "--", "true"], "a value is required for '--bind"),
        (&["belljar", "run", "--timeout", "1s", "--timeout", "2s", "probe"], "cannot be used multiple times"),
        (&["belljar", "run", "--json", "probe"], "--dry-run"),
        (&["belljar", "run", "--dry-run", "--report", "x", "probe"], "cannot be used with"),
        (&["belljar", "-v", "-q", "doctor"], "cannot be used with"),
        (&["belljar", "doctor", "extra"], "unexpected argument 'extra' found"),
        (&["belljar", "profile"], "no subcommand is given"),
        (&["belljar", "profile", "show"], "<NAME|FILE>"),
        (&["belljar", "profile", "check", ""], "a value is required"),
        (&["belljar", "completions"], "<SHELL>"),
        (&["belljar", "completions", "csh"], "[possible values: bash"),
    ] {
        let (message, hints) = refused(line);
        assert!(message.contains(reason), "{line:?}: {message}");
        assert!(!message.contains('\n'), "{line:?}: {message}");
        assert!(!hints.is_empty(), "{line:?}");
    }
}

#[test]
fn a_slip_of_the_pen_gets_a_hint() {
    let (_, hints) = refused(&["belljar", "run", "--timeoute", "1s", "probe"]);
    assert!(hints.iter().any(|hint| hint.contains("'--timeout'")), "{hints:?}");
    let (_, hints) = refused(&["belljar", "profil"]);
    assert!(hints.iter().any(|hint| hint.contains("'profile'")), "{hints:?}");
}

#[test]
fn a_message_cannot_be_forged_by_what_is_quoted_in_it() {
    for line in [
        &["belljar", "run", "--timeout", "1\u{1b}[2J\nbelljar: fine", "x"][..],
        &["belljar", "run", "--\u{1b}[2J\nx", "x"],
        &["belljar", "\u{1b}[2J\nx"],
        &["belljar", "completions", "\u{1b}]52;c;x\u{7}\n\n"],
    ] {
        let (message, hints) = refused(line);
        let text = format!("{message}{}", hints.concat());
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(message.contains("\\x1b"), "{message}");
    }
    let mut line = words(&["belljar", "run", "--timeout", "", "x"]);
    line[3] = OsString::from_vec(b"\xff\x1b".to_vec());
    let (message, _) = refused_os(line);
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[test]
fn the_log_options_are_taken_before_and_after_the_subcommand() {
    for line in [&["belljar", "-vv", "doctor"][..], &["belljar", "doctor", "-v", "-v"]] {
        let Ok(Parsed::Do(cli)) = parse(&words(line)) else { panic!("{line:?}") };
        assert_eq!(cli.log.verbose, 2);
    }
}
