//! How layers merge.

use super::*;

#[test]
fn tables_merge_by_key_and_lists_by_their_rules() {
    let text = r#"
        extends = "strict"
        namespaces = ["-network", "+time"]
        maskedPaths = ["+/proc/x"]
        mounts = [
            { destination = "/tmp", type = "tmpfs", options = ["size=1MiB"] },
            { destination = "/data", source = "/srv", options = ["ro", "noexec"] },
            { destination = "/etc/localtime", remove = true },
        ]
        process.env = ["HOME=/data", "NEW=1"]
        process.rlimits.nofile = 64
        limits.output = "1MiB"
        [[seccomp.syscalls]]
        names = ["uname"]
        action = "errno"
        errnoRet = "EINVAL"
    "#;
    let (strict, profile) = (load("strict", &[]), from_toml(text, "p").unwrap());
    assert!(
        !profile.namespaces.contains(&Namespace::Network) && profile.namespaces.contains(&Namespace::Time)
    );
    assert!(profile.namespaces.contains(&Namespace::Pid));
    assert_eq!(profile.masked_paths, [PathBuf::from("/proc/x")]);
    assert_eq!(
        mount(&profile, "/tmp").unwrap().kind,
        MountKind::Tmpfs { size: 1 << 20, inodes: 8192, mode: 0o1777 }
    );
    assert!(!mount(&profile, "/tmp").unwrap().noexec, "an entry takes the place of the whole inherited one");
    assert!(mount(&profile, "/etc/localtime").is_none());
    assert_eq!(profile.mounts.len(), strict.mounts.len());
    assert!(
        profile.process.env.contains(&"HOME=/data".to_owned())
            && profile.process.env.contains(&"NEW=1".to_owned())
    );
    assert!(profile.process.env.iter().any(|entry| entry.starts_with("PATH=")));
    assert_eq!(profile.process.rlimits["nofile"], Rlimit { soft: Some(64), hard: Some(64) });
    assert_eq!(profile.process.rlimits["core"], strict.process.rlimits["core"]);
    assert_eq!(profile.limits.output, Some(1 << 20));
    assert_eq!(profile.limits.file_size, strict.limits.file_size);
    let rules = profile.seccomp.unwrap().rules;
    assert_eq!(rules[0].names, ["uname"]);
    assert_eq!(rules[0].action, Action::Errno(libc::EINVAL as u16));
    assert_eq!(rules[1..], strict.seccomp.unwrap().rules);
}

#[test]
fn overrides_apply_in_order() {
    let profile =
        load("strict", &["hostname=a", "hostname=b", "process.env=A=1", "process.env=B=2", "hostname=c"]);
    assert_eq!(profile.hostname.as_deref(), Some("c"));
    assert!(
        profile.process.env.contains(&"A=1".to_owned()) && profile.process.env.contains(&"B=2".to_owned())
    );
    assert_eq!(load("strict", &["hostname="]).hostname, None);
    let own = load("strict", &["root.path=/srv/root"]);
    assert!(own.mounts.iter().all(|mount| !mount.system) && !own.root.synthetic_etc);
}

#[test]
fn a_filter_that_is_off_stays_off_only_in_silence() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "off.toml", "extends = \"strict\"\nseccomp.mode = \"off\"\n");
    let rule = "syscalls = [{ names = [\"uname\"], action = \"kill\" }]\n";
    let child = write(directory.path(), "child.toml", "extends = \"./off.toml\"\n");
    assert_eq!(load(&child, &[]).seccomp, None);
    let text = format!("extends = \"./off.toml\"\n[seccomp]\n{rule}");
    let said = error_chain(&load_named(&write(directory.path(), "rules.toml", text)).unwrap_err());
    assert!(said.contains("rules.toml") && said.contains("mode = \"filter\""), "{said}");
    let text = format!("extends = \"./off.toml\"\n[seccomp]\nmode = \"filter\"\n{rule}");
    let on = load(&write(directory.path(), "on.toml", text), &[]).seccomp.unwrap();
    assert_eq!(on.rules[0].action, Action::KillProcess);
    assert_eq!(on.rules[1..], load("strict", &[]).seccomp.unwrap().rules);
}

#[test]
fn an_errno_belongs_to_its_action() {
    let default = |overrides: &[&str]| load("strict", overrides).seccomp.unwrap().default;
    assert_eq!(default(&["seccomp.defaultErrnoRet=EACCES"]), Action::Errno(libc::EACCES as u16));
    assert_eq!(default(&["seccomp.defaultAction=errno"]), Action::Errno(libc::EPERM as u16));
    assert_eq!(default(&["seccomp.defaultAction=trap"]), Action::Trap);
    let both = ["seccomp.defaultAction=kill", "seccomp.defaultErrnoRet=EPERM"];
    let said = error_chain(&Profile::load_with("strict", &both).unwrap_err());
    assert!(said.contains("seccomp.defaultErrnoRet") && said.contains("only goes with"), "{said}");
}
