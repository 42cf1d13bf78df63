//! Docker's, podman's and the runtime-spec's profiles: shapes, meaning, errors.

use std::error::Error;

use belljar::internals::profile::{Capability, CapabilitySet};
use belljar::internals::seccomp::oci::{Context, MAX_SIZE, OciError, Place, parse};
use belljar::internals::seccomp::{Action, Arch, Data, Policy, Unknown, compile, names};
use proptest::prelude::*;

fn read_with(
    json: &str,
    caps: &[Capability],
    kernel: (u32, u32),
    arch: Arch,
    unknown: Unknown,
) -> Result<Policy, OciError> {
    let capabilities = CapabilitySet::of(caps);
    parse(json.as_bytes(), &Context { capabilities, kernel, arch, unknown })
}

fn read(json: &str) -> Policy {
    read_with(json, &[], (6, 18), Arch::X86_64, Unknown::Skip).unwrap()
}

fn fails(json: &str) -> OciError {
    read_with(json, &[], (6, 18), Arch::X86_64, Unknown::Skip).unwrap_err()
}

fn answer(policy: &Policy, call: &str, args: &[u64]) -> Action {
    let names::Known::Here(number) = names::lookup(call, Arch::X86_64) else { panic!("{call}") };
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let program = compile(policy, Arch::X86_64, Unknown::Refuse).unwrap().program;
    Action::from_return(program.evaluate(&Data::new(number, Arch::X86_64, all)).unwrap())
}

/// A profile with these entries, and EPERM for the rest.
fn entries(entries: &str) -> String {
    format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{entries}]}}"#)
}

#[test]
fn every_action() {
    let policy = read(
        r#"{"defaultAction":"SCMP_ACT_LOG","syscalls":[
            {"names":["read"],"action":"SCMP_ACT_KILL"},
            {"names":["write"],"action":"SCMP_ACT_KILL_THREAD"},
            {"names":["open"],"action":"SCMP_ACT_KILL_PROCESS"},
            {"names":["close"],"action":"SCMP_ACT_TRAP"},
            {"names":["stat"],"action":"SCMP_ACT_ERRNO"},
            {"names":["fstat"],"action":"SCMP_ACT_ERRNO","errnoRet":38},
            {"names":["lstat"],"action":"SCMP_ACT_ERRNO","errno":"ENOENT","errnoRet":1},
            {"names":["poll"],"action":"SCMP_ACT_TRACE","errnoRet":4095},
            {"names":["lseek"],"action":"SCMP_ACT_ALLOW"}
        ]}"#,
    );
    for (call, action) in [
        ("read", Action::KillThread),
        ("write", Action::KillThread),
        ("open", Action::KillProcess),
        ("close", Action::Trap),
        ("stat", Action::Errno(1)),
        ("fstat", Action::Errno(38)),
        ("lstat", Action::Errno(2)),
        ("poll", Action::Trace(4095)),
        ("lseek", Action::Allow),
        ("mmap", Action::Log),
    ] {
        assert_eq!(answer(&policy, call, &[]), action, "{call}");
    }
}

#[test]
fn default_errnos() {
    for (text, errno) in [
        (r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#, 1),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"syscalls":null}"#, 38),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"defaultErrno":"ENOSYS"}"#, 38),
    ] {
        assert_eq!(read(text).default, Action::Errno(errno));
    }
}

#[test]
fn every_operator() {
    let arg = |op: &str, two: &str| {
        let entry = format!(
            r#"{{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{{"index":1,"value":4294967296{two},"op":"{op}"}}]}}"#
        );
        read(&entries(&entry))
    };
    let pivot = 1 << 32;
    for (op, below, same, above) in [
        ("SCMP_CMP_NE", true, false, true),
        ("SCMP_CMP_LT", true, false, false),
        ("SCMP_CMP_LE", true, true, false),
        ("SCMP_CMP_EQ", false, true, false),
        ("SCMP_CMP_GE", false, true, true),
        ("SCMP_CMP_GT", false, false, true),
    ] {
        let policy = arg(op, "");
        for (value, allowed) in [(pivot - 1, below), (pivot, same), (pivot + 1, above)] {
            assert_eq!(answer(&policy, "socket", &[0, value]) == Action::Allow, allowed, "{op} {value:#x}");
        }
    }
    // `value` is the mask, `valueTwo` what is compared with.
    let policy = arg("SCMP_CMP_MASKED_EQ", r#","valueTwo":4294967296"#);
    assert_eq!(answer(&policy, "socket", &[0, pivot | 7]), Action::Allow);
    assert_eq!(answer(&policy, "socket", &[0, 7]), Action::Errno(1));
    let policy = arg("SCMP_CMP_MASKED_EQ", "");
    assert_eq!(answer(&policy, "socket", &[0, pivot | 7]), Action::Errno(1));
    assert_eq!(answer(&policy, "socket", &[0, 7]), Action::Allow);
}

/// Docker's shape, small: conditional includes and excludes.
const DOCKER: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}
    ],
    "syscalls": [
        {"names": ["read", "_llseek", "fstatat64", "future_call"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {"minKernel": "4.8"}},
        {"names": ["bpf", "clone"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}],
         "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["sync_file_range"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["syslog"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "4.8"}}
    ]
}"#;

