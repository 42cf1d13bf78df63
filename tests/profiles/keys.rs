//! Every key of the table: set, read from a file, put on top of another, checked and printed.

use super::*;

/// Two values of a key, in TOML.
struct Sample {
    key: &'static str,
    /// What else has to be said for it, as overrides.
    with: &'static [&'static str],
    below: &'static str,
    above: &'static str,
}

const fn sample(key: &'static str, below: &'static str, above: &'static str) -> Sample {
    Sample { key, with: &[], below, above }
}

/// In the order of the table; the profile that they change is `strict`.
const SAMPLES: &[Sample] = &[
    sample("description", "'a'", "'b \"c\" \\'"),
    sample("namespaces", "['-ipc']", "['+time', '-network', { type = 'network', path = '/run/netns/x' }]"),
    Sample {
        with: &["gidMappings=[{ containerID = 0, hostID = 7, size = 9 }]"],
        ..sample(
            "uidMappings",
            "[{ containerID = 0, hostID = 1, size = 1 }, { containerID = 1, hostID = 5, size = 2 }]",
            "[{ containerID = 0, hostID = 100000, size = 65536 }]",
        )
    },
    Sample { with: &["uidMappings=auto"], ..sample("gidMappings", "'auto'", "'auto'") },
    sample("hostname", "'a'", "''"),
    sample("workdir", "'readonly'", "'writable'"),
    sample("symlinks", "'follow'", "'system'"),
    sample("sockets", "'allow'", "'tell'"),
    sample("maskedPaths", "['/a', '/b c']", "['+/d', '-/a']"),
    sample("readonlyPaths", "['/a', '/b c']", "['/d']"),
    sample("root.path", "'/srv/a'", "'/srv/b'"),
    sample("root.pathRequired", "true", "false"),
    Sample { with: &["root.overlay=false"], ..sample("root.readonly", "false", "true") },
    Sample { with: &["root.path=/srv/a", "root.readonly=false"], ..sample("root.overlay", "true", "false") },
    sample("root.size", "'3MiB'", "'1500B'"),
    sample("root.inodes", "5", "6"),
    sample("root.etc", "'none'", "'synthetic'"),
    sample("root.etcPrograms", "['java', '*']", "['+fonts']"),
    sample("process.cwd", "'/usr'", "'/tmp'"),
    sample("process.env", "['A=b', 'TERM']", "['A=\"\\\\\\n\\u202e', 'C=']"),
    sample("process.user", "'5:6'", "{ uid = 7, gid = 8 }"),
    sample("process.user.uid", "5", "6"),
    Sample { with: &["process.user=default"], ..sample("process.user.gid", "5", "6") },
    sample("process.capabilities", "['CAP_CHOWN']", "['+CAP_NET_RAW', '-CAP_CHOWN']"),
    sample("process.noNewPrivileges", "false", "true"),
    sample("process.umask", "0o077", "0o007"),
    sample("process.scheduler", "'batch:5'", "{ policy = 'SCHED_FIFO', priority = 3 }"),
    sample("process.ioPriority", "'idle'", "{ class = 'IOPRIO_CLASS_BE', priority = 7 }"),
    sample("process.rlimits", "{ nofile = 5, nproc = 6 }", "{ nofile = { soft = 1, hard = 'unlimited' } }"),
    sample("limits.timeout", "'1500ms'", "'unlimited'"),
    sample("limits.cpuTime", "'1h'", "'2s'"),
    sample("limits.output", "'3MiB'", "'1KiB:truncate'"),
    sample("limits.fileSize", "'unlimited'", "'1B'"),
    sample("resources.memory.limit", "'1GiB'", "'2GiB'"),
    Sample { with: &["resources.memory.limit=1MiB"], ..sample("resources.memory.swap", "'1GiB'", "'none'") },
    sample("resources.pids.limit", "5", "'unlimited'"),
    sample("resources.cpu.quota", "'150ms'", "'1ms'"),
    Sample { with: &["resources.cpu.quota=30ms"], ..sample("resources.cpu.period", "'10ms'", "'20ms'") },
    sample("resources.cpu.shares", "2", "262144"),
    sample("resources.cpu.time", "'1ms'", "'2s'"),
    sample("resources.blockIO.weight", "1", "1000"),
    sample(
        "resources.blockIO.throttleReadBpsDevice",
        "[{ path = '/b c', rate = '3MiB' }, { path = '/a', rate = '1B' }]",
        "[{ path = '/a', rate = '2B' }]",
    ),
    sample("resources.blockIO.throttleWriteBpsDevice", "[{ path = '/a', rate = '3MiB' }]", "[]"),
    sample(
        "resources.blockIO.throttleReadIOPSDevice",
        "[{ path = '/a', rate = 7 }]",
        "[{ path = '/b', rate = 4294967295 }]",
    ),
    sample("resources.blockIO.throttleWriteIOPSDevice", "[{ path = '/a', rate = 7 }]", "[]"),
    sample("resources.cgroupParent", "'/a/b'", "'own'"),
    sample("resources.enforce", "'rlimit'", "'cgroup'"),
    sample("landlock.mode", "'off'", "'require'"),
    sample("landlock.scopes", "['signal']", "['+abstract-unix-socket']"),
    sample("seccomp.mode", "'off'", "'filter'"),
    sample("seccomp.defaultAction", "'kill'", "'log'"),
    sample("seccomp.defaultErrnoRet", "'EACCES'", "38"),
    sample("seccomp.profile", "'/dev/null/x'", "'/dev/null/y'"),
    Sample {
        with: &["seccomp.syscalls=[{ names = ['no_such_call', 'read'], action = 'kill' }]"],
        ..sample("seccomp.unknownNames", "'refuse'", "'skip'")
    },
    sample("seccomp.flags", "['SECCOMP_FILTER_FLAG_LOG']", "[]"),
    sample(
        "seccomp.syscalls",
        "[{ names = ['read'], action = 'errno', errnoRet = 'EIO' }]",
        "[{ names = ['prctl'], action = 'trace', errnoRet = 65535, args = [{ index = 5, op = '&==', value = 7, valueTwo = 1 }] }]",
    ),
    sample(
        "mounts",
        "[{ destination = '/x', type = 'tmpfs' }, { destination = '/tmp', remove = true }]",
        "[{ destination = '/x', source = '/srv', options = ['ro', 'noatime', 'rslave'] }]",
    ),
];

