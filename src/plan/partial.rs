//! What is decided about a sandbox without a look at any file. It is enough to start its init by, which takes
//! its time: that of deciding the rest.

use std::ffi::OsString;
use std::path::Path;

use super::call::Call;
use super::error::PlanError;
use super::model::{
    BLOCK, Cgroup, HostIdentity, Identity, Joined, Limits, Namespaces, ProcessAttributes, Ranges, RangesFrom,
};
use super::paths::convert::c_path;
use super::paths::lite;
use super::show::note::Note;
use super::task::{env, filter, kept, limits};
use super::{identity, resources};
use crate::capability::{Capability, CapabilitySet};
use crate::host::Facts;
use crate::host::kernel::{self, Version};
use crate::profile::{IdRange, Namespace, Profile};
use crate::protocol::Prelude;

/// `HOST_NAME_MAX`
const MAX_HOSTNAME: usize = 64;
const MAX_DESCRIPTORS: usize = 1024;

/// A plan whose paths are not decided yet.
#[derive(Debug)]
pub(crate) struct PartialPlan<'a> {
    pub(super) profile: &'a Profile,
    pub(super) facts: &'a Facts,
    pub(super) call: &'a Call,
    pub(crate) namespaces: Namespaces,
    pub(crate) joined: Vec<Joined>,
    pub(crate) identity: Identity,
    pub(crate) hostname: Option<String>,
    pub(crate) loopback: bool,
    pub(super) attributes: ProcessAttributes,
    /// Those that are kept.
    pub(crate) capabilities: CapabilitySet,
    pub(crate) inner: bool,
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) descriptors: Vec<i32>,
    /// See [`Call::files_given`].
    pub(crate) files_given: bool,
    pub(crate) limits: Limits,
    pub(crate) cgroup: Option<Cgroup>,
    pub(super) notes: Vec<Note>,
}

impl<'a> PartialPlan<'a> {
    /// # Errors
    /// What cannot be had as asked, for reasons that no file changes.
    pub(crate) fn new(profile: &'a Profile, facts: &'a Facts, call: &'a Call) -> Result<Self, PlanError> {
        let mut notes = Vec::new();
        let namespaces = namespaces(profile)?;
        kernel(profile, facts)?;
        if namespaces.is_lite() {
            lite::possible(profile, call.terminal)?;
        }
        if namespaces.is_lite() && !call.create_container.is_empty() {
            return Err(PlanError::Unenforceable {
                key: "createContainer hooks".to_owned(),
                reason: "without namespaces there is nothing that they could prepare",
                hint: "choose a profile with namespaces, or leave them out",
            });
        }
        filter::notifies(profile, facts, call)?;
        let limits = limits::limits(profile)?;
        if call.terminal && limits.output.is_some() {
            return Err(terminal_limit());
        }
        let identity = identity::identity(profile, facts)?;
        let cgroup = resources::cgroup(profile)?;
        let capabilities = profile.process.capabilities;
        kept::check(capabilities, cgroup.as_ref(), &identity.host)?;
        Ok(Self {
            profile,
            facts,
            call,
            namespaces,
            joined: joined(profile, facts)?,
            identity,
            hostname: hostname(profile)?,
            loopback: profile.namespaces.contains(&Namespace::Network),
            attributes: limits::attributes(profile, facts, &mut notes)?,
            limits,
            cgroup,
            capabilities,
            inner: kept::inner(namespaces, capabilities),
            variables: env::variables(profile, call)?,
            descriptors: descriptors(&call.descriptors, facts)?,
            files_given: call.files_given,
            notes,
        })
    }

    /// Where the id is chosen from that nothing else has.
    pub(crate) fn spare_ids(&self) -> Option<(u32, u32)> {
        self.facts.spare_ids
    }

    /// Where the block of ids is chosen from that nothing else has.
    pub(crate) fn spare_blocks(&self) -> Option<(u32, u32)> {
        self.facts.spare_blocks
    }

    /// The id has been chosen, or the first of the block: without a user namespace it is the one inside, too.
    pub(crate) fn becomes(&mut self, id: u32) {
        if self.namespaces.is_lite() {
            (self.identity.uid, self.identity.gid) = (id, id);
        }
        if self.identity.host == HostIdentity::UniqueRange {
            let all = vec![IdRange { inside: 0, outside: id, count: BLOCK }];
            let ranges = Ranges { users: all.clone(), groups: all, from: RangesFrom::Unique };
            self.identity.host = HostIdentity::Ranges(ranges);
        }
    }

    /// What init gets of it ahead, with the caller's namespaces.
    ///
    /// # Errors
    /// None that [`PartialPlan::new`] has not found.
    pub(crate) fn prelude(
        &self,
        callers: Vec<(String, u64)>,
        joined: Vec<(String, u64)>,
    ) -> Result<Prelude, PlanError> {
        Ok(Prelude {
            namespaces: self.namespaces,
            joined,
            callers,
            hostname: self.hostname.as_deref().map(Path::new).map(c_path).transpose()?,
            loopback: self.loopback,
        })
    }
}

/// Output is counted on pipes.
fn terminal_limit() -> PlanError {
    PlanError::Unenforceable {
        key: "limits.output".to_owned(),
        reason: "a limit of output cannot be held on a terminal",
        hint: "leave out the terminal (--tty), or the limit (--output-limit unlimited)",
    }
}

