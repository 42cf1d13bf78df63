//! The seeds of the binary formats, written anew when a format has changed: `cargo test --lib write_seeds --
//! --ignored`.

use std::path::PathBuf;

use super::decoders::Tree;
use crate::capability::CapabilitySet;
use crate::host::{Facts, HostLimit, MemoryFiles};
use crate::plan::{Call, TaskRequest, resolve};
use crate::profile::Profile;
use crate::protocol::{End, Failure, Fault, Go, Message, Prelude, ReadBack, Stage, Watch, Watched, Window};

fn write(entry: &str, name: &str, bytes: &[u8]) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(entry);
    std::fs::create_dir_all(&directory).expect("a directory for seeds");
    assert!(super::check(entry, bytes), "{entry}/{name} is not accepted");
    std::fs::write(directory.join(format!("good-{name}")), bytes).expect("to write a seed");
}

#[test]
#[ignore = "writes into the source tree"]
fn write_seeds() {
    plans();
    messages();
    replies();
    credentials();
    programs();
}

fn plans() {
    write("plan", "empty", &crate::plan::empty().encode().expect("a plan"));
    // A host that has what the profiles that ship ask for.
    let elf = crate::plan::sample_elf(62, None);
    let mut files =
        MemoryFiles::new().file("/usr/bin/sh", 0o755, elf).symlink("/bin", "usr/bin").directory("/work");
    for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
        files = files.device(format!("/dev/{name}"), 1, minor);
    }
    files = files
        .device("/dev/tty", 5, 0)
        .directory("/usr/lib")
        .directory("/usr/lib64")
        .directory("/usr/local")
        .directory("/rootfs");
    let limits = (0..16).map(|resource| HostLimit { resource, soft: 1 << 40, hard: 1 << 40 }).collect();
    let facts = Facts {
        groups: vec![4],
        landlock_abi: Some(7),
        cwd: Some("/work".into()),
        limits,
        ..Facts::sample()
    };
    // Filters of their own are long; the seeds are to be small.
    let filter = "seccomp.syscalls=[{ names = [\"read\", \"write\"], action = \"allow\" }]";
    let short = ["seccomp.mode=off", "root.readonly=true"];
    let plan = |name: &str, profile: &str, settings: &[&str], call: Call| {
        let profile = Profile::load_with(profile, settings).expect(profile);
        let plan = resolve(&profile, &facts, &files, &call).unwrap_or_else(|e| panic!("{name}: {e}"));
        write("plan", name, &plan.encode().expect("a plan"));
    };
    plan("strict", "strict", &short, Call::program(["sh", "-c", "true"]));
    let role = TaskRequest::Role { name: "probe".to_owned(), args: Vec::new() };
    plan("standard", "standard", &["seccomp.mode=off", "process.rlimits.nofile=256"], Call::new(role));
    let function = TaskRequest::Function { entry: -4096, function: 65_536 };
    plan("build", "build", &["seccomp.mode=off"], Call::new(function));
    let container = ["root.path=/rootfs", "root.overlay=true", "seccomp.mode=off", "process.cwd=/"];
    plan(
        "container",
        "container",
        &container,
        Call::new(TaskRequest::Role { name: "r".into(), args: vec![] }),
    );
    let small = Profile::from_toml(
        &format!(
            "namespaces = []\nlandlock.mode = \"off\"\nseccomp.defaultAction = \"errno\"\n{}",
            filter.replacen('=', " = ", 1)
        ),
        "small",
    );
    let plan = resolve(
        &small.expect("a profile"),
        &facts,
        &files,
        &Call::new(TaskRequest::Role { name: "r".into(), args: vec![] }),
    );
    write("plan", "filter", &plan.expect("a plan").encode().expect("a plan"));
}

