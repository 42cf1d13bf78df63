//! A small host, and a profile for it.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use crate::capability::CapabilitySet;
use crate::host::{Facts, MemoryFiles};
use crate::plan::task::elf;
use crate::plan::{Call, HostIdentity, Node, Note, Plan, PlanError, Source, resolve_with_notes};
use crate::profile::{
    IdMap, Landlock, Limits, Mount, MountKind, Namespace, Process, Profile, Resources, Root, Sockets,
    Symlinks, Workdir,
};

pub const SHELL: &str = "/usr/bin/sh";

/// A host with merged `/usr`, devices, a home and something in `/opt`.
pub fn files() -> MemoryFiles {
    let program = || elf::sample(62, Some("/lib64/ld.so"));
    MemoryFiles::new()
        .file("/usr/bin/sh", 0o755, program())
        .file("/usr/bin/env", 0o755, program())
        .file("/usr/lib64/ld.so", 0o755, elf::sample(62, None))
        .directory("/usr/local/bin")
        .file("/usr/share/zoneinfo/Etc/UTC", 0o644, "TZif2")
        .symlink("/bin", "usr/bin")
        .symlink("/lib64", "usr/lib64")
        .symlink("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
        .file("/etc/resolv.conf", 0o644, "nameserver 192.0.2.53\n")
        .device("/dev/null", 1, 3)
        .device("/dev/zero", 1, 5)
        .device("/dev/full", 1, 7)
        .device("/dev/random", 1, 8)
        .device("/dev/urandom", 1, 9)
        .device("/dev/tty", 5, 0)
        .device("/dev/kvm", 10, 232)
        .directory("/tmp")
        .directory("/home/me/project/sub")
        .owned("/home/me", 1000, 1000, 0o700)
        .owned("/home/me/project", 1000, 1000, 0o755)
        .file("/home/me/project/data", 0o644, "data")
        .symlink("/home/me/link", "project")
        .symlink("/home/me/dangling", "nowhere")
        .file("/opt/tool/bin/tool", 0o755, program())
}

/// An ordinary user on Linux 6.12.
pub fn facts() -> Facts {
    Facts { root_outside: false, cwd: Some("/home/me/project".into()), ..Facts::sample() }
}

/// Root with everything.
pub fn root_facts() -> Facts {
    Facts { uid: 0, gid: 0, root_outside: true, capabilities: CapabilitySet::NAMED, ..facts() }
}

pub fn mount(destination: &str, kind: MountKind) -> Mount {
    Mount {
        destination: destination.into(),
        kind,
        readonly: false,
        noexec: false,
        optional: false,
        system: false,
        attributes: crate::profile::Attributes::default(),
    }
}

pub fn bind(source: &str, destination: &str, readonly: bool) -> Mount {
    let kind = MountKind::Bind { source: source.into(), idmap: false };
    Mount { readonly, ..mount(destination, kind) }
}

pub fn system(path: &str) -> Mount {
    Mount { system: true, ..bind(path, path, true) }
}

pub fn tmpfs(destination: &str) -> Mount {
    mount(destination, MountKind::Tmpfs { size: 64 << 20, inodes: 4096, mode: 0o1777 })
}

/// In the manner of `strict`.
pub fn profile() -> Profile {
    use Namespace::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    Profile {
        name: "test".into(),
        description: String::new(),
        namespaces: [User, Mount, Pid, Ipc, Uts, Network, Cgroup].into(),
        joined: [].into(),
        uid_mappings: IdMap::One,
        gid_mappings: IdMap::One,
        hostname: Some("glass".into()),
        workdir: Workdir::None,
        symlinks: Symlinks::System,
        sockets: Sockets::Tell,
        root: Root { readonly: true, size: 1 << 20, inodes: 1024, synthetic_etc: true, ..Root::default() },
        process: Process { env: vec!["PATH=/usr/bin:/bin".into(), "HOME=/tmp".into()], ..Process::default() },
        mounts: vec![
            system("/usr"),
            system("/bin"),
            system("/lib64"),
            mount("/proc", MountKind::Proc { subset_pid: true }),
            mount("/dev", MountKind::Dev),
            tmpfs("/tmp"),
        ],
        masked_paths: vec![],
        readonly_paths: vec![],
        seccomp: None,
        landlock: Landlock { require: true, scopes: [].into() },
        limits: Limits::default(),
        resources: Resources::default(),
    }
}

/// In the manner of `lite`.
pub fn lite() -> Profile {
    Profile {
        namespaces: [].into(),
        hostname: None,
        mounts: vec![system("/usr"), system("/bin"), system("/lib64")],
        root: Root { synthetic_etc: false, ..profile().root },
        ..profile()
    }
}

pub fn with(mounts: impl IntoIterator<Item = Mount>) -> Profile {
    let mut profile = profile();
    profile.mounts.extend(mounts);
    profile
}

/// A plan for an ordinary user who runs a shell.
pub fn plan(profile: &Profile) -> Result<Plan, PlanError> {
    noted(profile).map(|noted| noted.0)
}

pub fn noted(profile: &Profile) -> Result<(Plan, Vec<Note>), PlanError> {
    resolve_with_notes(profile, &facts(), &files(), &Call::program(["sh"]))
}

pub fn text(path: &CString) -> PathBuf {
    PathBuf::from(path.to_str().unwrap())
}

pub fn node_path((path, _): &(CString, Node)) -> PathBuf {
    text(path)
}

pub fn node<'a>(plan: &'a Plan, path: &str) -> Option<&'a Node> {
    let mut nodes = plan.walls.root.as_ref().unwrap().nodes.iter();
    nodes.find(|node| node_path(node) == Path::new(path)).map(|(_, node)| node)
}

/// The bind mount at a path: its source and whether it is read-only.
pub fn bound<'a>(plan: &'a Plan, path: &str) -> Option<(&'a Source, bool)> {
    match node(plan, path)? {
        Node::Bind(bind) => Some((&bind.source, bind.readonly)),
        _ => None,
    }
}

pub fn own(uid: u32, gid: u32) -> HostIdentity {
    HostIdentity::Own { uid, gid }
}
