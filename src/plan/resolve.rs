//! The resolution itself: what is decided, in which order.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::check::role_name;
use super::etc::Setting;
use super::item::Item;
use super::landlock::Rules;
use super::places::Places;
use super::program::Search;
use super::text::c_path;
use super::view::{Ground, View};
use super::{
    Call, Identity, Note, Plan, PlanError, Root, Seccomp, Task, TaskRequest, cwd, env, filter, identity,
    landlock, limits, lite, mounts, resources,
};
use crate::host::kernel::{self, Version};
use crate::host::plain::PlainPathBuf;
use crate::host::{Facts, Files};
use crate::profile::{MountKind, Namespace, Profile};

/// `HOST_NAME_MAX`
const MAX_HOSTNAME: usize = 64;
const MAX_DESCRIPTORS: usize = 1024;

/// Makes the plan for one call of a profile on a host. See [`super`] for the rules.
///
/// # Errors
/// [`PlanError`]: everything that cannot be had as asked, before anything is started.
pub fn resolve(profile: &Profile, facts: &Facts, files: &dyn Files, call: &Call) -> Result<Plan, PlanError> {
    let (plan, notes) = resolve_with_notes(profile, facts, files, call)?;
    for note in notes {
        log::info!("{note}");
    }
    Ok(plan)
}

/// [`resolve`], with what a person may want to know besides.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with_notes(
    profile: &Profile,
    facts: &Facts,
    files: &dyn Files,
    call: &Call,
) -> Result<(Plan, Vec<Note>), PlanError> {
    let mut notes = Vec::new();
    let namespaces = namespaces(profile)?;
    kernel(profile, facts)?;
    if namespaces == 0 {
        lite::possible(profile, call.terminal)?;
    }
    let identity = identity::identity(profile, facts)?;
    let hostname = hostname(profile)?;
    let rlimits = limits::rlimits(profile, facts, &mut notes)?;
    let limits_ = limits::limits(profile)?;
    let cgroup = resources::cgroup(profile)?;
    let capabilities = limits::capabilities(profile)?;
    let variables = env::variables(profile, call)?;
    let seccomp = filter::filter(profile, facts, &mut notes)?;
    cwd::is_not_the_home(profile, facts, files, call)?;
    let asked_cwd = cwd::asked(profile, facts, call)?;

    let scene = Scene { profile, facts, files, identity };
    let built = match namespaces {
        0 => scene.lite(asked_cwd.as_deref(), seccomp.as_ref(), &mut notes)?,
        _ => {
            let host_network = !profile.namespaces.contains(&Namespace::Network);
            let home = env::get(&variables, "HOME").map(OsStr::as_bytes);
            let setting = Setting { identity, home, hostname: hostname.as_deref(), host_network };
            scene.full(asked_cwd.as_deref(), &setting, call.terminal, &mut notes)?
        }
    };

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
    let task = task(call, &search, &env, limits::stack(&rlimits, facts))?;
    let plan = Plan {
        profile: profile.name.clone(),
        namespaces,
        identity,
        hostname: hostname.map(|name| c_path(Path::new(&name))).transpose()?,
        loopback: profile.namespaces.contains(&Namespace::Network),
        cwd: c_path(&built.cwd)?,
        root: built.root,
        rlimits,
        umask: umask(profile)?,
        capabilities,
        no_new_privileges: profile.process.no_new_privileges,
        landlock: built.landlock,
        seccomp,
        env,
        task,
        descriptors: descriptors(&call.descriptors)?,
        terminal: call.terminal,
        limits: limits_,
        cgroup,
    };
    plan.check()?;
    Ok((plan, notes))
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

/// What both kinds of sandboxes are built from.
struct Scene<'a> {
    profile: &'a Profile,
    facts: &'a Facts,
    files: &'a dyn Files,
    identity: Identity,
}

/// The part of a plan that has to do with paths.
struct Paths {
    root: Option<Root>,
    landlock: Option<super::Landlock>,
    cwd: std::path::PathBuf,
    /// In *lite*.
    lite_rules: Option<Rules>,
    ground: Ground,
    items: Places<Item>,
    masked: Vec<PlainPathBuf>,
}

impl Paths {
    fn view<'a>(&'a self, files: &'a dyn Files) -> View<'a> {
        View { files, ground: &self.ground, items: &self.items, masked: &self.masked, except: None }
    }
}

