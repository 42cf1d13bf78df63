use std::os::unix::ffi::OsStringExt as _;

use proptest::prelude::*;

use super::*;
use crate::cli::args::{Command, Parsed, parse};

fn run_args(line: Vec<OsString>) -> RunArgs {
    match parse(&line) {
        Ok(Parsed::Do(cli)) => match cli.command {
            Command::Run(args) => *args,
            other => panic!("{line:?}: {other:?}"),
        },
        other => panic!("{line:?}: {other:?}"),
    }
}

/// Whether `belljar run LINE` runs a program, and the words of it or of the role.
fn task(line: &[&str]) -> (bool, Vec<String>) {
    let line = ["belljar", "run"].iter().chain(line).map(Into::into).collect();
    let args = run_args(line);
    let (program, first, rest) = match args.task().expect("a task") {
        Task::Role { name, args } => (false, name.to_owned(), args),
        Task::Program { path, args } => (true, display_name(path), args),
    };
    (program, std::iter::once(first).chain(rest.iter().map(display_name)).collect())
}

#[test]
fn a_program_comes_after_two_dashes_and_a_role_does_not() {
    for (line, program, expected) in [
        (&["probe"][..], false, &["probe"][..]),
        (&["probe", "--json"], false, &["probe", "--json"]),
        (&["--", "ls"], true, &["ls"]),
        (&["--", "ls", "-l", "--", "x"], true, &["ls", "-l", "--", "x"]),
        // What follows a role's name is the role's, even if it looks like an option.
        (&["probe", "--", "x"], false, &["probe", "--", "x"]),
        (&["probe", "--bind", "/:/", "-v", "--help"], false, &["probe", "--bind", "/:/", "-v", "--help"]),
        (&["-p", "build", "probe", "-p", "x"], false, &["probe", "-p", "x"]),
        // What follows the dashes is the program's: no option is taken out of it.
        (&["-p", "build", "--", "--bind", "/:/"], true, &["--bind", "/:/"]),
        (&["-v", "--", "-x"], true, &["-x"]),
        (&["--", "--"], true, &["--"]),
        (&["--", "--", "--"], true, &["--", "--"]),
        (&["--", "probe"], true, &["probe"]),
        (&["--env=--", "probe"], false, &["probe"]),
        (&["help"], false, &["help"]),
    ] {
        assert_eq!(task(line), (program, expected.iter().map(ToString::to_string).collect()), "{line:?}");
    }
}

proptest! {
    #[test]
    fn every_argument_reaches_the_task_unchanged(
        args in prop::collection::vec(prop::collection::vec(1_u8.., 0..20), 0..10),
        program: bool,
    ) {
        let args: Vec<OsString> = args.into_iter().map(OsString::from_vec).collect();
        let mut line: Vec<OsString> = ["belljar", "run", "-p", "x"].map(Into::into).to_vec();
        line.extend(program.then(|| "--".into()));
        line.push("task".into());
        line.extend(args.iter().cloned());
        let run = run_args(line);
        let found = match run.task().expect("a task") {
            Task::Program { args, .. } if program => args,
            Task::Role { args, .. } if !program => args,
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(found, args.as_slice());
    }
}

#[test]
fn an_argument_of_a_megabyte_is_one_argument() {
    let long = "x \"'\n".repeat(200_000);
    assert_eq!(run_args(["belljar", "run", "--", "p", &long].map(Into::into).to_vec()).task[1], *long);
}

#[test]
fn an_unknown_role_is_told_with_those_that_there_are_and_the_program_it_may_be() {
    let known = ["probe".to_owned(), "other".to_owned()];
    known_role("probe", &[], known.to_vec()).expect("known");
    let error = known_role("python3", &["job.py".into(), "x".into()], known.to_vec()).expect_err("unknown");
    assert_eq!(
        error.render(),
        "belljar: no role is called python3\n\
         hint: a program comes after --: belljar run -- python3 job.py ...\n\
         hint: there are: probe, other\n"
    );
    assert_eq!(error.exit_code(), 125);
}

#[test]
fn a_role_whose_name_is_no_text_is_unknown() {
    let mut line: Vec<OsString> = ["belljar", "run", "x"].map(Into::into).to_vec();
    line[2] = OsString::from_vec(b"\xff".to_vec());
    let error = parse(&line).expect_err("refused");
    assert_eq!(error.message(), "no role is called \\xff");
}
