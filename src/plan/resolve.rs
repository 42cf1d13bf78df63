//! The resolution itself: what a [`PartialPlan`] leaves open, and in which order it is decided.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::call::{Call, TaskRequest};
use super::check::role_name;
use super::error::{NamespaceProblem, PlanError};
use super::model::{Ending, Inner, Namespaces, Node, Plan, Root, Task, Walls, Workload};
use super::partial::PartialPlan;
use super::paths::convert::{c_path, path_of};
use super::paths::etc::Setting;
use super::paths::inputs::Inputs;
use super::paths::landlock::{self, Rules};
use super::paths::places::Places;
use super::paths::view::{RootBase, View};
use super::paths::{lite, reach, root};
use super::show::note::Exposed;
use super::show::note::Note;
use super::task::program::Search;
use super::task::{cwd, env, filter, limits};
use crate::host::plain::PlainPathBuf;
use crate::host::{Facts, Files};
use crate::profile::{Namespace, Profile};

/// Makes the plan for one call of a profile on a host. See [`super`] for the rules.
///
/// # Errors
/// [`PlanError`]: everything that cannot be had as asked, before anything is started.
#[cfg(any(test, feature = "internals"))]
pub fn resolve(profile: &Profile, facts: &Facts, files: &dyn Files, call: &Call) -> Result<Plan, PlanError> {
    let (plan, notes) = resolve_with_notes(profile, facts, files, call)?;
    notes.iter().for_each(Note::log);
    Ok(plan)
}

/// Makes the plan for one call of a profile on a host, with what a person may want to know besides. See
/// [`super`] for the rules.
///
/// # Errors
/// [`PlanError`]: everything that cannot be had as asked, before anything is started.
pub fn resolve_with_notes(
    profile: &Profile,
    facts: &Facts,
    files: &dyn Files,
    call: &Call,
) -> Result<(Plan, Vec<Note>), PlanError> {
    PartialPlan::new(profile, facts, call)?.complete(files)
}

impl PartialPlan<'_> {
    /// Decides the rest: what has to do with files.
    ///
    /// # Errors
    /// [`PlanError`]: everything that cannot be had as asked, before anything is started.
    pub(crate) fn complete(self, files: &dyn Files) -> Result<(Plan, Vec<Note>), PlanError> {
        let Self { profile, facts, call, identity, variables, attributes, mut notes, .. } = self;
        self.joined.iter().try_for_each(|joined| joinable(&joined.path, files))?;
        let workdir = cwd::shown(profile, facts, files, call)?;
        let asked_cwd = cwd::asked(profile, facts, call)?;
        let identity = &identity;
        let inputs = Inputs { profile, facts, files, identity };
        let workdir = workdir.as_deref();
        let built = match self.namespaces {
            Namespaces::Lite => lite_paths(&inputs, workdir, asked_cwd.as_deref(), &mut notes)?,
            Namespaces::Own { .. } => {
                let host_network = !profile.namespaces.contains(&Namespace::Network);
                let home = env::get(&variables, "HOME").map(OsStr::as_bytes);
                let hostname = self.hostname.as_deref();
                let setting = Setting { identity, home, hostname, host_network };
                own_paths(&inputs, &setting, call, workdir, asked_cwd.as_deref(), &mut notes)?
            }
        };

        let exposed = built.exposed.clone().or_else(|| {
            let own = identity.host.may_own_files();
            (self.files_given && own).then_some(Exposed::Given)
        });
        let seccomp = filter::filter(profile, facts, exposed.as_ref(), &mut notes)?;
        let capabilities = limits::unexposed(self.capabilities, exposed.as_ref(), &mut notes);
        if !profile.process.no_new_privileges && (seccomp.is_some() || built.landlock.is_some()) {
            return Err(PlanError::Unenforceable {
                key: "process.noNewPrivileges = false".to_owned(),
                reason: "without it the kernel takes neither a system-call filter nor Landlock rules",
                hint: "leave it true, or turn both off (seccomp.mode, landlock.mode)",
            });
        }
        let env = env::strings(&variables)?;
        let search = Search {
            view: built.view(files),
            rules: built.lite_rules.as_ref(),
            identity,
            facts,
            path: env::get(&variables, "PATH"),
            cwd: &built.cwd,
            caller_env: &call.caller_env,
        };
        let workload = workload(call, &search, &env, limits::stack(&attributes.rlimits, facts))?;
        let plan = Plan {
            profile: profile.name.clone(),
            walls: Walls {
                namespaces: self.namespaces,
                joined: self.joined,
                ending: ending(self.namespaces, facts),
                identity: identity.clone(),
                hostname: self.hostname.map(|name| c_path(Path::new(&name))).transpose()?,
                loopback: self.loopback,
                inner: if self.inner { Inner::Made } else { Inner::Needless },
                root: built.root,
            },
            hooks: call.create_container.clone(),
            task: Task {
                cwd: c_path(&built.cwd)?,
                attributes,
                capabilities,
                session_keyring: filter::reaches_keys(profile.seccomp.as_ref()),
                no_new_privileges: profile.process.no_new_privileges,
                landlock: built.landlock,
                hooks: call.start_container.clone(),
                seccomp,
                env,
                workload,
                descriptors: self.descriptors,
                terminal: call.terminal,
            },
            limits: self.limits,
            cgroup: self.cgroup,
        };
        plan.check()?;
        Ok((plan, notes))
    }
}