#[test]
fn includes_and_excludes() {
    let plain = read(DOCKER);
    assert_eq!(answer(&plain, "read", &[]), Action::Allow);
    assert_eq!(answer(&plain, "ptrace", &[]), Action::Allow);
    assert_eq!(answer(&plain, "bpf", &[]), Action::Errno(1));
    assert_eq!(answer(&plain, "clone", &[17]), Action::Allow);
    assert_eq!(answer(&plain, "clone", &[0x1000_0011]), Action::Errno(1));
    assert_eq!(answer(&plain, "clone3", &[]), Action::Errno(38));
    assert_eq!(answer(&plain, "arch_prctl", &[]), Action::Allow);
    assert_eq!(answer(&plain, "sync_file_range", &[]), Action::Errno(1));
    assert_eq!(answer(&plain, "syslog", &[]), Action::Errno(1));

    let old = read_with(DOCKER, &[], (4, 7), Arch::X86_64, Unknown::Skip).unwrap();
    assert_eq!(answer(&old, "ptrace", &[]), Action::Errno(1));
    assert_eq!(answer(&old, "syslog", &[]), Action::Allow);
    // 4.18 is newer than 4.8.
    let later = read_with(DOCKER, &[], (4, 18), Arch::X86_64, Unknown::Skip).unwrap();
    assert_eq!(answer(&later, "ptrace", &[]), Action::Allow);

    // All of `includes.caps`, any of `excludes.caps`; with and without the prefix.
    let admin =
        read_with(DOCKER, &[Capability::CAP_SYS_ADMIN], (6, 18), Arch::X86_64, Unknown::Skip).unwrap();
    assert_eq!(answer(&admin, "bpf", &[]), Action::Errno(1));
    assert_eq!(answer(&admin, "clone", &[17]), Action::Errno(1));
    assert_eq!(answer(&admin, "clone3", &[]), Action::Errno(1));
    let both = read_with(
        DOCKER,
        &[Capability::CAP_SYS_ADMIN, Capability::CAP_BPF],
        (6, 18),
        Arch::X86_64,
        Unknown::Skip,
    )
    .unwrap();
    assert_eq!(answer(&both, "bpf", &[]), Action::Allow);
    assert_eq!(answer(&both, "clone", &[0x1000_0011]), Action::Allow);

    let arm = read_with(DOCKER, &[], (6, 18), Arch::Aarch64, Unknown::Skip).unwrap();
    assert!(arm.rules.iter().any(|rule| rule.names.iter().any(|name| name == "sync_file_range")));
    assert!(!arm.rules.iter().any(|rule| rule.names.iter().any(|name| name == "arch_prctl")));
}

/// `architectures` and `archMap` open nothing: 32-bit and x32 calls are killed.
#[test]
fn foreign_architectures_stay_closed() {
    for text in [
        DOCKER,
        r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"]}"#,
    ] {
        let program = compile(&read(text), Arch::X86_64, Unknown::Refuse).unwrap().program;
        let kill = Ok(Action::KillProcess.to_return());
        assert_eq!(program.evaluate(&Data { nr: 3, arch: 0x4000_0003, ip: 0, args: [0; 6] }), kill);
        assert_eq!(program.evaluate(&Data::new(0x4000_0000, Arch::X86_64, [0; 6])), kill);
    }
}

