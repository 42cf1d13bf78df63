//! More tasks in a sandbox that stands: the same walls, a filter, limits and read-back of their own.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus};
#[cfg(feature = "cli")]
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::command::{Command, Streams};
use super::error::{Error, Step};
use super::given::{Given, give};
use super::handover;
use super::hooks::Hook;
use super::id_maps::IdMaps;
use super::lent::Lent;
use super::spawn::{MOST_MESSAGES, PATIENCE, log, task_name};
use super::{Child, terminal, watch};
#[cfg(feature = "cli")]
use super::{
    supervisor::{self, Supervisor},
    watch::Seen,
};
use crate::cgroup::{Entrance, Group};
use crate::host::{RealFiles, Remembered};
use crate::plan::resources::other_limit;
use crate::plan::{Cgroup, HookProgram, Limits, PartialPlan, Plan, PlanError, TaskRequest, Walls};
use crate::protocol::{Channel, ChannelError, End, MAX_SENT, Message, Order, PASSED_ON, Passed};
use crate::reexec::Stdio;

/// Where more tasks are asked for.
#[derive(Debug)]
pub(crate) struct Orders {
    /// One order at a time: each is several messages.
    channel: Mutex<Channel>,
    profile: String,
    walls: Walls,
    limits: Limits,
    cgroup: Option<Cgroup>,
    /// The id that nothing else on the host has, if the sandbox has one.
    host_id: Option<u32>,
    /// Of its control group, if it has one.
    entrance: Option<Entrance>,
}

/// Both ends of a channel between the caller and init.
fn pair() -> Result<(OwnedFd, OwnedFd), Error> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(Error::prepare(Step::Descriptors, "socketpair", ""))
}

/// When init has had the time to start a task with these programs before it; `None` if one of them may take
/// as long as it likes.
fn deadline(hooks: &[HookProgram]) -> Result<Option<Duration>, Error> {
    let now = watch::now().map_err(|source| Error::Child { action: "wait for", source })?;
    let hooks: Option<Vec<_>> = hooks.iter().map(|hook| hook.timeout_ms).collect();
    Ok(hooks.map(|times| {
        times
            .into_iter()
            .map(Duration::from_millis)
            .fold(now.saturating_add(PATIENCE), Duration::saturating_add)
    }))
}

const NOT_ANSWERED: Error = Error::NotAnswered { limit_ms: PATIENCE.as_millis() as u64 };

/// Why init did not take a task.
fn not_sent(error: ChannelError) -> Error {
    match error {
        ChannelError::System { source: Errno::EAGAIN } => NOT_ANSWERED,
        ChannelError::System { source: Errno::EPIPE } => Error::NoMoreTasks,
        _ => Error::Protocol,
    }
}

impl Orders {
    /// Those of a sandbox that is being made, and init's end.
    pub(super) fn new(
        plan: &Plan,
        host_id: Option<u32>,
        group: Option<&Group>,
    ) -> Result<(Self, OwnedFd), Error> {
        let entrance = group.map(Group::entrance).transpose()?;
        let (ours, inits) = pair()?;
        // An init that is stopped takes nothing.
        setsockopt(&ours, sockopt::SendTimeout, &TimeVal::seconds(PATIENCE.as_secs().cast_signed()))
            .map_err(Error::prepare(Step::Descriptors, "setsockopt", "SO_SNDTIMEO"))?;
        let orders = Self {
            channel: Mutex::new(Channel::new(ours)),
            profile: plan.profile.clone(),
            walls: plan.walls.clone(),
            limits: plan.limits,
            cgroup: plan.cgroup.clone(),
            host_id,
            entrance,
        };
        Ok((orders, inits))
    }

    /// Starts a task. Once this returns it runs.
    pub(crate) fn start(
        &self,
        command: &mut Command<'_>,
        defaults: [fn() -> Stdio; 3],
    ) -> Result<Exec, Error> {
        // Whatever that looks like from here.
        self.ask(command, defaults).map_err(|error| if self.is_over() { Error::Over } else { error })
    }

    /// Whether init is gone.
    fn is_over(&self) -> bool {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        channel.is_gone()
    }

