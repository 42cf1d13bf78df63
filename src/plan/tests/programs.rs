//! Programs as the sandbox will find them, and why it would not.

use std::path::{Path, PathBuf};

use super::fixtures::*;
use crate::host::{Facts, MemoryFiles};
use crate::plan::error::ProgramProblem as P;
use crate::plan::task::elf;
use crate::plan::{Call, Plan, PlanError, Task, Workload, resolve};
use crate::profile::{Mount, Process, Profile, Workdir};

fn host() -> MemoryFiles {
    files()
        .file("/usr/bin/script", 0o755, "#! /bin/sh -e\nexit\n")
        .file("/usr/bin/py", 0o755, "#!/opt/tool/bin/python\n")
        .file("/usr/bin/dos", 0o755, "#!/bin/sh\r\nexit\r\n")
        .file("/usr/bin/loop", 0o755, "#!/usr/bin/loop\n")
        .file("/usr/bin/plain", 0o644, elf::sample(62, None))
        .file("/usr/bin/text", 0o755, "exit 0\n")
        .file("/usr/bin/empty", 0o755, "")
        .file("/usr/bin/bang", 0o755, "#!  \n")
        .file("/usr/bin/arm", 0o755, elf::sample(183, None))
        .file("/usr/bin/musl", 0o755, elf::sample(62, Some("/lib/ld-musl-x86_64.so.1")))
        .file("/usr/bin/private", 0o700, elf::sample(62, None))
        .symlink("/usr/bin/java", "/etc/alternatives/java")
        .file("/usr/bin/adir/x", 0o755, "")
        .file("/usr/local/bin/plain", 0o755, elf::sample(62, None))
        .file("/home/me/project/run", 0o755, elf::sample(62, None))
        .file("/home/me/bin/mine", 0o755, elf::sample(62, None))
        .file("/home/me/sh", 0o755, elf::sample(62, None))
}

fn run_as(profile: &Profile, facts: &Facts, name: &str) -> Result<PathBuf, P> {
    let mut call = Call::program([name]);
    call.caller_env = [("PATH", "/opt/tool/bin:/home/me/bin:/usr/bin"), ("HOME", "/home/me")]
        .map(|(k, v)| (k.into(), v.into()))
        .into();
    match resolve(profile, facts, &host(), &call) {
        Ok(Plan { task: Task { workload: Workload::Program { path, .. }, .. }, .. }) => Ok(text(&path)),
        Err(PlanError::Program { problem, .. }) => Err(problem),
        other => panic!("{name}: {other:?}"),
    }
}

fn run(name: &str) -> Result<PathBuf, P> {
    run_as(&profile(), &facts(), name)
}

#[test]
fn found_as_the_sandbox_sees_it() {
    assert_eq!(run("sh").unwrap(), Path::new(SHELL));
    assert_eq!(run("/bin/sh").unwrap(), Path::new("/bin/sh"));
    assert_eq!(run("script").unwrap(), Path::new("/usr/bin/script"));
    // The first that can be executed, as execvp(3) has it.
    let mut profile = profile();
    profile.process.env = vec!["PATH=/usr/bin::/usr/local/bin".into()];
    assert_eq!(run_as(&profile, &facts(), "plain").unwrap(), Path::new("/usr/local/bin/plain"));
    // Relative to the working directory inside.
    let work = Profile { workdir: Workdir::Readonly, ..profile };
    assert_eq!(run_as(&work, &facts(), "./run").unwrap(), Path::new("/home/me/project/run"));
    assert_eq!(run_as(&work, &facts(), "run").unwrap(), Path::new("/home/me/project/run"));
}