fn set(overrides: &[String]) -> Result<Profile, ProfileError> {
    Profile::load_with("strict", overrides)
}

impl Sample {
    /// Overrides that say these values, in this order.
    fn overrides(&self, values: &[&str]) -> Vec<String> {
        let with = self.with.iter().map(|with| (*with).to_owned());
        with.chain(values.iter().map(|value| format!("{}={value}", self.key))).collect()
    }

    /// A file that says a value on top of a profile.
    fn file(&self, directory: &Path, name: &str, extends: &str, value: &str) -> String {
        write(directory, name, format!("extends = \"{extends}\"\n{} = {value}\n", self.key))
    }
}

/// What a profile is, or why it is none: but for its name and where it was said, and for what a text that
/// does not describe itself is missing.
fn outcome(key: &str, result: Result<Profile, ProfileError>) -> Result<Profile, String> {
    match result {
        Ok(mut profile) => {
            profile.name.clear();
            if key != "description" {
                profile.description.clear();
            }
            Ok(profile)
        }
        Err(error) => {
            let said = error_chain(&error);
            Err(said.rsplit(": ").next().unwrap_or_default().to_owned())
        }
    }
}

#[test]
fn every_key_has_a_sample() {
    let keys: Vec<_> = profile::KEYS.iter().map(|key| key.name).collect();
    let samples: Vec<_> = SAMPLES.iter().map(|sample| sample.key).collect();
    assert_eq!(samples, keys);
    assert!(profile::KEYS.iter().all(|key| !key.takes().is_empty() && !key.meaning.is_empty()));
}