    fn ask(&self, command: &mut Command<'_>, defaults: [fn() -> Stdio; 3]) -> Result<Exec, Error> {
        if matches!(command.request(), TaskRequest::Role { .. }) {
            return Err(Error::RoleInSandbox);
        }
        if command.hooks().iter().any(|hook| !matches!(hook, Hook::StartContainer(_))) {
            return Err(Error::HooksOfWalls);
        }
        command.check_terminal()?;
        super::spawn::fill_streams()?;
        let (asked, facts) = (command.call(), command.facts()?);
        let mut partial = PartialPlan::new(command.profile(), &facts, &asked)?;
        let streams = command.open_streams(defaults, &mut partial.files_given)?;
        if let Some(id) = self.host_id {
            partial.becomes(id);
        }
        let (plan, notes) = partial.complete(&Remembered::new(&RealFiles))?;
        notes.iter().for_each(crate::plan::Note::log);
        if (&plan.profile, &plan.walls) != (&self.profile, &self.walls) {
            return Err(Error::OtherWalls);
        }
        let asked = (&plan.limits, plan.cgroup.as_ref());
        if let Some(limit) = other_limit(asked, (&self.limits, self.cgroup.as_ref())) {
            return Err(Error::OtherLimit { limit });
        }
        if plan.limits.output.is_some() {
            return Err(Error::OutputNotLimited);
        }
        self.order(command, &plan, streams)
    }

    fn order(&self, command: &Command<'_>, plan: &Plan, streams: Streams) -> Result<Exec, Error> {
        let Streams { ends, ours: [stdin, stdout, stderr], lent } = streams;
        let kept = command.kept();
        let identity = &self.walls.identity;
        let task_ids = IdMaps::of(identity, self.host_id).given_to(identity);
        let given = give(&ends, &kept, &identity.host, task_ids)?;
        let (own, theirs) = pair()?;
        let channel = Channel::new(own);
        let window = plan.task.terminal.then(terminal::size);
        let cgroup_procs_fds = self.entrance.as_ref().map_or(Ok(Vec::new()), Entrance::cgroup_procs_fds);
        let cgroup_procs_fds = cgroup_procs_fds?;
        let pids = self.entrance.as_ref().map_or(Ok(None), Entrance::pids);
        let (pids, counter) = pids?.unzip();
        let mut sent = vec![theirs.as_fd()];
        sent.extend(ends.iter().chain(&cgroup_procs_fds).chain(&counter).map(AsFd::as_fd).chain(kept));
        if sent.len() > MAX_SENT {
            let (what, limit) = (
                "descriptors of one more task",
                MAX_SENT.saturating_sub(4 + cgroup_procs_fds.len() + counter.iter().len()),
            );
            let count = plan.task.descriptors.len();
            return Err(PlanError::TooMany { what, count, limit }.into());
        }
        let order = Order {
            window,
            pids,
            cgroup_procs_fds: u32::try_from(cgroup_procs_fds.len()).unwrap_or(u32::MAX),
        };
        {
            let task = plan.task.encode()?;
            let orders = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
            orders.send_with(&order, &sent).map_err(not_sent)?;
            orders.send_long(&task).map_err(|error| {
                // Half a task is no beginning of another: init takes no more.
                nix::sys::socket::shutdown(orders.as_fd().as_raw_fd(), Shutdown::Write).ok();
                not_sent(error)
            })?;
        }
        drop((ends, theirs));
        // init starts one at a time, each in milliseconds, and its end ends the channel. A task whose channel
        // is gone it does not start.
        let deadline = deadline(&plan.task.hooks)?;
        let handed = handover::wait(&channel, plan, deadline, &mut (), || Error::Over);
        let handed = handed.map_err(|error| match error {
            Error::NotStarted { .. } => NOT_ANSWERED,
            error => error,
        })?;
        Ok(Exec {
            stdin: stdin.map(Into::into),
            stdout: stdout.map(Into::into),
            stderr: stderr.map(Into::into),
            terminal: handed.terminal,
            seccomp_listener: handed.listener,
            program: task_name(plan),
            channel,
            ended: None,
            _given: given,
            _lent: lent,
        })
    }
}

/// A task that was started in a sandbox beside the first ([`Child::exec`]). Dropping it ends it, with its
/// process group.
#[derive(Debug)]
pub struct Exec {
    /// The writing end of its standard input, if that is piped.
    pub stdin: Option<ChildStdin>,
    /// The reading end of its standard output, if that is piped.
    pub stdout: Option<ChildStdout>,
    /// The reading end of its standard error, if that is piped.
    pub stderr: Option<ChildStderr>,
    /// The caller's end of its terminal, if it has one of its own; see [`Child::terminal`].
    pub terminal: Option<OwnedFd>,
    /// The listener of its filter; see [`Child::seccomp_listener`].
    pub seccomp_listener: Option<OwnedFd>,
    program: String,
    channel: Channel,
    ended: Option<ExitStatus>,
    _given: Given,
    _lent: Lent,
}