#[test]
fn unconditional_entries_win() {
    let allow = r#"{"names":["socket"],"action":"SCMP_ACT_ALLOW"}"#;
    let some = r#"{"names":["socket"],"action":"SCMP_ACT_ERRNO","errnoRet":97,"args":[{"index":0,"value":40,"op":"SCMP_CMP_EQ"}]}"#;
    for text in [format!("{allow},{some}"), format!("{some},{allow}")] {
        assert_eq!(answer(&read(&entries(&text)), "socket", &[40]), Action::Allow);
    }
    // Of two without conditions, the first.
    let trap = r#"{"names":["socket"],"action":"SCMP_ACT_TRAP"}"#;
    assert_eq!(answer(&read(&entries(&format!("{trap},{allow}"))), "socket", &[]), Action::Trap);
    assert_eq!(answer(&read(&entries(&format!("{allow},{trap}"))), "socket", &[]), Action::Allow);
    // The default once more says nothing.
    let same = r#"{"names":["socket"],"action":"SCMP_ACT_ERRNO"}"#;
    let unix =
        r#"{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}"#;
    let policy = read(&entries(&format!("{same},{unix}")));
    assert_eq!(answer(&policy, "socket", &[1]), Action::Allow);
    assert_eq!(answer(&policy, "socket", &[2]), Action::Errno(1));
}

#[test]
fn conditional_entries_add_up() {
    let family = |action: &str, op: &str, value: u64| {
        format!(
            r#"{{"names":["socket"],"action":"{action}","args":[{{"index":0,"value":{value},"op":"{op}"}}]}}"#
        )
    };
    let list = [1, 2, 10].map(|value| family("SCMP_ACT_ALLOW", "SCMP_CMP_EQ", value)).join(",");
    let policy = read(&entries(&list));
    for value in 0..16 {
        let expected = if [1, 2, 10].contains(&value) { Action::Allow } else { Action::Errno(1) };
        assert_eq!(answer(&policy, "socket", &[value]), expected);
    }
    // Where they overlap and differ, the stricter one, in any order.
    let allow = family("SCMP_ACT_ALLOW", "SCMP_CMP_LT", 20);
    let kill = family("SCMP_ACT_KILL_PROCESS", "SCMP_CMP_EQ", 17);
    for text in [format!("{allow},{kill}"), format!("{kill},{allow}")] {
        let policy = read(&entries(&text));
        assert_eq!(answer(&policy, "socket", &[17]), Action::KillProcess);
        assert_eq!(answer(&policy, "socket", &[16]), Action::Allow);
    }
}

/// Conditions on different arguments must all hold; on the same argument they are alternatives.
#[test]
fn several_conditions() {
    let two = |index: u8| {
        entries(&format!(
            r#"{{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[
                {{"index":0,"value":1,"op":"SCMP_CMP_EQ"}},{{"index":{index},"value":2,"op":"SCMP_CMP_EQ"}}]}}"#
        ))
    };
    let policy = read(&two(1));
    assert_eq!(answer(&policy, "socket", &[1, 2]), Action::Allow);
    assert_eq!(answer(&policy, "socket", &[1, 0]), Action::Errno(1));
    let policy = read(&two(0));
    assert_eq!(answer(&policy, "socket", &[1]), Action::Allow);
    assert_eq!(answer(&policy, "socket", &[2]), Action::Allow);
    assert_eq!(answer(&policy, "socket", &[3]), Action::Errno(1));
    let error = read_with(&two(0), &[], (6, 18), Arch::X86_64, Unknown::Refuse).unwrap_err();
    assert!(matches!(error, OciError::Repeated { place: Place::Entry(0), index: 0 }), "{error}");
}

#[test]
fn unknown_names() {
    let text = entries(r#"{"names":["read","rread","socketcall"],"action":"SCMP_ACT_ALLOW"}"#);
    let policy = read(&text);
    assert_eq!(policy.rules.len(), 1);
    assert_eq!(policy.rules[0].names, ["read"]);
    let error = read_with(&text, &[], (6, 18), Arch::X86_64, Unknown::Refuse).unwrap_err();
    assert_eq!(error.to_string(), "syscalls[0]: unknown system call \"rread\" (did you mean \"read\"?)");
}

#[test]
fn flags_and_listeners() {
    let policy = read(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_TSYNC"],
            "listenerPath":"/run/agent.sock","listenerMetadata":"x"}"#,
    );
    assert_eq!(policy.flags, 1 | 2 | 4);
    // A listener where an entry notifies, and its flag with it.
    let policy = read(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
            "syscalls":[{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}]}"#,
    );
    assert_eq!(policy.flags, 8 | 32);
    assert_eq!(answer(&policy, "mount", &[]), Action::Notify);
    for (text, place) in [
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, Place::Default),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#,
            Place::Flags,
        ),
    ] {
        let error = fails(text);
        assert!(matches!(error, OciError::Notify { place: at } if at == place), "{error}");
    }
}