#[test]
fn every_key_is_set_read_layered_and_printed() {
    let directory = tempfile::tempdir().unwrap();
    for sample in SAMPLES {
        let key = sample.key;
        let [below, above, both] = [&[sample.below][..], &[sample.above], &[sample.below, sample.above]]
            .map(|values| outcome(key, set(&sample.overrides(values))));
        // Files say the same, alone and on top of each other.
        if sample.with.is_empty() {
            let file = sample.file(directory.path(), "below.toml", "strict", sample.below);
            assert!(outcome(key, load_named(&file)) == below, "{key}");
            let file = sample.file(directory.path(), "above.toml", "./below.toml", sample.above);
            assert!(outcome(key, load_named(&file)) == both, "{key}");
        }
        for profile in [below, above, both].into_iter().flatten() {
            let again = outcome(key, from_toml(&profile.to_toml(), "again"));
            assert!(again.as_ref() == Ok(&profile), "{key}");
            assert_eq!(again.unwrap().hash(), profile.hash(), "{key}");
        }
    }
}

#[test]
fn every_key_makes_a_difference() {
    for sample in SAMPLES {
        let key = sample.key;
        let said = [sample.below, sample.above].map(|value| outcome(key, set(&sample.overrides(&[value]))));
        match key {
            // Goes together with `uidMappings`, in one way only.
            "gidMappings" => assert!(said[0].is_ok() && said[0] == said[1]),
            // A group alone, a name that is none, files that are not there: what is said is what differs.
            "process.user.gid" => assert_eq!(said, ["missing", "missing"].map(|why| Err(why.to_owned()))),
            "seccomp.profile" => assert!(said.iter().all(Result::is_err), "{said:?}"),
            "seccomp.unknownNames" => assert!(said[0].is_err() && said[1].is_ok(), "{said:?}"),
            _ => {
                assert!(said.iter().all(Result::is_ok), "{key}");
                assert!(said[0] != said[1], "{key}");
            }
        }
    }
}

#[test]
fn a_key_changes_what_it_says_and_nothing_else() {
    // A root of one's own, or none of /etc, takes more with it; the others are tables or lists of them.
    const MORE: [&str; 6] =
        ["root.path", "root.etc", "process.rlimits", "seccomp.mode", "seccomp.syscalls", "mounts"];
    let strict = load("strict", &[]).to_toml();
    let before: Vec<&str> = strict.lines().collect();
    for sample in SAMPLES.iter().filter(|sample| sample.with.is_empty() && !MORE.contains(&sample.key)) {
        let Ok(profile) = set(&sample.overrides(&[sample.below])) else { continue };
        let text = profile.to_toml();
        let changed: Vec<&str> = text.lines().filter(|line| !before.contains(line)).collect();
        let name = match sample.key {
            "process.user.uid" => "user",
            key => key.split_once('.').map_or(key, |(_, name)| name),
        };
        assert!(
            matches!(changed[..], [line] if line.starts_with(&format!("{name} = "))),
            "{name}: {changed:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back_as_itself(
        name in proptest::sample::select(builtin_names().to_vec()),
        picked in proptest::collection::vec((0..SAMPLES.len(), any::<bool>()), 0..12),
    ) {
        let overrides: Vec<String> = picked
            .iter()
            .flat_map(|(at, below)| {
                let sample = &SAMPLES[*at];
                sample.overrides(&[if *below { sample.below } else { sample.above }])
            })
            .collect();
        // Not all of them go together, and lite has few.
        if let Ok(profile) = Profile::load_with(name, &overrides) {
            let text = profile.to_toml();
            let again = from_toml(&text, name).unwrap_or_else(|e| panic!("{}\n{text}", error_chain(&e)));
            prop_assert_eq!(again.to_toml(), text);
            prop_assert_eq!(again.hash(), profile.hash());
            prop_assert!(again == profile);
        }
    }
}
