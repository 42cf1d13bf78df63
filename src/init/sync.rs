//! The caller's go-ahead, and what it sends with it: the Plan above all.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use nix::sys::prctl;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::bootstrap::Bootstrap;
use super::callers_trees::CallersTrees;
use super::context::{Context, gone};
use super::fds::take_descriptor;
use super::supervise::boot_time;
use super::table::Made;
use super::task_fds::TaskFds;
use crate::plan::{MAX_ENCODED, Plan, Workload};
use crate::protocol::{Channel, FIRST_DESCRIPTOR, Fault, Go, Message, Prelude, Watch, Window, Word};

/// How long the rest of an order may take.
const ORDER: TimeVal = TimeVal::new(2, 0);

/// Waits for it. Before, this process has no ids: it can make no file that has an owner.
pub(super) fn wait(bootstrap: Bootstrap) -> Result<Context, (Fault, Channel)> {
    let Bootstrap { prelude, channel, caller, readback, began } = bootstrap;
    match receive(&prelude, &channel) {
        Ok(Received { plan, cgroup_procs_fds, watches, window, hooks, hold, orders, descriptors, call }) => {
            Ok(Context {
                hooks,
                hold,
                orders,
                plan,
                channel,
                caller,
                cgroup_procs_fds,
                pids: None,
                watches,
                window,
                trees: CallersTrees::default(),
                roots: VecDeque::new(),
                descriptors,
                call,
                task_fds: TaskFds::default(),
                root: None,
                made: Made::default(),
                root_id: None,
                inner: None,
                readback,
                began,
            })
        }
        Err(fault) => Err((fault, channel)),
    }
}

/// What came, and what only the Plan says the meaning of.
struct Received {
    plan: Plan,
    cgroup_procs_fds: Vec<OwnedFd>,
    watches: Vec<(Watch, OwnedFd)>,
    window: Option<Window>,
    hooks: bool,
    hold: bool,
    orders: Option<Channel>,
    descriptors: Vec<OwnedFd>,
    call: Option<(OwnedFd, OwnedFd)>,
}

fn receive(prelude: &Prelude, channel: &Channel) -> Result<Received, Fault> {
    // It is read while the caller writes the id maps.
    let plan = read(channel)?;
    if (plan.walls.namespaces, &plan.walls.hostname, plan.walls.loopback)
        != (prelude.namespaces, &prelude.hostname, prelude.loopback)
    {
        return Err(Fault::Protocol { what: "a plan that is not the prelude's".to_owned() });
    }
    let (go, sent): (Go, Vec<OwnedFd>) = match channel.receive_with() {
        Ok(Some(received)) => received,
        Ok(None) => return Err(gone()),
        Err(_) => return Err(Fault::Protocol { what: "go-ahead".to_owned() }),
    };
    // From here on no process of the same id can look into this one (CVE-2016-9962). Not before: /proc/PID of
    // a process that is not dumpable belongs to root, and an unprivileged caller could not write the id maps.
    prctl::set_dumpable(false).map_err(Fault::on("prctl", b"PR_SET_DUMPABLE"))?;
    let cgroup_procs_fds = usize::try_from(go.cgroup_procs_fds).unwrap_or(usize::MAX);
    let expected =
        cgroup_procs_fds.checked_add(go.watches.len()).and_then(|count| count.checked_add(go.orders.into()));
    if expected != Some(sent.len()) {
        return Err(Fault::Protocol { what: "the control group's descriptors".to_owned() });
    }
    if plan.task.terminal != go.window.is_some() {
        return Err(Fault::Protocol { what: "the terminal's size".to_owned() });
    }
    let mut sent = sent.into_iter();
    let orders = sent.by_ref().take(go.orders.into()).map(Channel::new).next();
    if let Some(orders) = &orders {
        // An order that stops halfway holds nothing up.
        setsockopt(orders, sockopt::ReceiveTimeout, &ORDER)
            .map_err(Fault::on("setsockopt", b"SO_RCVTIMEO"))?;
    }
    let cgroup_procs_fds: Vec<OwnedFd> = sent.by_ref().take(cgroup_procs_fds).collect();
    let mut next = FIRST_DESCRIPTOR;
    let mut take = || {
        next += 1;
        take_descriptor(next)
    };
    let descriptors = plan.task.descriptors.iter().map(|_| take()).collect::<Result<_, _>>()?;
    let call = match plan.task.workload {
        Workload::Call { .. } => Some((take()?, take()?)),
        _ => None,
    };
    let watches = go.watches.into_iter().zip(sent).collect();
    Ok(Received {
        plan,
        cgroup_procs_fds,
        watches,
        window: go.window,
        hooks: go.hooks,
        hold: go.hold,
        orders,
        descriptors,
        call,
    })
}

/// Where the caller asked for it: says that the walls stand, and waits for its word. The run's time begins
/// with that.
pub(super) fn held(context: &mut Context) -> Result<(), Fault> {
    if !context.hold {
        return Ok(());
    }
    await_word(&context.channel, &Message::Created, Word::Start)?;
    context.began = boot_time()?;
    Ok(())
}

/// Where the caller asked for it: says that the root is built, and waits for its word.
/// The run's time begins with that.
pub(super) fn root_built(context: &mut Context) -> Result<(), Fault> {
    if !context.hooks {
        return Ok(());
    }
    await_word(&context.channel, &Message::RootBuilt, Word::GoOn)?;
    context.began = boot_time()?;
    Ok(())
}

fn await_word(channel: &Channel, message: &Message, expected: Word) -> Result<(), Fault> {
    channel.send(message).map_err(|_| gone())?;
    match channel.receive::<Word>() {
        Ok(Some(word)) if word == expected => Ok(()),
        Ok(None) => Err(gone()),
        Ok(Some(_)) | Err(_) => Err(Fault::Protocol { what: format!("no word {expected:?}") }),
    }
}

/// The Plan, in its parts.
fn read(channel: &Channel) -> Result<Plan, Fault> {
    let wrong = |_| Fault::Protocol { what: "plan".to_owned() };
    let bytes = channel.receive_long(MAX_ENCODED).map_err(wrong)?.ok_or_else(gone)?;
    Plan::decode(&bytes).map_err(|_| Fault::Protocol { what: "plan".to_owned() })
}
