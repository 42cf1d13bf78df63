//! From the re-executed image to the walls: what can be done without the Plan, the Plan, the stages.

use super::bootstrap::Bootstrap;
use super::ending::KillHandle;
use super::exit::exit;
use super::{BOOTSTRAP, WALLS, lite, supervise, sync, task, walk};
use crate::protocol::{Channel, Failure, Fault, Message, Stage};
use crate::reexec;

/// The reserved role under which the sandbox's init is re-executed.
pub(crate) const ROLE: &str = "belljar:init";

crate::reexec::reserved_role!(ROLE, enter);

/// The exit status of an init that could not hand over; the caller reads the reason from the channel.
const FAILED: i32 = 125;

/// The role's body: never returns to the program.
fn enter() {
    let Some(inherited) = reexec::inherited() else {
        // Only `reexec` calls roles, and it hands over what it inherited: there is no channel to tell it on.
        std::process::exit(FAILED);
    };
    let channel = Channel::new(inherited.channel);
    let code = match run(&inherited.payload, inherited.launcher_checked, channel) {
        Ok(code) => code,
        Err((failure, channel)) => {
            // A caller that is gone needs no message.
            drop(channel.send(&Message::Failed(failure)));
            FAILED
        }
    };
    exit(code)
}

fn run(payload: &[u8], launcher_checked: bool, channel: Channel) -> Result<i32, (Failure, Channel)> {
    let mut bootstrap = Bootstrap::new(payload, launcher_checked, channel)
        .map_err(|(fault, channel)| (Fault::at(Stage::Handshake)(fault), channel))?;
    bootstrap.readback.mark(Stage::Handshake);
    if let Err(failure) = walk(BOOTSTRAP, &mut bootstrap) {
        return Err((failure, bootstrap.channel));
    }
    let mut context =
        sync::wait(bootstrap).map_err(|(fault, channel)| (Fault::at(Stage::Sync)(fault), channel))?;
    context.readback.mark(Stage::Sync);
    if let Err(fault) = lite::keep_signals_in(&context) {
        return Err((Fault::at(Stage::Landlock)(fault), context.channel));
    }
    let ender = match KillHandle::new(&context.plan) {
        Ok(ender) => ender,
        Err(fault) => return Err((Fault::at(Stage::Supervise)(fault), context.channel)),
    };
    let started = walk(WALLS, &mut context)
        .and_then(|()| sync::held(&mut context).map_err(Fault::at(Stage::Sync)))
        .and_then(|()| supervise::prepare(&context))
        .and_then(|posts| task::start(&mut context).map(|task| (posts, task)));
    match started {
        Ok((posts, task)) => {
            supervise::run(&mut context, &task, &posts, &ender);
            Ok(0)
        }
        Err(failure) => {
            // What was made of the task's process goes with us, or here.
            ender.end_all();
            Err((failure, context.channel))
        }
    }
}