#[test]
fn old_names() {
    let policy = read(&entries(r#"{"name":"read","action":"SCMP_ACT_ALLOW","args":[]}"#));
    assert_eq!(answer(&policy, "read", &[]), Action::Allow);
    for text in
        [r#"{"name":"read","names":["write"],"action":"SCMP_ACT_ALLOW"}"#, r#"{"action":"SCMP_ACT_ALLOW"}"#]
    {
        assert!(matches!(fails(&entries(text)), OciError::Names { place: Place::Entry(0) }));
    }
}

/// Each broken profile is told where it is broken.
#[test]
fn broken_profiles() {
    let entry = |text: &str| entries(&format!(r#"{{"names":["read"],"action":"SCMP_ACT_ALLOW",{text}}}"#));
    for (text, part) in [
        (String::new(), "EOF"),
        ("[]".into(), "invalid length"),
        ("{}".into(), "missing field `defaultAction`"),
        (r#"{"defaultAction":"ALLOW"}"#.into(), "unknown variant `ALLOW`"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","sysCalls":[]}"#.into(), "unknown field `sysCalls`"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","defaultAction":"SCMP_ACT_ALLOW"}"#.into(), "duplicate field"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW"} x"#.into(), "trailing characters"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["x86"]}"#.into(), "unknown variant `x86`"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["LOG"]}"#.into(), "unknown variant `LOG`"),
        (entry(r#""arg":[]"#), "unknown field `arg`"),
        (entry(r#""args":[{"index":0,"value":-1,"op":"SCMP_CMP_EQ"}]"#), "invalid value"),
        (entry(r#""args":[{"index":0,"value":1,"op":"=="}]"#), "unknown variant `==`"),
        (entry(r#""args":[{"index":0,"op":"SCMP_CMP_EQ"}]"#), "missing field `value`"),
        (entry(r#""includes":{"minKernel":"new"}"#), "a kernel version such as 4.8"),
        (entry(r#""includes":{"minKernel":"+4.8"}"#), "a kernel version such as 4.8"),
        (entry(r#""includes":{"cap":[]}"#), "unknown field `cap`"),
        (entry(r#""errno":"EWHAT""#), "an errno's name"),
        (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), ""),
    ] {
        let error = fails(&text);
        let OciError::Syntax { line, source, .. } = &error else { panic!("{text}: {error}") };
        assert_eq!(*line, usize::from(!text.is_empty()).max(1), "{text}");
        assert!(source.to_string().contains(part), "{text}: {source}");
        assert!(error.source().is_some());
    }
    assert!(matches!(fails(&entry(r#""errnoRet":1"#)), OciError::Errno { place: Place::Entry(0), errno: 1 }));
    let high = entries(r#"{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":4096}"#);
    assert!(matches!(fails(&high), OciError::Errno { errno: 4096, .. }));
    let index = entry(r#""args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]"#);
    assert!(matches!(fails(&index), OciError::Index { index: 6, .. }));
    let both = r#"{"defaultAction":"SCMP_ACT_ALLOW","archMap":[],"architectures":[]}"#;
    assert!(matches!(fails(both), OciError::Architectures));
    let errno = r#"{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1}"#;
    assert!(matches!(fails(errno), OciError::Errno { place: Place::Default, .. }));
    let line = "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\",\n  \"x\": 1\n}";
    assert!(matches!(fails(line), OciError::Syntax { line: 3, .. }));
}

#[test]
fn size_is_bounded() {
    let large = " ".repeat(MAX_SIZE + 1);
    assert!(matches!(fails(&large), OciError::Size { size } if size == MAX_SIZE + 1));
    let names = r#""dup","#.repeat(70_000);
    let text = entries(&format!(r#"{{"names":[{names}"dup"],"action":"SCMP_ACT_ALLOW"}}"#));
    assert!(matches!(fails(&text), OciError::TooManyRules));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes, and any damage to a good profile: a result or an error.
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..DOCKER.len(), byte in any::<u8>(), cut in 0..DOCKER.len()) {
        let capabilities = CapabilitySet::EMPTY;
        let context = Context { capabilities, kernel: (6, 18), arch: Arch::NATIVE, unknown: Unknown::Skip };
        let mut damaged = DOCKER.as_bytes().to_vec();
        damaged[at] = byte;
        for text in [bytes.as_slice(), &damaged, &DOCKER.as_bytes()[..cut]] {
            if let Ok(policy) = parse(text, &context) {
                compile(&policy, Arch::NATIVE, Unknown::Refuse).unwrap();
            }
        }
    }
}