/// Before anything that only follows from it is complained about: what this kernel is too old for.
fn kernel(profile: &Profile, facts: &Facts) -> Result<(), PlanError> {
    let has = Version { major: facts.kernel.0, minor: facts.kernel.1 };
    let since = |what, call, needs| match needs {
        Some(needs) if has < needs => Err(PlanError::Kernel { what, call, needs, has }),
        _ => Ok(()),
    };
    if !profile.namespaces.is_empty() {
        since("a profile with namespaces", "mount_setattr", Some(kernel::NAMESPACES_NEED))?;
    }
    // Some distributions have it in older kernels.
    if profile.landlock.require && facts.landlock_abi.is_none() {
        let call = "landlock_create_ruleset";
        since("Landlock", call, kernel::since(call))?;
    }
    since("the re-execution", "CLOSE_RANGE_CLOEXEC", kernel::since("CLOSE_RANGE_CLOEXEC"))
}

/// Those that are asked for.
fn namespaces(profile: &Profile) -> Result<Namespaces, PlanError> {
    let asked = &profile.namespaces;
    if asked.is_empty() {
        return Ok(Namespaces::Lite);
    }
    for always in [Namespace::User, Namespace::Mount, Namespace::Pid] {
        if !asked.contains(&always) {
            let value = format!("{asked:?}");
            let problem = "user, mount and pid belong together: all of them, or no namespaces at all";
            return Err(PlanError::Value { key: "namespaces", value, problem });
        }
    }
    if profile.mounts.iter().any(|m| m.kind.is_filesystem("mqueue")) && !asked.contains(&Namespace::Ipc) {
        return Err(PlanError::Unenforceable {
            key: "a mount of message queues".to_owned(),
            reason: "the profile has no ipc namespace",
            hint: "add ipc to the namespaces, or leave the mount out",
        });
    }
    Ok(Namespaces::Own { new: asked.iter().fold(0, |flags, namespace| flags | flag(*namespace)) })
}

/// `CLONE_NEWTIME`'s bit overlaps the exit signal's in clone(2); clone3(2) and this plan have it as the
/// kernel has it.
fn flag(namespace: Namespace) -> u64 {
    match namespace {
        Namespace::User => libc::CLONE_NEWUSER as u64,
        Namespace::Mount => libc::CLONE_NEWNS as u64,
        Namespace::Pid => libc::CLONE_NEWPID as u64,
        Namespace::Ipc => libc::CLONE_NEWIPC as u64,
        Namespace::Uts => libc::CLONE_NEWUTS as u64,
        Namespace::Network => libc::CLONE_NEWNET as u64,
        Namespace::Cgroup => libc::CLONE_NEWCGROUP as u64,
        Namespace::Time => libc::CLONE_NEWTIME as u64,
    }
}

/// Those that are joined.
fn joined(profile: &Profile, facts: &Facts) -> Result<Vec<Joined>, PlanError> {
    const CAN: [Namespace; 4] = [Namespace::Network, Namespace::Ipc, Namespace::Uts, Namespace::Cgroup];
    let fail = |path: &Path, reason, hint| {
        Err(PlanError::Unenforceable { key: format!("joining the namespace {path:?}"), reason, hint })
    };
    let mut all = Vec::new();
    for (namespace, path) in &profile.joined {
        if !CAN.contains(namespace) {
            return fail(path, "user, mount, pid and time namespaces are always new", "leave it out");
        }
        if profile.namespaces.is_empty() {
            return fail(path, "the profile has no namespaces", "use a profile with namespaces");
        }
        if profile.namespaces.contains(namespace) {
            return fail(path, "the same one is to be new", "take the word out of the namespaces");
        }
        if !facts.capabilities.contains(Capability::CAP_SYS_ADMIN) {
            return fail(
                path,
                "setns(2) asks for CAP_SYS_ADMIN in the user namespace that owns it and in the caller's own",
                "run belljar as root, or in the user namespace in which it was made, with that capability",
            );
        }
        all.push(Joined { flag: flag(*namespace), path: c_path(path)? });
    }
    Ok(all)
}

fn hostname(profile: &Profile) -> Result<Option<String>, PlanError> {
    let Some(name) = &profile.hostname else { return Ok(None) };
    if !profile.namespaces.contains(&Namespace::Uts) {
        return Err(PlanError::Unenforceable {
            key: "hostname".to_owned(),
            reason: "the profile has no uts namespace",
            hint: "add uts to the namespaces, or leave the host name out",
        });
    }
    // It is also a word of /etc/hosts.
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if name.is_empty() || name.len() > MAX_HOSTNAME || !plain {
        let problem = "a host name is 1 to 64 letters, digits, dots, hyphens and underscores";
        return Err(PlanError::Value { key: "hostname", value: name.clone(), problem });
    }
    Ok(Some(name.clone()))
}

fn descriptors(asked: &[i32], facts: &Facts) -> Result<Vec<i32>, PlanError> {
    let mut numbers = asked.to_vec();
    numbers.sort_unstable();
    let wrong = |number: i32, problem| {
        Err(PlanError::Value { key: "descriptor", value: number.to_string(), problem })
    };
    if let Some(&number) = numbers.first().filter(|n| **n <= 2) {
        return wrong(number, "descriptors are numbered from 3: 0 to 2 are the standard streams");
    }
    if let Some(pair) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        return wrong(pair[0], "it is given twice");
    }
    if numbers.len() > MAX_DESCRIPTORS {
        return Err(PlanError::TooMany { what: "descriptors", count: numbers.len(), limit: MAX_DESCRIPTORS });
    }
    // init keeps its own above them: all of these, its channel, a call's argument and result.
    let more = numbers.len().saturating_add(3);
    let most = limits::soft(limits::NOFILE, facts);
    let fits = |number: i32| (number as u64).saturating_add(more as u64) < most;
    if let Some(&number) = numbers.last().filter(|number| !fits(**number)) {
        return wrong(number, "the limit on open files (RLIMIT_NOFILE) is too low for it");
    }
    Ok(numbers)
}