#[test]
fn why_not() {
    type Is = fn(&P) -> bool;
    let table: [(&str, u8, Is); 17] = [
        ("", 127, |p| matches!(p, P::Empty)),
        ("a\0b", 126, |p| matches!(p, P::Nul)),
        ("nope", 127, |p| matches!(p, P::NotFound { path: Some(path) } if path == "/usr/bin:/bin")),
        ("/usr/bin/nope", 127, |p| matches!(p, P::NotFound { path: None })),
        ("/usr/bin/sh/x", 127, |p| matches!(p, P::NotFound { path: None })),
        ("tool", 127, |p| matches!(p, P::NotVisible { show, .. } if show == Path::new("/opt/tool"))),
        (
            "java",
            127,
            |p| matches!(p, P::Dangling { target, .. } if target == Path::new("/etc/alternatives/java")),
        ),
        ("/usr/bin", 126, |p| matches!(p, P::Directory { .. })),
        ("adir", 126, |p| matches!(p, P::Directory { .. })),
        ("plain", 126, |p| matches!(p, P::Permission { .. })),
        ("private", 126, |p| matches!(p, P::Permission { .. })),
        ("py", 126, |p| matches!(p, P::Interpreter { interpreter, .. } if interpreter.ends_with("python"))),
        (
            "musl",
            126,
            |p| matches!(p, P::Loader { loader, .. } if loader == Path::new("/lib/ld-musl-x86_64.so.1")),
        ),
        ("arm", 126, |p| matches!(p, P::Architecture { machine, .. } if machine == "aarch64")),
        ("loop", 126, |p| matches!(p, P::Interpreters { .. })),
        ("/etc/passwd", 126, |p| matches!(p, P::Special { .. })),
        ("/proc/self/exe", 126, |p| matches!(p, P::Unknown { .. })),
    ];
    for (name, code, is) in table {
        let problem = run(name).unwrap_err();
        assert!(is(&problem), "{name:?}: {problem:?}");
        assert_eq!(problem.exit_code(), code, "{name:?}");
    }
    for name in ["text", "empty", "bang"] {
        assert!(matches!(run(name), Err(P::Format { .. })), "{name}");
    }
    let error = resolve(&profile(), &facts(), &host(), &Call::program(["dos"])).unwrap_err();
    assert!(error.hint().unwrap().contains("line endings"));
}

/// Programs in the caller's home: what is shown has no credentials beside them, and is enough to run them.
#[test]
fn what_would_show_it_of_a_home() {
    let files = [
        "/home/me/.local/bin/tool",
        "/home/me/.nvm/versions/node/v20/bin/node",
        "/home/me/.pyenv/shims/python",
        "/home/me/.hidden/own",
        "/home/me/go1.22/bin/go",
        "/home/me/.cargo/bin/rustup",
        "/home/me/.cargo/bin/mdbook",
    ]
    .into_iter()
    .fold(host().directory("/home/me/.rustup"), |files, path| files.file(path, 0o755, elf::sample(62, None)))
    .symlink("/home/me/.cargo/bin/cargo", "rustup");
    let hint = |path: &str| {
        let mut call = Call::program([path]);
        call.caller_env = [("HOME".into(), "/home/me".into())].into();
        resolve(&profile(), &facts(), &files, &call).unwrap_err().hint().unwrap()
    };
    for (program, shown) in [
        ("/home/me/.local/bin/tool", "/home/me/.local/bin"),
        ("/home/me/.nvm/versions/node/v20/bin/node", "/home/me/.nvm/versions/node/v20"),
        ("/home/me/.pyenv/shims/python", "/home/me/.pyenv"),
        ("/home/me/.hidden/own", "/home/me/.hidden/own"),
        ("/home/me/go1.22/bin/go", "/home/me/go1.22"),
        ("/home/me/.cargo/bin/mdbook", "/home/me/.cargo/bin"),
    ] {
        assert_eq!(hint(program), format!("show it with --ro-bind {shown}"));
    }
    assert_eq!(
        hint("/home/me/.cargo/bin/cargo"),
        "show it with --ro-bind /home/me/.cargo/bin --ro-bind /home/me/.rustup --env RUSTUP_HOME=/home/me/.rustup \
         --env PATH=/home/me/.cargo/bin:/usr/bin:/bin"
    );
}

