use std::path::Path;
use std::time::Duration;

use super::*;
use crate::profile::{MountKind, Namespace};
use crate::sandbox::{Limit, Sandbox};

fn built(builder: Builder) -> Profile {
    builder.build().expect("a sandbox").profile().clone()
}

#[test]
fn without_a_word_it_is_strict() {
    assert_eq!(built(Sandbox::builder()), Profile::load("strict").expect("a profile"));
}

#[test]
fn the_order_of_the_calls_means_nothing() {
    let one = Sandbox::builder().overlay_tmp().user(5, 6).bind("/a", "/x").rootfs("/r").profile("standard");
    let other = Sandbox::builder().profile("standard").rootfs("/r").bind("/a", "/x").user(5, 6).overlay_tmp();
    assert_eq!(built(one), built(other));
}

#[test]
fn what_a_profile_alone_has_is_set() {
    let text = "extends = \"standard\"\nprocess.env = [\"A=1\", \"B=1\"]";
    let builder = Sandbox::builder().profile_toml(text, "job").set("workdir=readonly").set("hostname=box");
    let builder = builder.workdir(Workdir::Writable).env("A", "2").env_pass("C").current_dir("/usr");
    let profile = built(builder);
    assert_eq!((profile.name.as_str(), profile.hostname.as_deref()), ("job", Some("box")));
    assert_eq!(profile.workdir, Workdir::Writable);
    let env: Vec<_> = profile.process.env.iter().map(String::as_str).filter(|v| v.len() < 4).collect();
    assert_eq!(env, ["A=2", "B=1", "C"]);
    assert_eq!(profile.process.cwd.as_deref(), Some(Path::new("/usr")));
}

#[test]
fn a_relative_source_starts_at_the_current_directory() {
    let here = std::env::current_dir().expect("a directory");
    let profile = built(Sandbox::builder().ro_bind("data", "/data").network(Network::Host));
    let mount = profile.mounts.iter().find(|mount| mount.destination == Path::new("/data")).expect("it");
    assert!(mount.readonly);
    assert!(
        matches!(&mount.kind, MountKind::Bind { source, .. } if *source == here.join("data")),
        "{mount:?}"
    );
    assert!(!profile.namespaces.contains(&Namespace::Network));
}

#[test]
fn an_error_names_the_method() {
    for (name, builder) in [
        ("bind", Sandbox::builder().bind("/a", "x")),
        ("bind", Sandbox::builder().tmpfs("/x", None).bind("/a", "/x")),
        ("ro_bind", Sandbox::builder().ro_bind("", "/x")),
        ("tmpfs", Sandbox::builder().tmpfs("/x", 0)),
        ("rootfs", Sandbox::builder().profile("lite").rootfs("/r")),
        ("overlay_tmp", Sandbox::builder().overlay_tmp()),
        ("network", Sandbox::builder().profile("lite").network(Network::None)),
        ("env", Sandbox::builder().env("", "x")),
        ("env", Sandbox::builder().env("A=B", "1")),
        ("env", Sandbox::builder().env("A\0", "1")),
        ("env", Sandbox::builder().env("A", "1\0")),
        ("env_pass", Sandbox::builder().env_pass("")),
        ("env_pass", Sandbox::builder().env_pass("A=B")),
        ("current_dir", Sandbox::builder().current_dir("/proc/self")),
        ("hostname", Sandbox::builder().hostname("a b")),
        ("user", Sandbox::builder().user(u32::MAX, 0)),
        ("id_mappings", Sandbox::builder().id_mappings(IdMap::Auto, IdMap::One)),
        ("cgroup_parent", Sandbox::builder().cgroup_parent("a")),
        ("memory_swap", Sandbox::builder().limits(Limits::new().memory_swap(1))),
        ("io_read_bps", Sandbox::builder().limits(Limits::new().io_read_bps("/", 0))),
    ] {
        match builder.build() {
            Err(Error::Option { option, .. }) => assert_eq!(option, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(Sandbox::builder().profile("none").build(), Err(Error::Profile(_))));
    assert!(matches!(Sandbox::builder().set("none=1").build(), Err(Error::Profile(_))));
}

#[test]
fn a_variables_name_is_what_a_program_can_take() {
    let profile = built(Sandbox::builder().env("A B", "1").env("1A", "x=y").env_pass("A-B c"));
    for entry in ["A B=1", "1A=x=y", "A-B c"] {
        assert!(profile.process.env.iter().any(|one| one == entry), "{entry}: {:?}", profile.process.env);
    }
}

#[test]
fn limits_of_several_calls_merge() {
    let first =
        Limits::new().memory(64 << 20).pids(5).io_read_bps("/", 1 << 20).timeout(Duration::from_secs(1));
    // Of memory and swap the first alone would be refused.
    let second = Limits::new().pids(7).memory_swap(64 << 20).io_write_bps("/", 1 << 20);
    let second = second.unlimited(Limit::Timeout);
    let once = Sandbox::new("strict").and_then(|strict| strict.limited(&first)?.limited(&second));
    let twice = built(Sandbox::builder().limits(first).limits(second));
    assert_eq!(&twice, once.expect("limits").profile());
    assert_eq!((twice.resources.memory, twice.resources.pids), (Some(64 << 20), Some(7)));
    assert_eq!(twice.limits.timeout, None);
}

#[test]
fn a_terminal_goes_with_no_other_stream() {
    use crate::reexec::Stdio;
    let strict = Sandbox::new("strict").expect("a profile");
    let mut command = strict.command("true");
    command.terminal(true).stdout(Stdio::null());
    for error in [
        command.dry_run().expect_err("a stream").to_string(),
        command.spawn().expect_err("a stream").to_string(),
        command.create().expect_err("a stream").to_string(),
    ] {
        assert!(error.contains("terminal") && error.contains("standard output"), "{error}");
    }
    let error = strict.command("true").terminal(true).output().expect_err("no output").to_string();
    assert!(error.contains("terminal") && error.contains("output"), "{error}");
}
