//! The child's side: PID 1 of the sandbox. It executes the Plan in the order of the lists below and
//! decides nothing.
//!
//! The first list is what it does before it has the Plan, the second builds the walls around this process,
//! which stays as PID 1; the third is walked by the task's process (PID 2) between its creation and the
//! hand-over. Each stage is a file. Nothing is written to the standard streams, which belong to the task;
//! faults travel on the channel.

mod bootstrap;
mod callers_trees;
mod capabilities;
mod cgroup;
mod context;
mod descriptors;
mod detached;
mod ending;
mod exit;
mod fds;
mod handover;
mod hooks;
mod hostname;
mod identity;
mod inner;
mod landlock;
mod limits;
mod listener;
mod lite;
mod loopback;
mod mounts;
mod namespaces;
mod orders;
mod pivot;
mod place;
mod readback;
mod root;
mod seccomp;
mod session;
mod signals;
mod start;
mod supervise;
mod sync;
mod table;
mod task;
mod task_fds;
mod terminal;
mod tree;
mod workdir;

pub(crate) use capabilities::needed as capabilities_for;
pub(crate) use namespaces::{ALL as NAMESPACES, own as own_namespaces};
pub(crate) use start::ROLE;
pub(crate) use tree::check as check_source;

use crate::protocol::{Failure, Fault, ReadBack, Stage};
use bootstrap::Bootstrap;
use context::Context;

/// A stage, and its work on what there is by then.
type Work<C> = (Stage, fn(&mut C) -> Result<(), Fault>);

/// What takes neither ids nor the Plan: meanwhile the caller makes both. The caller's word to go on follows in `start`.
const BOOTSTRAP: &[Work<Bootstrap>] = &[
    (Stage::Namespaces, namespaces::differ),
    (Stage::Hostname, hostname::set),
    (Stage::Loopback, loopback::up),
];

/// The walls around init itself, in order.
const WALLS: &[Work<Context>] = &[
    (Stage::Identity, identity::assume),
    (Stage::Inner, inner::make),
    (Stage::Propagation, mounts::make_private),
    (Stage::Root, root::build),
    (Stage::CreateContainer, hooks::create_container),
    (Stage::Pivot, pivot::pivot),
];

/// What init does for each task, in order.
const FOR_TASK: &[Work<Context>] = &[(Stage::Terminal, terminal::open)];

/// What only the task's process gets, in order; the filter and the hand-over follow in `task`.
const TASK: &[Work<Context>] = &[
    (Stage::Cgroup, cgroup::join),
    (Stage::Enter, inner::enter),
    (Stage::WorkingDirectory, workdir::enter),
    (Stage::Session, session::start),
    (Stage::Descriptors, descriptors::arrange),
    (Stage::Limits, limits::set),
    (Stage::Capabilities, capabilities::drop_all_but_kept),
    (Stage::NoNewPrivileges, capabilities::set_no_new_privileges),
    (Stage::Landlock, landlock::restrict),
    (Stage::Signals, signals::reset),
    (Stage::StartContainer, hooks::start_container),
    (Stage::ReadBack, readback::verify),
];

/// Walks a list of stages; the first fault ends it.
fn walk<C: AsMut<ReadBack>>(stages: &[Work<C>], context: &mut C) -> Result<(), Failure> {
    for (stage, work) in stages {
        work(context).map_err(Fault::at(*stage))?;
        context.as_mut().mark(*stage);
    }
    Ok(())
}