impl Scene<'_> {
    fn full(
        &self,
        asked_cwd: Option<&Path>,
        setting: &Setting<'_>,
        terminal: bool,
        notes: &mut Vec<Note>,
    ) -> Result<Paths, PlanError> {
        let Self { profile, facts, files, .. } = *self;
        let built = mounts::build(profile, facts, files, setting, notes)?;
        if terminal && !built.items.values().any(|item| *item == Item::Devpts) {
            return Err(PlanError::Unenforceable {
                key: "a terminal of its own".to_owned(),
                reason: "the profile mounts no devpts",
                hint: "mount the minimal /dev in the profile",
            });
        }
        let rules = landlock::rules(&built.ground, profile.root.readonly, &built.items);
        let landlock = landlock::ruleset(profile, facts.landlock_abi, &rules, false)?;
        let cwd = cwd::cwd(asked_cwd, &built.view(files))?;
        let mounts::Built { root, ground, items, masked } = built;
        Ok(Paths { root: Some(root), landlock, cwd, lite_rules: None, ground, items, masked })
    }

    fn lite(
        &self,
        asked_cwd: Option<&Path>,
        seccomp: Option<&Seccomp>,
        notes: &mut Vec<Note>,
    ) -> Result<Paths, PlanError> {
        let Self { profile, facts, files, identity } = *self;
        let rules = lite::rules(profile, identity.host, facts, files, notes)?;
        let internet = seccomp.map(|seccomp| filter::allows_internet(&seccomp.program, facts));
        // A filter that allows internet sockets says that the network is wanted; one that denies them already holds it,
        // and Landlock is a second lock where the kernel has it. Without a filter Landlock is the only one.
        if internet.is_none() && profile.landlock.require && facts.landlock_abi.is_none_or(|abi| abi < 4) {
            let (key, has) = ("keeping the network out without a system-call filter", facts.landlock_abi);
            return Err(PlanError::Landlock { key, needs: 4, has });
        }
        let landlock = landlock::ruleset(profile, facts.landlock_abi, &rules, internet != Some(true))?;
        let cwd = lite::cwd(asked_cwd, &rules, files)?;
        let lite_rules = landlock.is_some().then_some(rules);
        // The host itself is what a sandbox without a root of its own sees.
        let ground = Ground::Folder { path: "/".into(), owner: None };
        let (items, masked) = (Places::new(), Vec::new());
        Ok(Paths { root: None, landlock, cwd, lite_rules, ground, items, masked })
    }
}

/// `CLONE_NEW*`.
fn namespaces(profile: &Profile) -> Result<u64, PlanError> {
    let asked = &profile.namespaces;
    if asked.is_empty() {
        return Ok(0);
    }
    for always in [Namespace::User, Namespace::Mount, Namespace::Pid] {
        if !asked.contains(&always) {
            let value = format!("{asked:?}");
            let problem = "user, mount and pid belong together: all of them, or no namespaces at all";
            return Err(PlanError::Value { key: "namespaces", value, problem });
        }
    }
    if profile.mounts.iter().any(|m| m.kind == MountKind::Mqueue) && !asked.contains(&Namespace::Ipc) {
        return Err(PlanError::Unenforceable {
            key: "a mount of message queues".to_owned(),
            reason: "the profile has no ipc namespace",
            hint: "add ipc to the namespaces, or leave the mount out",
        });
    }
    // CLONE_NEWTIME's bit overlaps the exit signal's in clone(2); clone3(2) and this plan have it as the kernel has it.
    Ok(asked.iter().fold(0, |flags, namespace| {
        flags
            | match namespace {
                Namespace::User => libc::CLONE_NEWUSER as u64,
                Namespace::Mount => libc::CLONE_NEWNS as u64,
                Namespace::Pid => libc::CLONE_NEWPID as u64,
                Namespace::Ipc => libc::CLONE_NEWIPC as u64,
                Namespace::Uts => libc::CLONE_NEWUTS as u64,
                Namespace::Network => libc::CLONE_NEWNET as u64,
                Namespace::Cgroup => libc::CLONE_NEWCGROUP as u64,
                Namespace::Time => libc::CLONE_NEWTIME as u64,
            }
    }))
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

fn umask(profile: &Profile) -> Result<u32, PlanError> {
    let umask = profile.process.umask;
    if umask > 0o777 {
        let (value, problem) = (format!("{umask:o}"), "it is beyond 777");
        return Err(PlanError::Value { key: "process.umask", value, problem });
    }
    Ok(umask)
}

fn descriptors(asked: &[i32]) -> Result<Vec<i32>, PlanError> {
    let mut numbers = asked.to_vec();
    numbers.sort_unstable();
    let wrong = |number: i32, problem| {
        Err(PlanError::Value { key: "descriptor", value: number.to_string(), problem })
    };
    if let Some(&number) = numbers.first().filter(|n| **n <= 2) {
        return wrong(number, "0 to 2 are the standard streams");
    }
    if let Some(pair) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        return wrong(pair[0], "it is given twice");
    }
    if numbers.len() > MAX_DESCRIPTORS {
        return Err(PlanError::TooMany { what: "descriptors", count: numbers.len(), limit: MAX_DESCRIPTORS });
    }
    Ok(numbers)
}

fn task(call: &Call, search: &Search<'_>, env: &[CString], stack: u64) -> Result<Task, PlanError> {
    match &call.task {
        TaskRequest::Program { argv } => {
            let path = search.program(argv.first().map_or(OsStr::new(""), |name| name.as_os_str()))?;
            let argv = env::arguments(argv)?;
            env::fits(&argv, env, stack)?;
            Ok(Task::Program { path: c_path(&path)?, argv })
        }
        TaskRequest::Role { name, args } => {
            if !role_name(name) {
                let problem = "a role's name is not empty, has no slash and no control characters";
                return Err(PlanError::Value { key: "role", value: name.clone(), problem });
            }
            env::fits(&env::arguments(args)?, env, stack)?;
            Ok(Task::Role { name: name.clone() })
        }
        TaskRequest::Function { entry, function } => {
            env::fits(&[], env, stack)?;
            Ok(Task::Call { entry: *entry, function: *function })
        }
    }
}
