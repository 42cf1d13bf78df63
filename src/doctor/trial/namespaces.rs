//! Namespaces: each is entered by way of a user namespace, as a sandbox does.

use std::io::Write;

use libc::c_int;
use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{getegid, geteuid, getpid, getuid, pipe2};

use super::process::{in_child, start};
use super::{At, Miss, Step, Trial};
use crate::host::namespace::kernel_name;
use crate::host::read;
use crate::profile::Namespace;

/// A host id that no account has by default: where subordinate ids begin (login.defs(5), `SUB_UID_MIN`).
const UNIQUE: u32 = 100_000;

pub(super) fn user() -> Trial {
    nix::sched::unshare(nix::sched::CloneFlags::from_bits_retain(libc::CLONE_NEWUSER)).at(
        Step::Namespace(Namespace::User),
        "unshare",
        "CLONE_NEWUSER",
    )?;
    Ok(String::new())
}

/// A user namespace in which the caller's own id is root.
fn own_root() -> Result<(), Miss> {
    let (uid, gid) = (geteuid(), getegid());
    user()?;
    write("setgroups", "deny")?;
    write("uid_map", &format!("0 {uid} 1"))?;
    write("gid_map", &format!("0 {gid} 1"))
}

/// One write(2), as the kernel wants a map.
fn write(file: &str, text: &str) -> Result<(), Miss> {
    write_of("self", file, text)
}

fn write_of(process: &str, file: &str, text: &str) -> Result<(), Miss> {
    let path = format!("/proc/{process}/{file}");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .at(Step::IdMap, "open", file)?
        .write_all(text.as_bytes())
        .at(Step::IdMap, "write", file)
}

/// A new user namespace with a map, and a further namespace in it.
pub(super) fn enter(namespace: Namespace) -> Result<(), Miss> {
    own_root()?;
    let flag = flag(namespace);
    nix::sched::unshare(nix::sched::CloneFlags::from_bits_retain(flag)).at(
        Step::Namespace(namespace),
        "unshare",
        name_of(namespace),
    )
}

fn name_of(namespace: Namespace) -> &'static str {
    match namespace {
        Namespace::User => "CLONE_NEWUSER",
        Namespace::Mount => "CLONE_NEWNS",
        Namespace::Pid => "CLONE_NEWPID",
        Namespace::Ipc => "CLONE_NEWIPC",
        Namespace::Uts => "CLONE_NEWUTS",
        Namespace::Network => "CLONE_NEWNET",
        Namespace::Cgroup => "CLONE_NEWCGROUP",
        Namespace::Time => "CLONE_NEWTIME",
    }
}

pub(super) fn id_map() -> Trial {
    let uid = getuid();
    own_root()?;
    if !getuid().is_root() {
        return Err(Miss::Without(format!("the map is written, but uid {uid} is {} inside", getuid())));
    }
    Ok(format!("uid {uid} as 0"))
}

/// As root starts a sandbox: the child's map is written from outside and holds another id.
pub(super) fn id_map_unique() -> Trial {
    if !geteuid().is_root() {
        return Err(Miss::Skipped("only root can; another user's sandbox has that user's own id".to_owned()));
    }
    let (map, mut mapped) = with_map(&format!("0 {UNIQUE} 1"))?;
    mapped.end()?;
    Ok(format!("uid {} as 0", map.split_whitespace().nth(1).unwrap_or_default()))
}

/// A child that waits in a user namespace of its own.
pub(super) struct Mapped {
    pub(super) process: nix::unistd::Pid,
    go_on: Option<std::os::fd::OwnedFd>,
}

impl Mapped {
    /// Lets the child end and waits for it.
    pub(super) fn end(&mut self) -> Result<(), Miss> {
        drop(self.go_on.take());
        waitpid(self.process, None).at(Step::Process, "waitpid", "").map(drop)
    }
}