fn messages() {
    let bytes = |message: &Message| postcard::to_stdvec(message).expect("a message");
    let readback = ReadBack {
        uid: 1000,
        namespaces: vec!["user".into(), "mnt".into()],
        capabilities: [CapabilitySet::from_bits(1 << 40); 5],
        ..ReadBack::default()
    };
    write("status", "ready", &bytes(&Message::Ready(readback)));
    write("status", "started", &bytes(&Message::Started));
    write("status", "terminal", &bytes(&Message::Terminal));
    write("status", "timeout", &bytes(&Message::Ended { end: End::Timeout, at: 1, used: None, left: 1 }));
    for (name, status) in
        [("exit", 0x0100), ("signal", 9), ("seccomp", 31 | 0x80), ("stopped", 0x137f), ("lowest", i32::MIN)]
    {
        write(
            "status",
            name,
            &bytes(&Message::Ended { end: End::Status(status), at: 1, used: None, left: 0 }),
        );
    }
    let text = "a\u{1b}[31m\nb".to_owned();
    write("status", "log", &bytes(&Message::Log { level: 3, text: text.clone() }));
    let faults = [
        Fault::System { call: "openat2".into(), object: text.clone(), errno: 2 },
        Fault::Mismatch { what: "uid".into(), expected: "1".into(), found: text.clone() },
        Fault::Replaced { path: "/x".into() },
        Fault::UnknownRole { name: text.clone() },
        Fault::OverlayDepth { path: "/x".into() },
        Fault::Protocol { what: "path".into() },
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        let stage = if n == 0 { Stage::Execute } else { Stage::Root };
        write("status", &format!("failed-{n}"), &bytes(&Message::Failed(Failure { stage, fault })));
    }
    let callers = vec![("user".into(), 4_026_531_837), ("mnt".into(), u64::MAX)];
    let hostname = Some(c"belljar".into());
    let prelude = Prelude {
        namespaces: crate::plan::Namespaces::Own { new: 0x7e02_0000 },
        callers,
        joined: vec![("net".to_owned(), 4_026_531_840)],
        hostname,
        loopback: true,
    };
    write("status", "prelude", &postcard::to_stdvec(&prelude).expect("a message"));
    let go = Go {
        hooks: false,
        hold: false,
        orders: true,
        window: Some(Window { rows: 24, columns: 80, width: 0, height: 0 }),
        cgroup_procs_fds: 2,
        watches: vec![Watch { what: Watched::CpuTime, key: "usage_usec".into(), above: u64::MAX }],
    };
    write("status", "go", &postcard::to_stdvec(&go).expect("a message"));
    write("status", "greeting", &[&[1][..], &[7; 16]].concat());
    write("status", "refused", &[3, 2]);
}

fn replies() {
    let bytes = |value: &Tree| super::value_bytes(value);
    let leaf = || Box::new(Tree::Leaf);
    let trees = [
        Tree::Leaf,
        Tree::Boxed(Box::new(Tree::Boxed(leaf()))),
        Tree::List(vec![Tree::Leaf, Tree::Nothing(vec![(); 3]), Tree::Bytes(vec![1, 2, 3])]),
        Tree::Named { name: "n".into(), rest: Some(leaf()) },
        Tree::Map([("k".to_owned(), Tree::Large(vec![None, Some([[7; 32]; 32])]))].into()),
        Tree::Wide(u128::MAX, i128::MIN, 'ü', f64::NAN, true),
    ];
    for (n, tree) in trees.iter().enumerate() {
        write("call_reply", &format!("tree-{n}"), &bytes(tree));
    }
    write("call_reply", "panicked", &crate::sandbox::call::encode_panic("no\u{1b}[0m", "src/x.rs:1:2"));
    let list: Result<Vec<(u32, String)>, String> = Ok(vec![(1, "one".into()), (2, "two".into())]);
    write("call_reply", "list", &super::value_bytes(&list));
}

fn credentials() {
    for (name, role, payload) in [("small", "probe", &b""[..]), ("init", "belljar:init", b"\x01\x02payload")]
    {
        write("credential", name, &crate::reexec::again::credential_of(role, payload));
    }
}

fn programs() {
    for (name, machine, loader) in [("static", 62, None), ("dynamic", 62, Some("/lib64/ld.so"))] {
        write_any("program", name, &crate::plan::sample_elf(machine, loader));
    }
    write_any("program", "foreign", &crate::plan::sample_elf(183, None));
    write_any("program", "script", b"#! /bin/sh -e\necho\n");
    write_any("program", "circle", b"#!/usr/bin/program\n");
    write_any("program", "loop", b"#!/usr/bin/loop");
}

/// A seed that need not be accepted.
fn write_any(entry: &str, name: &str, bytes: &[u8]) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(entry);
    std::fs::create_dir_all(&directory).expect("a directory for seeds");
    let good = if super::check(entry, bytes) { "good-" } else { "" };
    std::fs::write(directory.join(format!("{good}{name}")), bytes).expect("to write a seed");
}
