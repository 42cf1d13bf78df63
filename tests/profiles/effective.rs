//! What comes out.

use super::*;

#[test]
fn the_effective_profile_reads_back_as_itself() {
    let overrides: [&[&str]; 5] = [
        &[],
        &["limits.timeout=1500ms", "process.umask=077", "limits.cpuTime=1h", "description=a \"b\" \\ c"],
        &[
            "resources.cpu.quota=150ms",
            "resources.memory.limit=1GiB",
            "resources.memory.swap=2GiB",
            "resources.pids.limit=9",
            "resources.cpu.shares=77",
            "resources.cpu.time=1500ms",
            "resources.blockIO.weight=1000",
            "resources.blockIO.throttleReadBpsDevice=[{ path = \"/dev/sda\", rate = \"3MiB\" }, { path = \"/b c\", rate = \"1B\" }]",
            "resources.blockIO.throttleWriteIOPSDevice=[{ path = \"/dev/sda\", rate = 4294967295 }]",
            "resources.cgroupParent=/a/b",
            "resources.enforce=rlimit",
            "workdir=readonly",
        ],
        &["process.env=A=\"\\\n\tb\u{202e}", "process.rlimits.nofile={ soft = 1, hard = \"unlimited\" }"],
        &[
            "seccomp.syscalls=[{ names = [\"prctl\"], action = \"trace\", errnoRet = 65535, \
           args = [{ index = 5, op = \"&==\", value = 0xffff_ffff_ffff_ffff, valueTwo = 1 }, { index = 0, op = \">\", value = 2 }] }]",
            "seccomp.defaultAction=kill",
            "seccomp.flags=SECCOMP_FILTER_FLAG_LOG",
        ],
    ];
    for name in builtin_names() {
        for overrides in overrides {
            let profile = load(name, overrides);
            let text = profile.to_toml();
            let again = from_toml(&text, name).unwrap_or_else(|e| panic!("{}\n{text}", error_chain(&e)));
            assert_eq!(again, profile, "{text}");
            assert_eq!(again.hash(), profile.hash());
        }
    }
}

#[test]
fn the_hash_is_of_what_is_asked_for() {
    let strict = load("strict", &[]);
    assert_eq!(strict.hash().len(), 64);
    assert_eq!(strict.hash(), load("strict", &["description=x"]).hash());
    let other = [
        "limits.timeout=1s",
        "hostname=a",
        "workdir=readonly",
        "namespaces=-network",
        "root.size=2MiB",
        "process.env=A=b",
        "process.umask=077",
        "process.rlimits.nofile=9",
        "maskedPaths=/a",
        "readonlyPaths=/a",
        "landlock.mode=off",
        "landlock.scopes=signal",
        "seccomp.mode=off",
        "seccomp.defaultAction=kill",
        "resources.pids.limit=3",
        "resources.cpu.time=1s",
        "resources.enforce=rlimit",
        "process.user=5",
        "process.capabilities=CAP_CHOWN",
        "process.noNewPrivileges=false",
        "process.cwd=/usr",
        "mounts=[{ destination = \"/usr\", options = [\"rw\"] }]",
    ];
    let mut seen = BTreeSet::from([strict.hash()]);
    for change in other {
        assert!(seen.insert(load("strict", &[change]).hash()), "{change}");
    }
    let by_bytes = |bytes: &[u8]| {
        let mut profile = strict.clone();
        let source: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(bytes);
        profile.add_bind(Path::new(source), Path::new("/x"), true).unwrap();
        profile.hash()
    };
    assert_ne!(by_bytes(b"/\xff"), by_bytes(b"/\xfe"));
}

#[test]
fn a_profile_is_shown_with_its_source_and_all_it_extends() {
    let shown = profile::show("build").unwrap();
    assert!(shown.source.contains("extends = \"standard\""));
    assert!(shown.effective().contains("workdir = \"writable\""));
    assert!(!shown.effective().contains("extends"));
}