/// A symlink to a program that is visible, as in a virtual environment of Python's: it is the symlink that is
/// not seen.
#[test]
fn what_would_show_a_symlink_to_a_visible_program() {
    let files =
        host().directory("/home/me/project/v/bin").symlink("/home/me/project/v/bin/sh2", "/usr/bin/sh");
    let hint = |name: &str, profile: &Profile| {
        let mut call = Call::program([name]);
        call.caller_env = [("PATH".into(), "/home/me/project/v/bin:/usr/bin".into())].into();
        resolve(profile, &facts(), &files, &call).map(drop).map_err(|error| error.hint().unwrap())
    };
    let shown = "show it with --ro-bind /home/me/project/v";
    assert_eq!(hint("/home/me/project/v/bin/sh2", &profile()), Err(shown.to_owned()));
    assert_eq!(
        hint("v/bin/sh2", &profile()),
        Err(format!("{shown}, and start there with --workdir /home/me/project"))
    );
    assert_eq!(hint("sh2", &profile()), Err(format!("{shown}, and run /home/me/project/v/bin/sh2")));
    let followed = with([bind("/home/me/project/v", "/home/me/project/v", true)]);
    assert_eq!(hint("/home/me/project/v/bin/sh2", &followed), Ok(()));
}

#[test]
fn a_command_line_in_one_word_is_for_a_shell() {
    let hint =
        |name: &str| resolve(&profile(), &facts(), &host(), &Call::program([name])).unwrap_err().hint();
    assert!(hint("sh -c x").unwrap().contains("sh -c 'COMMAND'"));
    assert_eq!(hint("nope"), None);
    assert_eq!(hint("/with a/space"), None);
}

#[test]
fn what_would_show_it() {
    let show = |name: &str| match run(name) {
        Err(P::NotVisible { show, other, .. }) => (show, other),
        other => panic!("{name}: {other:?}"),
    };
    // Never the home as a whole.
    assert_eq!(show("mine"), ("/home/me/bin".into(), None));
    // Another of the name is visible.
    assert_eq!(show("/home/me/sh"), ("/home/me/sh".into(), Some(Path::new(SHELL).into())));
    let call = Call::program(["/home/me/sh"]);
    let error = resolve(&profile(), &facts(), &host(), &call).unwrap_err();
    assert!(error.hint().unwrap().starts_with("run /usr/bin/sh in its place, or show it with --ro-bind"));
    assert_eq!(error.exit_code(), 127);
}

#[test]
fn a_hint_that_was_followed_leads_on() {
    let hint = |profile: &Profile, name: &str| match run_as(profile, &facts(), name) {
        Err(problem) => problem.hint().unwrap_or_default(),
        Ok(path) => panic!("{path:?}"),
    };
    // A name that only the caller's PATH leads to, and then by its path.
    assert_eq!(hint(&profile(), "tool"), "show it with --ro-bind /opt/tool, and run /opt/tool/bin/tool");
    let shown = with([bind("/opt/tool", "/opt/tool", true)]);
    assert!(
        matches!(run_as(&shown, &facts(), "tool"), Err(P::NotInPath { at, .. }) if at == Path::new("/opt/tool/bin/tool"))
    );
    assert_eq!(hint(&shown, "tool"), "run /opt/tool/bin/tool, or set PATH with --env PATH=...");
    assert_eq!(run_as(&shown, &facts(), "/opt/tool/bin/tool").unwrap(), Path::new("/opt/tool/bin/tool"));
    // A path from the caller's working directory, where the sandbox does not start unless it is shown.
    assert_eq!(
        hint(&profile(), "./run"),
        "show it with --ro-bind /home/me/project, and start there with --workdir /home/me/project"
    );
    let shown = with([bind("/home/me/project", "/home/me/project", true)]);
    assert_eq!(run_as(&shown, &facts(), "./run").unwrap(), Path::new("/home/me/project/./run"));
    let elsewhere =
        Profile { process: Process { cwd: Some("/usr".into()), ..shown.process.clone() }, ..shown };
    assert_eq!(hint(&elsewhere, "./run"), "start there with --workdir /home/me/project");
    assert!(matches!(run_as(&profile(), &facts(), "./nope"), Err(P::NotFound { path: None })));
}

