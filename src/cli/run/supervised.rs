//! A sandbox that runs, and what this process does for it: signals, the terminal, `--stats`, requests to its
//! name.

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::stats::Stats;
use crate::cli::error::Error;
use crate::cli::signals::{Forwarder, Heard, Receiver, Target};
use crate::cli::terminal::Terminal;
use crate::sandbox::{Child, Command, Outcome, StartNotifier};

/// A sandbox that runs, and its signals.
pub(super) struct Supervised {
    pub(super) child: Child,
    signals: Forwarder,
}

impl Supervised {
    pub(super) fn start(command: &mut Command<'_>) -> Result<Self, Error> {
        let mut signals = Forwarder::new();
        let child = command.spawn_supervised(&mut signals)?;
        Ok(Self { child, signals })
    }

    /// Forwards signals, copies the terminal, and waits for the end. `stats` is the interval of `--stats`,
    /// `serving` whether requests to its name are taken. If any of this cannot be set up, the sandbox is killed.
    pub(super) fn follow(
        mut self,
        stats: Option<Duration>,
        serving: Result<(), Error>,
        started: StartNotifier,
    ) -> Result<(Outcome, Heard), Error> {
        let connected = serving.and_then(|()| {
            let terminal = self.connect()?;
            let stats = stats.map(|interval| Stats::start(&self.child, interval)).transpose()?;
            Ok((terminal, stats))
        });
        let Self { mut child, mut signals } = self;
        let (terminal, stats) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                // It could not be controlled any more.
                child.kill().map_err(|source| Error::Signals { action: "kill", source })?;
                child.wait_outcome()?;
                return Err(error);
            }
        };
        started.tell();
        let outcome = child.wait_reading(&mut signals, &mut []);
        if let Some(stats) = stats {
            stats.stop();
        }
        let copied = terminal.map_or(Ok(()), Terminal::finish);
        let outcome = outcome?;
        copied?;
        Ok((outcome, signals.heard()))
    }

    /// Connects signals and terminal with the sandbox.
    fn connect(&mut self) -> Result<Option<Terminal>, Error> {
        let failed = |source| Error::Signals { action: "dup", source };
        let pidfd = self.child.pidfd().and_then(|pidfd| pidfd.try_clone_to_owned()).map_err(failed)?;
        let inner = self.child.terminal.take();
        let terminal = inner.as_ref().map(OwnedFd::try_clone).transpose().map_err(failed)?;
        self.signals.attach(Receiver { target: Target::Init(pidfd), terminal });
        inner.map(Terminal::connect).transpose()
    }
}
