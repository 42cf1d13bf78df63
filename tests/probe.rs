//! The role `probe`: truthful outside, truthful inside, harmless in both.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

belljar::enable_test_support!();

/// Some walls, then the probe.
fn walled() -> Result<(), Box<dyn std::error::Error>> {
    let check = |result: i64| if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) };
    // SAFETY: system calls without pointers, and one with a structure of the size that is passed.
    unsafe {
        let (uid, gid) = (libc::getuid(), libc::getgid());
        check(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWUTS).into())?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("1000 {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("1000 {gid} 1"))?;
        check(libc::sethostname(c"belljar".as_ptr(), 7).into())?;
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
        let read_directories: u64 = 1 << 3;
        let ruleset = check(libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const read_directories,
            size_of::<u64>(),
            0,
        ))?;
        check(libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0))?;
    }
    belljar::internals::probe::run()?;
    Ok(())
}
belljar::role!("walled", walled);
// What is built in has a name of its own: this one is free.
belljar::role!("probe", belljar::internals::probe::run);

fn probe(role: &str) -> Value {
    let output = belljar::reexec::command(role).arg("--json").output().expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("json")
}

fn outcome(all: &Value, name: &str) -> String {
    let all = all.as_array().expect("attempts");
    let found = all.iter().find(|attempt| attempt["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}"))["outcome"].as_str().expect("an outcome").to_owned()
}

fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

#[test]
fn outside_it_sees_what_there_is() {
    let sight = probe("probe");
    // SAFETY: no preconditions.
    let (uid, own) = unsafe { (libc::getuid(), std::process::id()) };
    assert_eq!(sight["identity"]["uid"][0], uid);
    let visible: Vec<_> = sight["process"]["visible"]
        .as_array()
        .expect("processes")
        .iter()
        .map(|process| &process["pid"])
        .collect();
    assert!(visible.len() > 2, "{visible:?}");
    assert!(visible.contains(&&Value::from(own)) && visible.contains(&&sight["process"]["pid"]));
    assert_eq!(sight["process"]["ppid"], own);
    let entries: BTreeSet<String> = std::fs::read_dir("/")
        .expect("a root")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(strings(&sight["files"]["root"]["entries"]), entries);
    let descriptors = &sight["process"]["descriptors"];
    assert_eq!(descriptors["0"], "/dev/null");
    for pipe in ["1", "2"] {
        assert!(
            descriptors[pipe].as_str().is_some_and(|target| target.starts_with("pipe:")),
            "{descriptors}"
        );
    }
    assert_eq!(outcome(&sight["network"]["sockets"], "inet-tcp"), "allowed");
    assert_eq!(outcome(&sight["attempts"], "ptrace (be traced)"), "allowed");
    assert_eq!(
        outcome(&sight["attempts"], "become root (setresuid 0)"),
        if uid == 0 { "allowed" } else { "refused" }
    );
    assert_eq!(outcome(&sight["attempts"], "TIOCSTI"), "allowed");
    assert!(
        strings(&sight["files"]["writable"]).contains(&std::env::temp_dir().to_string_lossy().into_owned())
    );
}

#[test]
fn inside_it_sees_the_walls() {
    let (outside, inside) = (probe("probe"), probe("walled"));
    let hardening = &inside["hardening"];
    assert_eq!(inside["identity"]["uid"], serde_json::json!([1000, 1000, 1000]));
    assert_eq!(inside["identity"]["setgroups"], "deny");
    assert_eq!(hardening["no_new_privs"], true);
    assert_eq!(outside["hardening"]["no_new_privs"], false);
    let layers = |sight: &Value| sight["hardening"]["landlock"]["layers"].as_i64();
    assert_eq!(layers(&inside), layers(&outside).map(|layers| layers + 1));
    for (name, same) in [("user", false), ("net", false), ("uts", false), ("mnt", true), ("pid", true)] {
        let inode = |sight: &Value| sight["hardening"]["namespaces"][name].as_u64().expect("an inode");
        assert_eq!(inode(&inside) == inode(&outside), same, "{name}");
    }
    assert_eq!(inside["process"]["hostname"], "belljar");
    assert_eq!(strings(&inside["network"]["interfaces"]), BTreeSet::from(["lo".to_owned()]));
    assert_eq!(outcome(&inside["network"]["reach"], "route to 192.0.2.1"), "refused");
    assert_eq!(outcome(&inside["network"]["reach"], "tcp 127.0.0.1:1"), "refused");
    assert_eq!(inside["files"]["root"]["errno"], "EACCES");
    assert_eq!(outcome(&inside["attempts"], "mount"), "refused");
}

#[test]
fn it_leaves_everything_as_it_was() {
    let state = || {
        let read = |path: &str| std::fs::read_to_string(path).expect("a reading");
        (
            read("/proc/self/mountinfo"),
            read("/proc/sys/kernel/hostname"),
            read("/proc/sys/kernel/core_pattern"),
            Path::new("/tmp").exists().then(|| {
                std::fs::read_dir("/tmp")
                    .expect("a directory")
                    .flatten()
                    .any(|entry| entry.file_name().to_string_lossy().starts_with(".belljar-probe"))
            }),
        )
    };
    let before = state();
    probe("probe");
    assert_eq!(state(), before);
}

#[test]
fn the_page_has_every_subject_and_no_other_argument_is_taken() {
    let page = belljar::reexec::command("probe").output().expect("a child");
    let text = String::from_utf8(page.stdout).expect("text");
    for subject in ["identity", "hardening", "process", "files", "network", "attempts"] {
        assert!(text.lines().any(|line| line == subject), "{subject}: {text}");
    }
    let wrong = belljar::reexec::command("probe").arg("--jsno").output().expect("a child");
    assert_eq!(wrong.status.code(), Some(1));
    let error = String::from_utf8_lossy(&wrong.stderr);
    assert!(error.contains("\"--jsno\"") && error.contains("usage: probe [--json]"), "{error}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child =
        belljar::reexec::command("probe").stdout(belljar::reexec::Stdio::piped()).spawn().expect("a child");
    drop(child.stdout.take());
    assert!(child.wait().expect("its end").success());
}
