//! From a profile's part of a Plan to a running sandbox: the descriptors, the clone and re-execution, the
//! rest of the Plan, the id maps, the word to go on, and init's word that all walls stand.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::built::{Built, Half};
use super::error::{Error, StartError, Step};
use super::exec::Orders;
use super::given::{Given, give};
use super::hooks::{Hook, Hooks};
use super::host_id::HostId;
use super::id_maps::IdMaps;
use super::joined::Joined;
use super::lent::Lent;
use super::oom_score;
use super::supervisor::{self, Supervisor};
use super::timing::Stopwatch;
use super::{terminal, trees};
use crate::capability::CapabilitySet;
use crate::cgroup::{Group, Site};
use crate::host::{RealFiles, Remembered};
use crate::plan::{Ending, Namespaces, PartialPlan, Plan, Workload};
use crate::protocol::{Channel, ChannelError, Go, MAX_SENT, Message, ReadBack, Trees};
use crate::{init, reexec, sys};

/// How long the re-executed image may take to reach its `init()` call, and init to start one more task.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The most messages that are read at a time: init has a handful to say.
pub(super) const MOST_MESSAGES: usize = 64;

/// What goes in besides the Plan.
#[derive(Debug)]
pub(super) struct Handed<'a> {
    /// Standard input, output and error.
    pub(super) stdio: [OwnedFd; 3],
    /// In the order of the Plan's numbers.
    pub(super) descriptors: Vec<BorrowedFd<'a>>,
    /// A call's argument and the pipe for its result.
    pub(super) call: Option<(OwnedFd, OwnedFd)>,
    /// A role's arguments, its name first; for a program what `ps` shows of init.
    pub(super) argv: Vec<CString>,
    /// See `Command::more_tasks`.
    pub(super) more_tasks: bool,
    /// See `Command::hook`.
    pub(super) hooks: &'a [Hook],
    /// Whether init stops once the walls stand, until it gets a word.
    pub(super) hold: bool,
    /// See `Command::amend`.
    #[cfg(feature = "cli")]
    pub(super) amend: Option<fn(&mut Plan)>,
}

/// A sandbox whose task has started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) channel: Channel,
    pub(super) readback: ReadBack,
    pub(super) began: Instant,
    /// When the caller ends it if init has not, `CLOCK_BOOTTIME`.
    pub(super) deadline: Option<Duration>,
    /// The outer end of its terminal, if it has one of its own, until the child has it.
    pub(super) terminal: Option<OwnedFd>,
    /// The listener of its filter, if it has one, until the child has it.
    pub(super) listener: Option<OwnedFd>,
    /// The caller's terminal, put back as soon as the sandbox has ended.
    pub(super) lent: Lent,
    /// Where more tasks are asked for, if they may be.
    pub(super) orders: Option<Arc<Orders>>,
    /// Its control group, if it has one.
    pub(super) group: Option<Group>,
    /// Put back with the child: the run is over then.
    pub(super) _given: Given,
    /// The claim lasts as long as the sandbox.
    pub(super) _host_id: Option<HostId>,
    /// The last of it that goes; `None` once it has.
    pub(super) hooks: Option<Hooks>,
}

/// Has the walls of a plan built, which is made while init is on its way. On an error nothing of it is left.
/// `afterwards` is done while init builds.
pub(super) fn build(
    mut partial: PartialPlan<'_>,
    handed: &Handed<'_>,
    supervisor: &mut dyn Supervisor,
    afterwards: impl FnOnce(&Plan) -> Result<(), Error>,
    stopwatch: &mut Stopwatch,
) -> Result<Built, Error> {
    let began = Instant::now();
    let Prepared { host_id, maps, task_ids, given, own, site } = prepare(&mut partial, handed)?;
    stopwatch.mark("prepare");
    let launched = match launch(&partial, handed, &own) {
        Ok(launched) => launched,
        Err(error) => {
            // What is wrong with what was asked for is told first.
            partial.complete(&Remembered::new(&RealFiles))?;
            return Err(error);
        }
    };
    stopwatch.mark("clone and execution");
    let pid = launched.pid;
    // On an error the sandbox ends before its group is removed, and that before the last hooks.
    let hooks = Hooks::new(handed.hooks, pid);
    let mut group = None;
    let half = Half { launched: Some(launched), pid_namespace: !partial.namespaces.is_lite() };
    let channel = half.launched()?.channel.try_clone().map(Channel::new);
    let channel = channel.map_err(|source| Error::Child { action: "keep the channel to", source })?;
    let plan = complete(partial, handed)?;
    stopwatch.mark("plan");
    let told = sent(channel.send_long(&plan.encode()?))?;
    if let Some(site) = site {
        group = Some(Group::make(site)?);
        stopwatch.mark("control group");
    }
    let id = host_id.as_ref().map(HostId::id);
    let GoAhead { go, descriptors, orders } = GoAhead::of(&plan, handed, group.as_ref(), id, &hooks)?;
    // The maps come only after the new image is up: the kernel tells it its ids while it is executed (AT_UID,
    // AT_EUID, AT_GID, AT_EGID), one after the other, and to musl two that differ mean a set-user-ID program.
    half.launched()?
        .wait_ready(PATIENCE)
        .map_err(|source| StartError::Launch { namespaces: plan.walls.namespaces, source })?;
    stopwatch.mark("start of the image");
    // An init that has ended already has said why.
    give_ids(&half, &plan, &maps, pid).map_err(|error| failure(&channel, &plan).unwrap_or(error))?;
    supervisor.before().map_err(supervisor::failed)?;
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let told = told.and(sent(channel.send_with(&go, &descriptors))?);
    let told = told.and(hand_trees(&channel, &plan, &maps, task_ids)?);
    stopwatch.mark("trees");
    afterwards(&plan)?;
    let mut built = Built { plan, pid, half, channel, told, began, orders, group, given, host_id, hooks };
    built.call_hooks(supervisor)?;
    Ok(built)
}