impl Exec {
    /// Sends it a signal, as [`Child::signal`] does the first task.
    ///
    /// # Errors
    /// `InvalidInput` for a signal that is not passed on.
    pub fn signal(&mut self, signal: i32) -> std::io::Result<()> {
        if !PASSED_ON.iter().any(|passed| *passed as i32 == signal) {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        // One that has ended needs none.
        self.channel.send(&Passed { signal }).ok();
        Ok(())
    }

    /// Its channel, and the outer end of its terminal: for another process of this user, which follows it
    /// from here on.
    #[cfg(feature = "cli")]
    pub(crate) fn into_descriptors(self) -> (OwnedFd, Option<OwnedFd>) {
        (self.channel.into(), self.terminal)
    }

    /// In that process, whose streams these are.
    #[cfg(feature = "cli")]
    pub(crate) fn of_descriptors(
        channel: OwnedFd,
        streams: [OwnedFd; 3],
        program: &str,
    ) -> Result<Self, Error> {
        let noted = |errno| Error::prepare(Step::Descriptors, "ioctl", "terminal")(errno);
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let host = crate::plan::HostIdentity::Own { uid, gid };
        let given = give(&streams, &[], &host, None)?;
        let mut lent = Lent::default();
        for stream in streams.iter().filter(|stream| std::io::IsTerminal::is_terminal(*stream)) {
            lent.note(stream.as_fd()).map_err(noted)?;
        }
        let (stdin, stdout, stderr) = (None, None, None);
        let (channel, program) = (Channel::new(channel), program.to_owned());
        Ok(Self {
            stdin,
            stdout,
            stderr,
            terminal: None,
            seccomp_listener: None,
            program,
            channel,
            ended: None,
            _given: given,
            _lent: lent,
        })
    }

    /// A copy of its channel's descriptor.
    #[cfg(feature = "cli")]
    pub(crate) fn descriptor(&self) -> std::io::Result<OwnedFd> {
        self.channel.as_fd().try_clone_to_owned()
    }

    /// [`wait`](Self::wait), for a caller that has something to see to meanwhile. Asked for its end by force,
    /// it kills the task.
    #[cfg(feature = "cli")]
    pub(crate) fn wait_supervised(&mut self, supervisor: &mut dyn Supervisor) -> Result<ExitStatus, Error> {
        loop {
            match watch::wait(&[self.channel.as_fd()], None, supervisor).map_err(supervisor::failed)? {
                Seen::Ready => return self.wait(),
                Seen::Force => self.kill(),
                Seen::Overdue => {}
            }
        }
    }

    /// Ends it, with its process group.
    pub fn kill(&mut self) {
        // One that has ended needs none.
        self.channel.send(&Passed { signal: libc::SIGKILL }).ok();
    }

    /// Waits for its end. Closes a piped standard input first, as `std` does.
    ///
    /// # Errors
    /// [`Error::Over`] if the sandbox has ended before it.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        drop(self.stdin.take());
        if let Some(status) = self.ended {
            return Ok(status);
        }
        for _ in 0..MOST_MESSAGES {
            match self.channel.receive::<Message>() {
                Ok(Some(Message::Ended { end: End::Status(status), .. })) => {
                    let status = ExitStatus::from_raw(status);
                    self.ended = Some(status);
                    return Ok(status);
                }
                Ok(Some(Message::Log { level, text })) => log(level, &text),
                Ok(Some(Message::Failed(failure))) => return Err(Error::from_init(failure, &self.program)),
                Ok(None) => return Err(Error::Over),
                Ok(Some(_)) | Err(_) => return Err(Error::Protocol),
            }
        }
        Err(Error::Protocol)
    }
}

impl Child {
    /// Where more tasks are asked for, from any thread.
    #[cfg(feature = "cli")]
    pub(crate) fn orders(&self) -> Option<Arc<Orders>> {
        self.started.as_ref().and_then(|started| started.orders.clone())
    }

    /// Starts one more task within the walls of this sandbox, which has to be one of [`Command::more_tasks`],
    /// and runs it beside the first. The command is one of the same [`Sandbox`](super::Sandbox); its streams
    /// are inherited where nothing is set. Limits of the whole sandbox (time, memory, processes, …) are those
    /// that it started with; limits of each process, as that of file size, are the command's. It ends with
    /// the first task at the latest.
    ///
    /// # Errors
    /// As [`Command::spawn`]; if the sandbox takes no more tasks, or has ended; if the profile makes other
    /// walls by now, as something that it shows was replaced; [`Error::OtherLimit`] if the command's sandbox
    /// has another limit of the whole; and [`Error::NotAnswered`] if init did not start it within 10 s (and
    /// the times of its hooks), as it is stopped: it does not do so later.
    pub fn exec(&self, command: &mut Command<'_>) -> Result<Exec, Error> {
        let orders = self.started.as_ref().and_then(|started| started.orders.as_ref());
        let orders = orders.ok_or(Error::NoMoreTasks)?;
        orders.start(command, [Stdio::inherit, Stdio::inherit, Stdio::inherit])
    }
}