#[test]
fn mounts_without_execution() {
    let noexec = with([Mount { noexec: true, ..bind("/opt/tool", "/opt/tool", true) }]);
    match run_as(&noexec, &facts(), "/opt/tool/bin/tool") {
        Err(P::NoExec { mount, .. }) => assert_eq!(mount, Path::new("/opt/tool")),
        other => panic!("{other:?}"),
    }
    // A bind mount shows what the host's own mount lets it: the file, its interpreter and its loader.
    let shown = with([bind("/opt/tool", "/t", true), bind("/lib", "/lib", true)]);
    let on = |point: &str, name: &str| {
        let files = host().file("/opt/tool/bin/script", 0o755, "#!/t/bin/tool\n").file(
            "/lib/ld-musl-x86_64.so.1",
            0o755,
            elf::sample(62, None),
        );
        let files = files.mounted_noexec(point);
        resolve(&shown, &facts(), &files, &Call::program([name])).map(drop)
    };
    for name in ["/t/bin/tool", "/t/bin/script", "musl"] {
        on("/home", name).unwrap();
    }
    for (point, name, found) in [
        ("/opt", "/t/bin/tool", "/opt/tool/bin/tool"),
        ("/opt/tool/bin/script", "/t/bin/script", "/opt/tool/bin/script"),
        ("/opt/tool/bin/tool", "/t/bin/script", "/opt/tool/bin/tool"),
        ("/lib", "musl", "/lib/ld-musl-x86_64.so.1"),
    ] {
        let error = on(point, name).unwrap_err();
        assert_eq!(error.exit_code(), 126);
        assert!(error.hint().is_some());
        match error {
            PlanError::Program { problem: P::HostNoExec { host, .. }, .. } => {
                assert_eq!(host, Path::new(found));
            }
            other => panic!("{point} {name}: {other:?}"),
        }
    }
}

#[test]
fn permissions_are_those_of_the_sandbox() {
    // 0700 and root's: not for a stranger, nor for root's sandbox; shown as its own it is.
    assert!(run_as(&profile(), &root_facts(), "private").is_err());
    let mut mine = with([bind("/usr/bin/private", "/own/private", true)]);
    let own = mine.mounts.last_mut().unwrap();
    own.kind = crate::profile::MountKind::Bind { source: "/usr/bin/private".into(), idmap: true };
    assert!(run_as(&mine, &root_facts(), "/own/private").is_ok());
    assert!(run_as(&mine, &facts(), "/own/private").is_err());
    let as_owner = Facts { uid: 0, ..root_facts() };
    assert!(run_as(&mine, &as_owner, "/usr/bin/private").is_err());
}

#[test]
fn masked_programs_are_not_there() {
    let mut profile = profile();
    profile.masked_paths = vec!["/usr/bin/sh".into(), "/usr/local".into()];
    let told = |path| run_as(&profile, &facts(), path).unwrap_err().to_string();
    assert_eq!(told("/usr/bin/sh"), "\"/usr/bin/sh\" is not executable: it is hidden (maskedPaths)");
    assert_eq!(told("/etc/passwd"), "\"/etc/passwd\" is not executable: it is a file that belljar makes");
    assert_eq!(told("/dev/null"), "\"/dev/null\" is not executable: it is a device");
    assert!(run_as(&profile, &facts(), "/usr/local/bin/plain").is_err());
}

#[test]
fn lite_runs_what_it_may_execute() {
    assert_eq!(run_as(&lite(), &facts(), "sh").unwrap(), Path::new(SHELL));
    match run_as(&lite(), &facts(), "/opt/tool/bin/tool") {
        Err(P::NotVisible { show, .. }) => assert_eq!(show, Path::new("/opt/tool")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_to_run() {
    let empty = Call::program(Vec::<String>::new());
    let error = resolve(&profile(), &facts(), &host(), &empty).unwrap_err();
    assert!(matches!(error, PlanError::Program { problem: P::Empty, .. }));
}