/// What is there before init is.
struct Prepared {
    host_id: Option<HostId>,
    maps: IdMaps,
    /// The host's ids of a task that does not have the caller's.
    task_ids: Option<(u32, u32)>,
    given: Given,
    /// A pidfd of this process.
    own: OwnedFd,
    /// Where the control group is made; its cleaner is on its way.
    site: Option<Site>,
}

fn prepare(partial: &mut PartialPlan<'_>, handed: &Handed<'_>) -> Result<Prepared, Error> {
    // The id maps are written there, and *lite* finds the task's descendants there: it must not be missed
    // only then.
    if !reexec::proc_in_reach() {
        return Err(Error::prepare(Step::Proc, "statfs", "/proc/self")(Errno::ENOENT));
    }
    let host_id = HostId::of(partial).map_err(Error::prepare(Step::HostId, "bind", ""))?;
    let maps = IdMaps::of(&partial.identity, host_id.as_ref().map(HostId::id));
    let task_ids = maps.given_to(&partial.identity);
    let given = give(&handed.stdio, &handed.descriptors, &partial.identity.host, task_ids)?;
    let own = sys::process::pidfd_open(nix::unistd::getpid().as_raw());
    let own = own.map_err(Error::prepare(Step::Descriptors, "pidfd_open", "own process"))?;
    // First of all what takes its time on another processor: the group's cleaner, then init; the plan and the
    // group when both are on their way.
    let site = partial.cgroup.as_ref().map(|cgroup| Site::find(cgroup, own.as_fd())).transpose();
    let site = site?;
    Ok(Prepared { host_id, maps, task_ids, given, own, site })
}

/// The plan; what a person may want to know of it is in the log.
fn complete(partial: PartialPlan<'_>, handed: &Handed<'_>) -> Result<Plan, Error> {
    let (plan, notes) = partial.complete(&Remembered::new(&RealFiles))?;
    #[cfg(feature = "cli")]
    let plan = handed.amend.into_iter().fold(plan, |mut plan, amend| {
        amend(&mut plan);
        plan
    });
    #[cfg(not(feature = "cli"))]
    let _ = handed;
    notes.iter().for_each(crate::plan::Note::log);
    Ok(plan)
}

/// The word to go on, and what goes with it.
struct GoAhead {
    go: Go,
    descriptors: Vec<OwnedFd>,
    /// The caller's end of the channel for more tasks.
    orders: Option<Orders>,
}

impl GoAhead {
    fn of(
        plan: &Plan,
        handed: &Handed<'_>,
        group: Option<&Group>,
        host_id: Option<u32>,
        hooks: &Hooks,
    ) -> Result<Self, Error> {
        let cgroup_procs = group.map_or(Ok(Vec::new()), Group::cgroup_procs_fds)?;
        let watches = group.map_or(Ok(Vec::new()), Group::watches)?;
        let (watches, watched): (Vec<_>, Vec<_>) = watches.into_iter().unzip();
        let (orders, inits) =
            handed.more_tasks.then(|| Orders::new(plan, host_id, group)).transpose()?.unzip();
        let go = Go {
            cgroup_procs_fds: u32::try_from(cgroup_procs.len()).unwrap_or(u32::MAX),
            watches,
            window: plan.task.terminal.then(terminal::size),
            hooks: hooks.any_before_pivot(),
            hold: handed.hold,
            orders: inits.is_some(),
        };
        Ok(Self { go, descriptors: inits.into_iter().chain(cgroup_procs).chain(watched).collect(), orders })
    }
}

/// The ids, by their maps, to an init that is still dumpable: its files in /proc are its own user's.
fn give_ids(half: &Half, plan: &Plan, maps: &IdMaps, pid: i32) -> Result<(), Error> {
    let pidfd = half.pidfd()?;
    if plan.walls.ending == Ending::Children && sys::process::number_in_proc(pidfd) != Ok(pid) {
        // init ends by number what `/proc` lists.
        return Err(StartError::ForeignProc.into());
    }
    oom_score::raise(pidfd)?;
    if plan.walls.namespaces.is_lite() { Ok(()) } else { maps.write(pidfd) }
}

