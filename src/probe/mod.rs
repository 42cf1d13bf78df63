//! The role `probe`: reports, from inside, what a sandbox can see and do.
//!
//! `belljar run -p strict probe [--json]`. It changes nothing: see [`Sight::look`].

mod attempt;
mod attempts;
mod files;
mod identity;
mod landlock;
mod network;
mod page;
mod process;

use std::ffi::OsString;
use std::io::{self, Write};

use serde::Serialize;

pub use attempt::Attempt;
pub use files::Files;
pub use identity::{Hardening, Identity};
pub use network::Network;
pub use process::Process;

/// What a process can see and do. Serialized, the names of its fields are stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sight {
    /// Ids and maps.
    pub identity: Identity,
    /// Capabilities, filters, namespaces.
    pub hardening: Hardening,
    /// The process, its limits, and the processes it sees.
    pub process: Process,
    /// Directories, mounts, and what can be written.
    pub files: Files,
    /// Interfaces, sockets, and what can be reached.
    pub network: Network,
    /// What untrusted code would try first.
    pub attempts: Vec<Attempt>,
}

impl Sight {
    /// Looks around. Outside of a sandbox it is as harmless as inside: files are opened and not written, and
    /// system calls that would do something are made in a child of their own or with arguments that are wrong
    /// on purpose.
    pub fn look() -> Self {
        Self {
            // First of all: later readings open descriptors.
            process: Process::look(),
            identity: Identity::look(),
            hardening: Hardening::look(),
            files: Files::look(),
            network: Network::look(),
            attempts: attempts::all(),
        }
    }

    /// Writes a page for a person.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn render(&self, to: &mut impl Write) -> io::Result<()> {
        page::render(self, to)
    }

    /// Writes one JSON object.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn json(&self, to: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *to, self)?;
        writeln!(to)
    }
}

/// Why the role could not report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// An argument that it does not know.
    #[error("unexpected argument {argument:?}; usage: probe [--json]")]
    Argument {
        /// The argument.
        argument: OsString,
    },
    /// Standard output could not be written.
    #[error("cannot write to standard output: {source}")]
    Write {
        /// From the kernel.
        source: io::Error,
    },
}

/// The role: takes its arguments from the process and writes to standard output.
///
/// # Errors
/// An unknown argument, or an output that cannot be written. A closed pipe is not an error: it has no
/// reader any more.
pub fn run() -> Result<(), ProbeError> {
    let mut json = false;
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--json") => json = true,
            _ => return Err(ProbeError::Argument { argument }),
        }
    }
    let sight = Sight::look();
    let mut page = Vec::new();
    let written = if json { sight.json(&mut page) } else { sight.render(&mut page) };
    let mut out = io::stdout().lock();
    match written.and_then(|()| out.write_all(&page)).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|source| ProbeError::Write { source }),
    }
}

/// Its name in the table of roles; on the command line it is `probe`. A program's own role of that name is
/// another.
pub(crate) const ROLE: &str = "belljar:probe";

crate::reexec::reserved_role!(ROLE, run);