/// Whether there is a namespace that can be joined.
fn joinable(path: &CStr, files: &dyn Files) -> Result<(), PlanError> {
    /// `NSFS_MAGIC` of linux/magic.h.
    const NSFS: u32 = 0x6e73_6673;
    let path = path_of(path);
    let problem = match files.filesystem(path) {
        Ok(NSFS) => return Ok(()),
        Ok(_) => NamespaceProblem::NotOne,
        Err(source) => NamespaceProblem::Lookup(source),
    };
    Err(PlanError::Namespace { path: path.to_owned(), problem })
}

/// The part of a plan that has to do with paths.
struct Paths {
    root: Option<Root>,
    landlock: Option<super::Landlock>,
    /// See [`reach`].
    exposed: Option<Exposed>,
    cwd: PathBuf,
    /// In *lite*.
    lite_rules: Option<Rules>,
    root_base: RootBase,
    nodes: Places<Node>,
    masked: Vec<PlainPathBuf>,
}

impl Paths {
    fn view<'a>(&'a self, files: &'a dyn Files) -> View<'a> {
        View { files, root_base: &self.root_base, nodes: &self.nodes, masked: &self.masked, except: None }
    }
}

/// With namespaces: in a root of its own.
fn own_paths(
    inputs: &Inputs<'_>,
    setting: &Setting<'_>,
    call: &Call,
    workdir: Option<&Path>,
    asked_cwd: Option<&Path>,
    notes: &mut Vec<Note>,
) -> Result<Paths, PlanError> {
    let Inputs { profile, facts, files, .. } = *inputs;
    let built = root::build(inputs, setting, call, workdir, notes)?;
    if call.terminal && !built.nodes.values().any(|node| node.is_filesystem("devpts")) {
        return Err(PlanError::Unenforceable {
            key: "a terminal of its own".to_owned(),
            reason: "the profile mounts no devpts",
            hint: "mount the minimal /dev in the profile",
        });
    }
    let rules = landlock::rules(&built.root_base, profile.root.readonly, &built.nodes, &built.marks);
    built.hold(inputs, &rules)?;
    let landlock = landlock::ruleset(profile, facts.landlock_abi, &rules, false)?;
    let cwd = cwd::cwd(asked_cwd, cwd::callers(profile, facts), &built.view(files))?;
    let root::Built { root, root_base, nodes, masked, .. } = built;
    let exposed = reach::exposed(&root, &root_base, &nodes, facts.uid, files);
    Ok(Paths { root: Some(root), landlock, exposed, cwd, lite_rules: None, root_base, nodes, masked })
}

/// *Lite*: in the host's own root.
fn lite_paths(
    inputs: &Inputs<'_>,
    workdir: Option<&Path>,
    asked_cwd: Option<&Path>,
    notes: &mut Vec<Note>,
) -> Result<Paths, PlanError> {
    let Inputs { profile, facts, files, .. } = *inputs;
    let rules = lite::rules(inputs, workdir, notes)?;
    let seccomp = filter::filter(profile, facts, None, &mut Vec::new())?;
    let internet = seccomp.map(|seccomp| filter::allows_internet(&seccomp.program, facts));
    // A filter that allows internet sockets says that the network is wanted; one that denies them already
    // holds it, and Landlock is a second lock where the kernel has it. Without a filter Landlock is the only
    // one.
    if internet.is_none() && profile.landlock.require && facts.landlock_abi.is_none_or(|abi| abi < 4) {
        let (key, has) = ("keeping the network out without a system-call filter", facts.landlock_abi);
        return Err(PlanError::Landlock { key, needs: 4, has });
    }
    let landlock = landlock::ruleset(profile, facts.landlock_abi, &rules, internet != Some(true))?;
    let cwd = lite::cwd(asked_cwd, cwd::callers(profile, facts), &rules, files)?;
    let lite_rules = landlock.is_some().then_some(rules);
    // The host itself is what a sandbox without a root of its own sees.
    let root_base = RootBase::Directory { path: "/".into(), owner: None };
    let (nodes, masked) = (Places::new(), Vec::new());
    let exposed = Some(Exposed::All);
    Ok(Paths { root: None, landlock, exposed, cwd, lite_rules, root_base, nodes, masked })
}

/// What tells the run's processes from all others.
fn ending(namespaces: Namespaces, facts: &Facts) -> Ending {
    let scope = |abi| landlock::scoped(abi) & landlock::access::SIGNAL != 0;
    match namespaces {
        Namespaces::Own { .. } => Ending::Namespace,
        Namespaces::Lite if facts.landlock_abi.is_some_and(scope) => Ending::Scope,
        Namespaces::Lite => Ending::Children,
    }
}

fn workload(call: &Call, search: &Search<'_>, env: &[CString], stack: u64) -> Result<Workload, PlanError> {
    match &call.task {
        TaskRequest::Program { argv } => {
            let path = search.program(argv.first().map_or(OsStr::new(""), |name| name.as_os_str()))?;
            let argv = env::arguments(argv)?;
            env::fits(&argv, env, stack)?;
            Ok(Workload::Program { path: c_path(&path)?, argv })
        }
        TaskRequest::Role { name, args } => {
            if !role_name(name) {
                let problem = "a role's name is not empty, has no slash and no control characters";
                return Err(PlanError::Value { key: "role", value: name.clone(), problem });
            }
            env::fits(&env::arguments(args)?, env, stack)?;
            Ok(Workload::Role { name: name.clone() })
        }
        TaskRequest::Function { entry, function } => {
            env::fits(&[], env, stack)?;
            Ok(Workload::Call { entry: *entry, function: *function })
        }
    }
}