/// Starts init, which begins with what needs no plan.
fn launch(partial: &PartialPlan<'_>, handed: &Handed<'_>, own: &OwnedFd) -> Result<reexec::Launched, Error> {
    let callers = init::own_namespaces(partial.namespaces)
        .map_err(|(path, errno)| Error::prepare(Step::Namespaces, "readlink", &path)(errno))?;
    let joined = Joined::open(&partial.joined)?;
    let prelude = partial.prelude(callers, joined.numbers())?;
    let payload = postcard::to_stdvec(&prelude)
        .map_err(|source| StartError::Codec { action: "encode the beginning of the plan", source })?;
    let call = handed.call.iter().flat_map(|(argument, result)| [argument.as_fd(), result.as_fd()]);
    let extra: Vec<BorrowedFd<'_>> =
        std::iter::once(own.as_fd()).chain(handed.descriptors.iter().copied()).chain(call).collect();
    let wanted = reexec::Launch {
        role: init::ROLE,
        payload: &payload,
        argv: &handed.argv,
        env: &[],
        stdio: [handed.stdio[0].as_fd(), handed.stdio[1].as_fd(), handed.stdio[2].as_fd()],
        extra: &extra,
        clone_flags: partial.namespaces.new_flags(),
        raise_capabilities: match partial.namespaces {
            Namespaces::Lite => CapabilitySet::EMPTY,
            Namespaces::Own { .. } => init::capabilities_for(partial.capabilities, partial.inner),
        },
        cwd: None,
        // In *lite* init has to live long enough to end the task's descendants.
        death_signal: !partial.namespaces.is_lite(),
        death_watch: false,
        new_session: false,
        cgroup: None,
    };
    joined
        .with(|| reexec::launch(&wanted))?
        .map_err(|source| StartError::Launch { namespaces: partial.namespaces, source }.into())
}

/// Makes the trees and sends them behind the go-ahead: never more at once than go with one message, as each
/// is a descriptor.
fn hand_trees(
    channel: &Channel,
    plan: &Plan,
    maps: &IdMaps,
    task_ids: Option<(u32, u32)>,
) -> Result<Result<(), ChannelError>, Error> {
    // Otherwise init opens all by their paths.
    let Some(task_ids) = task_ids else { return Ok(Ok(())) };
    let mut maker = trees::Maker::new(maps, task_ids);
    let mut told = Ok(());
    for sources in trees::sources(plan).chunks(MAX_SENT) {
        let trees = sources.iter().map(|source| maker.make(source)).collect::<Result<Vec<_>, _>>()?;
        let trees: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
        let count = u32::try_from(trees.len()).unwrap_or(u32::MAX);
        told = told.and(sent(channel.send_with(&Trees { count }, &trees))?);
    }
    Ok(told)
}

/// How sending went. If init was not there to take it, what it said before is still there to be read.
pub(super) fn sent(result: Result<(), ChannelError>) -> Result<Result<(), ChannelError>, Error> {
    match result {
        Err(ChannelError::System { source }) if ![Errno::EPIPE, Errno::ECONNRESET].contains(&source) => {
            // init waits for what never came, and would for ever.
            Err(Error::Child { action: "send the go-ahead to the init of", source: source.into() })
        }
        result => Ok(result),
    }
}

/// Why init has ended, if it has said so.
pub(super) fn failure(channel: &Channel, plan: &Plan) -> Option<Error> {
    for _ in 0..MOST_MESSAGES {
        let mut watched = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
        if poll(&mut watched, PollTimeout::ZERO) != Ok(1) {
            return None;
        }
        match channel.receive::<Message>() {
            Ok(Some(Message::Failed(failure))) => return Some(Error::from_init(failure, &task_name(plan))),
            Ok(Some(Message::Log { level, text })) => log(level, &text),
            Ok(_) | Err(_) => return None,
        }
    }
    None
}

/// The program's path or the role's name, for messages.
pub(super) fn task_name(plan: &Plan) -> String {
    match &plan.task.workload {
        Workload::Program { path, .. } => crate::protocol::shown(path.to_bytes()),
        Workload::Role { name } => name.clone(),
        Workload::Call { .. } => "the function".to_owned(),
    }
}

/// A record of init's, in the caller's log.
pub(super) fn log(level: u8, text: &str) {
    let level = match level {
        1 => log::Level::Error,
        2 => log::Level::Warn,
        3 => log::Level::Info,
        4 => log::Level::Debug,
        _ => log::Level::Trace,
    };
    log::log!(target: "belljar::init", level, "{text}");
}

/// None of the descriptors that are made from here on is one of the standard streams.
pub(super) fn fill_streams() -> Result<(), Error> {
    let failed = |error| Error::prepare(Step::Descriptors, "open", "/dev/null")(errno_of(&error));
    sys::streams::fill().map_err(failed)
}

/// The errno of an I/O error.
pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
