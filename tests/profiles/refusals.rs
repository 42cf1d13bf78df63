//! What is refused, and how it is said.

use super::*;

#[test]
fn errors_name_the_key_the_line_and_the_nearest_key() {
    let table: &[(&str, &[&str])] = &[
        (
            "extends = \"strict\"\nhostnmae = \"x\"",
            &["p.toml: line 2, column 1", "unknown key hostnmae", "did you mean hostname?"],
        ),
        (
            "extends = \"strict\"\n[process]\n  umaks = 0",
            &["line 3, column 3", "process.umaks", "did you mean process.umask?"],
        ),
        ("extends = \"strict\"\nmasked_paths = []", &["masked_paths", "did you mean maskedPaths?"]),
        ("extends = \"strict\"\numask = \"022\"", &["unknown key umask", "did you mean process.umask?"]),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/x\", sourc = \"/y\" }]",
            &["mounts[0].sourc", "mounts[0].source?"],
        ),
        ("extends = \"strict\"\nxyzzy = 1", &["unknown key xyzzy"]),
        (
            "extends = \"strict\"\nhostname = 5",
            &["line 2", "hostname", "expected a string, found an integer"],
        ),
        ("extends = \"strict\"\nhostname = \"a\"\nhostname = \"b\"", &["line 3, column 1", "duplicate key"]),
        ("extends = \"strict\"\n[root]\n[root]", &["line 3", "duplicate key"]),
        ("extends = ", &["line 1, column 11"]),
        ("extends = \"strict\"\nöä = [", &["line 2"]),
        (
            "extends = \"strict\"\nworkdir = \"writeable\"",
            &["unknown workdir mode \"writeable\"", "did you mean writable?"],
        ),
        ("extends = \"strict\"\nnamespaces = [\"net\"]", &["namespaces[0]", "unknown namespace \"net\""]),
        ("extends = \"strict\"\nnamespaces = [\"user\", \"-pid\"]", &["namespaces", "either all entries"]),
        ("extends = \"strict\"\nnamespaces = [\"user\", \"user\"]", &["\"user\" is there twice"]),
        ("extends = \"strict\"\nnamespaces = [\"user\"]", &["namespaces", "mount, pid are missing"]),
        (
            "extends = \"strict\"\nnamespaces = [{ type = \"network\", path = \"/run/netns/x\" }]",
            &["namespaces", "user, mount, pid are missing"],
        ),
        (
            "extends = \"strict\"\nuidMappings = [{ containerID = 0, hostID = 1, size = 0 }]",
            &["uidMappings[0].size", "COUNT is 1 or more"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/x\", type = \"devpts\" }]",
            &["mounts (/x): devpts can only be mounted at /dev/pts"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/x\", type = \"tmpfs\", options = [\"hidepid=2\"] }]",
            &["mounts[0].options", "unknown option of a tmpfs \"hidepid=2\""],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/proc\", type = \"proc\", options = [\"mode=0700\"] }]",
            &["mounts[0].options", "option mode="],
        ),
        ("namespaces = [\"-user\"]", &["none is inherited"]),
        ("hostname = \"x\"", &["namespaces", "missing"]),
        ("namespaces = [\"user\", \"mount\", \"pid\"]", &["seccomp.defaultAction", "missing"]),
        (
            "extends = \"strict\"\nprocess.capabilities = [\"CAP_NET_RWA\"]",
            &["unknown capability", "CAP_NET_RAW"],
        ),
        (
            "extends = \"strict\"\nprocess.rlimits.nofiles = 5",
            &["unknown resource limit \"nofiles\"", "nofile"],
        ),
        ("extends = \"strict\"\nprocess.rlimits.cpu = 5", &["limits.cpuTime"]),
        ("extends = \"strict\"\nprocess.rlimits.nofile = { soft = 2, hard = 1 }", &["above the hard limit"]),
        ("extends = \"strict\"\nprocess.umask = 22", &["0o022"]),
        ("extends = \"strict\"\nprocess.env = [\"A=1\", \"A=2\"]", &["process.env[1]", "there twice"]),
        ("extends = \"strict\"\nprocess.env = [\"=1\"]", &["process.env[0]"]),
        ("extends = \"strict\"\nprocess.cwd = \"/proc/self/fd/7\"", &["process.cwd", "/proc"]),
        ("extends = \"strict\"\nprocess.cwd = \"../x\"", &["absolute path"]),
        ("extends = \"strict\"\nhostname = \"a_b\"", &["host name"]),
        ("extends = \"strict\"\nlimits.timeout = \"10x\"", &["ambiguous unit"]),
        ("extends = \"strict\"\nlimits.timeout = 0", &["unlimited"]),
        ("extends = \"strict\"\nlimits.output = \"-1MiB\"", &["not a size"]),
        ("extends = \"strict\"\nroot.size = \"unlimited\"", &["root.size", "not a size"]),
        ("extends = \"strict\"\nresources.pids.limit = -1", &["resources.pids.limit", "whole number"]),
        (
            "extends = \"strict\"\nresources.cpu.period = \"50ms\"",
            &["goes together with resources.cpu.quota"],
        ),
        ("extends = \"strict\"\nroot.overlay = true", &["root.overlay", "root.path is not set"]),
        ("extends = \"strict\"\nroot.path = \"~/root\"", &["not expanded"]),
        ("extends = \"strict\"\nnamespaces = [\"-uts\"]", &["hostname", "needs the uts namespace"]),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\"] }, { destination = \"/a\", options = [\"rw\"] }]",
            &["mounts[1]", "\"/a\" is there twice"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a/../b\", options = [\"ro\"] }]",
            &["mounts[0].destination", "absolute path"],
        ),
        ("extends = \"strict\"\nmounts = [{ destination = \"/\", options = [\"ro\"] }]", &["root.path"]),
        ("extends = \"strict\"\nmounts = [{ destination = \"/a\" }]", &["\"ro\" or \"rw\""]),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"rw\"] }]",
            &["says otherwise"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"suid\"] }]",
            &["\"suid\" is refused"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"dev\"] }]",
            &["\"dev\" is refused"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"noexce\"] }]",
            &["unknown mount option", "noexec"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"size=1MiB\"] }]",
            &["only goes with type \"tmpfs\""],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", type = \"tmpfs\", options = [\"size=65536KB\"] }]",
            &["ambiguous unit"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", type = \"tmpfs\", source = \"/b\" }]",
            &["only goes with type \"bind\""],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/sys\", type = \"sysfss\" }]",
            &["unknown mount type", "sysfs"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/x\", type = \"proc\" }]",
            &["mounts (/x)", "can only be mounted at /proc"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/nothing\", remove = true }]",
            &["not inherited"],
        ),
        (
            "extends = \"strict\"\nseccomp.mode = \"off\"\nseccomp.defaultAction = \"kill\"",
            &["does not go with"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"raed\"]\naction = \"allow\"",
            &["line 2", "unknown system call \"raed\"", "did you mean read?"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"@file-sytem\"]\naction = \"allow\"",
            &["@file-sytem", "@file-system"],
        ),
        ("extends = \"strict\"\n[[seccomp.syscalls]]\nnames = []\naction = \"allow\"", &["names", "missing"]),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]",
            &["seccomp.syscalls[0].action", "missing"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"allow\"\nerrnoRet = 1",
            &["only goes with"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"errno\"\nerrnoRet = 4096",
            &["out of range"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"errno\"\nerrnoRet = \"ENOPE\"",
            &["unknown errno \"ENOPE\""],
        ),
        ("extends = \"strict\"\n[seccomp]\ndefaultAction = \"notify\"", &["\"notify\" is refused"]),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"allow\"\nargs = [{ index = 6, op = \"==\", value = 0 }]",
            &["out of range (0 to 5)"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"allow\"\nargs = [{ index = 0, op = \"=\", value = 0 }]",
            &["unknown operator"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"allow\"\nargs = [{ index = 0, op = \"==\", value = -1 }]",
            &["out of range"],
        ),
        ("extends = \"lite\"\nhostname = \"x\"", &["hostname", "lite"]),
        ("extends = \"lite\"\nroot.readonly = true", &["root.readonly", "lite"]),
        ("extends = \"lite\"\nmaskedPaths = [\"/a\"]", &["maskedPaths", "lite"]),
        ("extends = \"lite\"\nprocess.noNewPrivileges = false", &["process.noNewPrivileges", "lite"]),
        ("extends = \"lite\"\nprocess.user = \"5\"", &["process.user", "lite"]),
        (
            "extends = \"lite\"\nmounts = [{ destination = \"/tmp\", type = \"tmpfs\" }]",
            &["mounts (/tmp)", "lite"],
        ),
        (
            "extends = \"lite\"\nmounts = [{ destination = \"/a\", source = \"/b\", options = [\"ro\"] }]",
            &["own place"],
        ),
        ("extends = \"lite\"\nnamespaces = []\nlandlock.mode = \"off\"\nseccomp.mode = \"off\"", &["lite"]),
        ("extends = \"../strict\"", &["cannot open profile ../strict"]),
        ("extends = \"Strict\"", &["not a profile's name"]),
        ("extends = [\"strict\", \"lite\"]", &["extends", "expected a string, found a list"]),
        ("extends = \"strict\"\n\"a\\u001b[31m\" = 1", &["unknown key a\\u{1b}[31m"]),
        ("extends = \"strict\"\nhostname = \"\\u001b[31m\"", &["\\u{1b}[31m"]),
    ];
    for (text, parts) in table {
        let said = refused(text);
        for part in *parts {
            assert!(said.contains(part), "{text}\nsaid: {said}\nmissing: {part}");
        }
        assert!(!said.chars().any(char::is_control), "{said:?}");
        assert!(!said.ends_with('.'), "{said}");
    }
}

#[test]
fn the_error_of_a_value_is_there_as_data() {
    match from_toml("extends = \"strict\"\n\nlimits.output = 0", "p.toml") {
        Err(ProfileError::Value { place, key, source }) => {
            assert_eq!(place.position, Some((3, 17)));
            assert_eq!(key, "limits.output");
            assert_eq!(*source, ValueError::Zero);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_that_are_no_names() {
    for name in [
        "",
        ".",
        "..",
        ".x",
        "-p",
        "--profile",
        "STRICT",
        "a b",
        "a\0b",
        "a\nb",
        "a\x1bb",
        "a\\b",
        "~",
        "$HOME",
        "%2e",
        "strict ",
        "strict\n",
        " strict",
        "str\u{0456}ct",
        &"a".repeat(65),
    ] {
        let error = load_named(name).unwrap_err();
        assert!(matches!(error, ProfileError::Name { .. }), "{name:?}: {error:?}");
        assert!(!error.to_string().chars().any(char::is_control), "{error}");
    }
    for path in ["../strict", "/", "./", "/etc", "strict/..", "/nonexistent/x.toml", "./strict"] {
        let error = load_named(path).unwrap_err();
        assert!(
            matches!(
                error,
                ProfileError::File { .. }
                    | ProfileError::NotRegular { .. }
                    | ProfileError::WritableByOthers { .. }
            ),
            "{path}: {error:?}"
        );
    }
}

#[test]
fn files_that_are_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(directory.path(), "good.toml", "extends = \"strict\"\nhostname = \"good\"\n");
    assert_eq!(load(&good, &[]).hostname.as_deref(), Some("good"));
    std::fs::set_permissions(&good, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = load_named(&good).unwrap_err();
    assert!(matches!(error, ProfileError::WritableByOthers { mode: 0o666, .. }), "{error:?}");
    assert!(error.to_string().contains("chmod go-w"));

    let large = directory.path().join("large.toml");
    let file = std::fs::File::create(&large).unwrap();
    file.set_len(10 << 20).unwrap();
    std::fs::set_permissions(&large, std::fs::Permissions::from_mode(0o644)).unwrap();
    let start = Instant::now();
    let error = load_named(large.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, ProfileError::TooLarge { limit: 262_144, .. }), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(1));

    let latin = write(directory.path(), "latin.toml", b"extends = \"strict\"\n# gr\xfcn\n");
    let error = load_named(&latin).unwrap_err();
    assert!(matches!(error, ProfileError::NotUtf8 { line: 2, .. }), "{error:?}");
}

#[test]
fn foreign_files_are_not_taken() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can make a file of another user's; the rule itself has its unit test.
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path(), "theirs.toml", "extends = \"strict\"\n");
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    let error = load_named(&path).unwrap_err();
    assert!(matches!(error, ProfileError::ForeignOwner { owner: 65534, caller: 0, .. }), "{error:?}");
}

#[test]
fn chains_are_bounded_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let own = write(directory.path(), "own.toml", "extends = \"./own.toml\"\n");
    write(directory.path(), "a.toml", "extends = \"./sub/../b.toml\"\n");
    std::fs::create_dir(directory.path().join("sub")).unwrap();
    write(directory.path(), "b.toml", "extends = \"./c.toml\"\n");
    write(directory.path(), "c.toml", "extends = \"./a.toml\"\n");
    let circle = directory.path().join("a.toml");
    for (path, links) in [(own.as_str(), 1), (circle.to_str().unwrap(), 3)] {
        match load_named(path).unwrap_err() {
            ProfileError::Cycle { chain } => {
                assert_eq!(chain.0.len(), links + 1);
                assert_eq!(chain.to_string().matches(" extends ").count(), links);
            }
            other => panic!("{other:?}"),
        }
    }
    // 8 profiles, the built-in one counted, are the most.
    let mut path = write(directory.path(), "0.toml", "extends = \"strict\"\n");
    for n in 1..7 {
        path = write(directory.path(), &format!("{n}.toml"), format!("extends = \"./{}.toml\"\n", n - 1));
    }
    load(&path, &[]);
    let path = write(directory.path(), "7.toml", "extends = \"./6.toml\"\n");
    assert!(matches!(load_named(&path), Err(ProfileError::TooDeep { limit: 8, .. })));
    // An error further down says how one came there.
    write(directory.path(), "bad.toml", "extends = \"strict\"\nhostnam = 1\n");
    let path = write(directory.path(), "good.toml", "extends = \"./bad.toml\"\n");
    let said = error_chain(&load_named(&path).unwrap_err());
    assert!(
        said.contains("good.toml extends ")
            && said.contains("bad.toml: line 2")
            && said.contains("hostname?"),
        "{said}"
    );
    // Together they are not larger than one that is too large.
    let filler = format!("extends = \"./part0.toml\"\n#{}\n", "x".repeat(200_000));
    write(directory.path(), "part0.toml", filler.replace("./part0.toml", "strict"));
    write(directory.path(), "part1.toml", &filler);
    let path = write(directory.path(), "part2.toml", filler.replace("part0", "part1"));
    let said = error_chain(&load_named(&path).unwrap_err());
    assert!(said.contains("larger than"), "{said}");
}

#[test]
fn relative_paths_start_at_the_profiles_file() {
    let directory = tempfile::tempdir().unwrap();
    let text = "extends = \"strict\"\nmounts = [{ destination = \"/data\", source = \"data\", options = [\"ro\"] }]\n";
    let path = write(directory.path(), "p.toml", text);
    let MountKind::Bind { source, .. } = mount(&load(&path, &[]), "/data").unwrap().kind.clone() else {
        panic!()
    };
    assert_eq!(source, directory.path().join("data"));
}

#[test]
fn nothing_is_loaded_from_the_current_directory_by_name() {
    // Cargo runs this in the package's directory; profiles/strict.toml and the like are there, by path only.
    assert!(Path::new("profiles/strict.toml").exists());
    // The user's directory may be out of reach (a HOME of another user's): an error too.
    let error = load_named("strict.toml").unwrap_err();
    let sought = profile::user_directory().unwrap_or_default();
    match error {
        ProfileError::NotFound { name, .. } => assert_eq!(name, "strict.toml"),
        ProfileError::File { path, .. } => assert_eq!(path, sought),
        other => panic!("{other:?}"),
    }
}

#[test]
fn oci_seccomp_profiles_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let json = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [
        { "names": ["read", "write", "some_future_call"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["fchown"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_CHOWN"] } } ] }"#;
    write(directory.path(), "docker.json", json);
    let path = write(directory.path(), "p.toml", "extends = \"strict\"\nseccomp.profile = \"docker.json\"\n");
    let allows = |profile: &Profile, call: &str| {
        let rules = &profile.seccomp.as_ref().unwrap().rules;
        rules.iter().any(|rule| rule.action == Action::Allow && rule.names.iter().any(|name| name == call))
    };
    let profile = load(&path, &[]);
    assert_eq!(profile.seccomp.as_ref().unwrap().default, Action::Errno(38));
    assert!(allows(&profile, "read") && !allows(&profile, "openat") && !allows(&profile, "some_future_call"));
    assert!(!allows(&profile, "fchown"));
    assert!(allows(&load(&path, &["process.capabilities=CAP_CHOWN"]), "fchown"));
    // A profile's own rules go before, and the same file is refused where unknown names are.
    let own = load(&path, &["seccomp.syscalls=[{ names = [\"read\"], action = \"kill\" }]"]);
    assert_eq!(own.seccomp.unwrap().rules[0].action, Action::KillProcess);
    let said = error_chain(&Profile::load_with(&path, &["seccomp.unknownNames=refuse"]).unwrap_err());
    assert!(said.contains("some_future_call") && said.contains("docker.json"), "{said}");
    write(directory.path(), "docker.json", "{ \"defaultAction\": \"SCMP_ACT_WHATEVER\" }");
    let said = error_chain(&load_named(&path).unwrap_err());
    assert!(said.contains("docker.json"), "{said}");
    std::fs::remove_file(directory.path().join("docker.json")).unwrap();
    let said = error_chain(&load_named(&path).unwrap_err());
    assert!(
        said.contains("line 2") && said.contains("cannot open") && said.contains("docker.json"),
        "{said}"
    );
}

#[test]
fn nesting_is_bounded() {
    for text in [
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}", "{ a = ".repeat(40_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("a = {}1{}", "[".repeat(70), "]".repeat(70)),
        format!("mounts = {}", "[".repeat(100_000)),
    ] {
        let start = Instant::now();
        assert!(from_toml(&text, "p").is_err());
        assert!(start.elapsed() < Duration::from_secs(2), "{}", &text[..20]);
    }
    assert!(matches!(from_toml(&" ".repeat(262_145), "p"), Err(ProfileError::TooLarge { .. })));
    assert!(matches!(
        Profile::from_slice(b"\xff", "p"),
        Err(ProfileError::NotUtf8 { offset: 0, line: 1, .. })
    ));
}