/// A child in a new user namespace with this map, and the map as the kernel reads it back. On an error the
/// child ends with its pipe.
pub(super) fn with_map(map: &str) -> Result<(String, Mapped), Miss> {
    let (entered, says) = pipe2(OFlag::O_CLOEXEC).at(Step::Process, "pipe2", "")?;
    let (waits, go_on) = pipe2(OFlag::O_CLOEXEC).at(Step::Process, "pipe2", "")?;
    let parent_end = std::os::fd::AsRawFd::as_raw_fd(&go_on);
    let process = start(|| {
        // The child's copy of the writing end would keep its own reading end open for ever. SAFETY: it is the
        // child's own copy; the parent's owner is never dropped here, as the child ends by _exit.
        unsafe { libc::close(parent_end) };
        super::process::report(user(), says);
        let _end = nix::unistd::read(&waits, &mut [0]);
    })?;
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(entered), &mut answer).at(
        Step::Process,
        "read",
        "",
    )?;
    let mut mapped = Mapped { process, go_on: Some(go_on) };
    let entered: Trial = serde_json::from_slice(&answer)
        .unwrap_or_else(|_| Err(Miss::Without("the trial's process ended early".to_owned())));
    let child = process.to_string();
    let written = entered
        .and_then(|_| write_of(&child, "uid_map", map))
        .and_then(|()| write_of(&child, "gid_map", map));
    let back = read::text(format!("/proc/{child}/uid_map")).unwrap_or_default();
    match written {
        Ok(()) if back.split_whitespace().eq(map.split_whitespace()) => Ok((back, mapped)),
        Ok(()) => {
            mapped.end()?;
            Err(Miss::Without(format!("the map reads back as {back:?}")))
        }
        Err(miss) => {
            mapped.end()?;
            Err(miss)
        }
    }
}

pub(super) fn pid() -> Trial {
    enter(Namespace::Pid)?;
    in_child(|| match getpid().as_raw() {
        1 => Ok(String::new()),
        other => Err(Miss::Without(format!("the first process has pid {other}"))),
    })
}

/// The namespace's identity before and after.
fn entered(namespace: Namespace) -> Trial {
    let link = match namespace {
        Namespace::Time => "time_for_children",
        namespace => kernel_name(namespace),
    };
    let path = format!("/proc/self/ns/{link}");
    let before = std::fs::read_link(&path).ok();
    enter(namespace)?;
    let after = std::fs::read_link(&path).ok();
    if before.is_some() && before == after {
        return Err(Miss::Without("the call passed, but the namespace is the same".to_owned()));
    }
    Ok(String::new())
}

pub(super) fn ipc() -> Trial {
    entered(Namespace::Ipc)
}

pub(super) fn uts() -> Trial {
    entered(Namespace::Uts)?;
    nix::unistd::sethostname("belljar").at(Step::Namespace(Namespace::Uts), "sethostname", "")?;
    Ok(String::new())
}

pub(super) fn network() -> Trial {
    entered(Namespace::Network)
}

pub(super) fn cgroup() -> Trial {
    entered(Namespace::Cgroup)
}

pub(super) fn time() -> Trial {
    entered(Namespace::Time)
}

/// Two namespaces at once, for mounts that need them.
pub(super) fn and(flags: c_int, namespace: Namespace) -> Result<(), Miss> {
    nix::sched::unshare(nix::sched::CloneFlags::from_bits_retain(flags)).at(
        Step::Namespace(namespace),
        "unshare",
        name_of(namespace),
    )
}

/// A namespace's `CLONE_NEW*` flag.
fn flag(namespace: Namespace) -> c_int {
    match namespace {
        Namespace::User => libc::CLONE_NEWUSER,
        Namespace::Mount => libc::CLONE_NEWNS,
        Namespace::Pid => libc::CLONE_NEWPID,
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::Uts => libc::CLONE_NEWUTS,
        Namespace::Network => libc::CLONE_NEWNET,
        Namespace::Cgroup => libc::CLONE_NEWCGROUP,
        // CLONE_NEWTIME (linux/sched.h); it does not fit clone(2)'s flags, only clone3's and unshare's.
        Namespace::Time => 0x80,
    }
}
