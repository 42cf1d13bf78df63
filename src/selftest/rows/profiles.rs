//! The command line, profiles and the library (C): attacks on the caller's side, which tests prove.

use crate::selftest::{Check, Row};

pub(super) const ROWS: &[Row] = &[
    Row::tests(
        "C1",
        "profile names that are paths",
        "CWE-22",
        &["tests/profiles/refusals.rs: names_that_are_no_names"],
    ),
    Row::tests(
        "C2",
        "profiles that another user wrote",
        "CWE-367",
        &[
            "tests/profiles/refusals.rs: files_that_are_not_taken",
            "tests/profiles/refusals.rs: foreign_files_are_not_taken",
            "tests/profiles/refusals.rs: nothing_is_loaded_from_the_current_directory_by_name",
        ],
    ),
    Row::tests(
        "C3",
        "profiles that never end",
        "CWE-776",
        &[
            "tests/profiles/refusals.rs: chains_are_bounded_and_shown",
            "tests/profiles/refusals.rs: nesting_is_bounded",
        ],
    ),
    Row::tests(
        "C4",
        "keys and features ignored",
        "systemd issues 9870, 3944; firejail issue 3933",
        &[
            "tests/profiles/refusals.rs: errors_name_the_key_the_line_and_the_nearest_key",
            "src/plan/tests/walls.rs: no_landlock_no_plan",
        ],
    ),
    Row::tests(
        "C5",
        "a broken profile replaced by a default",
        "sandbox-runtime: loadConfig",
        &["tests/cli/main.rs: broken_profiles_are_refused_with_a_reason"],
    ),
    Row::tests(
        "C6",
        "limits of 0, below, or too large",
        "CWE-190",
        &[
            "src/profile/units.rs: mod tests",
            "tests/profiles/setters.rs: changes_are_checked_and_leave_nothing_half_done",
        ],
    ),
    open("C7", "names of sandboxes that are paths", "crun 1.28", "sandboxes have no names"),
    open("C8", "a forged state directory", "CVE-2022-31214", "there is no state on disk and nothing to join"),
    open("C9", "hooks with the task's paths", "CVE-2025-23266", "there are no hooks"),
    Row::tests(
        "C10",
        "paths taken from the environment",
        "CWE-807",
        &[
            "tests/profiles/refusals.rs: files_that_are_not_taken",
            "tests/escape/profiles.rs: home_decides_over_no_builtin_profile",
        ],
    ),
    Row::tests(
        "C11",
        "control characters in messages",
        "CWE-150",
        &[
            "src/cli/args_tests.rs: mod tests",
            "tests/escape/profiles.rs: messages_have_no_control_characters",
        ],
    ),
    Row::tests(
        "C12",
        "a silent run without the sandbox",
        "claude-code: allowUnsandboxedCommands",
        &["tests/escape/profiles.rs: what_cannot_be_had_is_not_run"],
    ),
    Row::tests("C13", "many runs at the same time", "CWE-362", &["tests/end_to_end/leftovers.rs: at_once"]),
    open("C14", "OCI bundles that are no bundles", "OCI runtime-spec", "there is no OCI front end yet"),
    Row::tests(
        "C15",
        "a policy changed during the run",
        "claude-code issues 81572, 89165",
        &["tests/escape/profiles.rs: a_run_keeps_the_profile_that_it_started_with"],
    ),
];

const fn open(id: &'static str, title: &'static str, source: &'static str, why: &'static str) -> Row {
    Row { id, title, source, check: Check::Open(why) }
}
