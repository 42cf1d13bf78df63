//! What can go wrong in init, in a form that crosses to the caller without turning into text.

use std::fmt;

use nix::errno::Errno;
use serde::{Deserialize, Deserializer, Serialize};

/// A stage of init, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stage {
    /// Reading the Plan.
    Handshake,
    /// The namespaces differ from the caller's.
    Namespaces,
    /// Host name.
    Hostname,
    /// The loopback interface.
    Loopback,
    /// Waiting for the caller, who writes the id maps.
    Sync,
    /// User and group ids, supplementary groups.
    Identity,
    /// The user namespace below init's that the task is in, where it keeps capabilities that could undo a
    /// wall.
    Inner,
    /// Mount propagation.
    Propagation,
    /// The root and what is in it.
    Root,
    /// What the caller does before the old root goes, and programs that run then (OCI's createRuntime and
    /// createContainer hooks).
    CreateContainer,
    /// The old root goes.
    Pivot,
    /// The working directory.
    WorkingDirectory,
    /// A terminal of the sandbox's own.
    Terminal,
    /// Capability sets and securebits.
    Capabilities,
    /// `no_new_privs`
    NoNewPrivileges,
    /// The task's process.
    Process,
    /// The task's control group.
    Cgroup,
    /// The task's process goes into the inner user namespace, and into a mount namespace of that one's.
    Enter,
    /// The task's session and terminal.
    Session,
    /// Resource limits and the umask.
    Limits,
    /// Descriptors.
    Descriptors,
    /// Signal dispositions and mask.
    Signals,
    /// Landlock.
    Landlock,
    /// Programs that run before the task (OCI's startContainer hooks).
    StartContainer,
    /// Reading everything back.
    ReadBack,
    /// The system-call filter.
    Seccomp,
    /// Executing the program, or finding the role.
    Execute,
    /// Waiting for the task.
    Supervise,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "handshake",
            Self::Namespaces => "namespaces",
            Self::Identity => "identity",
            Self::Hostname => "host name",
            Self::Loopback => "loopback interface",
            Self::Sync => "sync",
            Self::Inner => "inner user namespace",
            Self::Enter => "entry into the inner user namespace",
            Self::Propagation => "mount propagation",
            Self::Root => "root file system",
            Self::CreateContainer => "createContainer hooks",
            Self::StartContainer => "startContainer hooks",
            Self::Pivot => "pivot root",
            Self::WorkingDirectory => "working directory",
            Self::Terminal => "terminal",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no_new_privs",
            Self::Process => "process",
            Self::Cgroup => "control group",
            Self::Session => "session",
            Self::Limits => "resource limits",
            Self::Descriptors => "descriptors",
            Self::Signals => "signals",
            Self::Landlock => "landlock",
            Self::ReadBack => "read-back",
            Self::Seccomp => "seccomp",
            Self::Execute => "execute",
            Self::Supervise => "supervise",
        })
    }
}

/// A fault and the stage it happened in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{stage}: {fault}")]
#[non_exhaustive]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// What.
    pub fault: Fault,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A system call failed.
    #[error("{call}{}: {}", spaced(.object), errno_text(*.errno))]
    System {
        /// Name of the call.
        #[serde(deserialize_with = "tame")]
        call: String,
        /// The path, limit or other object that it was about.
        #[serde(deserialize_with = "tame")]
        object: String,
        /// `errno`.
        errno: i32,
    },
    /// The kernel's state is not what the plan says.
    #[error("{what} is {found}, but the plan says {expected}")]
    Mismatch {
        /// What was read back.
        #[serde(deserialize_with = "tame")]
        what: String,
        /// By the plan.
        #[serde(deserialize_with = "tame")]
        expected: String,
        /// From the kernel.
        #[serde(deserialize_with = "tame")]
        found: String,
    },
    /// A file of the host is not the one that the plan was made for.
    #[error("{path} was replaced after the plan was made")]
    Replaced {
        /// Its path.
        #[serde(deserialize_with = "tame")]
        path: String,
    },
    /// No role of that name is linked into this program.
    #[error("there is no role {name:?} in this program")]
    UnknownRole {
        /// Its name.
        #[serde(deserialize_with = "tame")]
        name: String,
    },
    /// The other side sent something that it should not have.
    #[error("the message between the caller and init is malformed ({what})")]
    Protocol {
        /// What was wrong.
        #[serde(deserialize_with = "tame")]
        what: String,
    },
    /// As many tasks beyond the first as there may be.
    #[error("it runs {limit} besides its first already, the most there may be")]
    TooManyTasks {
        /// How many.
        limit: u32,
    },
    /// As many processes as its control group may have. (The kernel asks only where one is made, not where one
    /// joins.)
    #[error("it has {limit} processes already, its limit")]
    TooManyProcesses {
        /// How many.
        limit: u64,
    },
    /// The root directory is on overlays already (`FILESYSTEM_MAX_STACK_DEPTH`, include/linux/fs.h).
    #[error("{path} is on an overlay over an overlay, and the kernel refuses a third one over them")]
    OverlayDepth {
        /// Its path.
        #[serde(deserialize_with = "tame")]
        path: String,
    },
}

fn spaced(object: &str) -> String {
    if object.is_empty() { String::new() } else { format!(" {object}") }
}

fn errno_text(errno: i32) -> String {
    let errno = Errno::from_raw(errno);
    format!("{} ({errno:?})", errno.desc())
}

/// What of an object's name crosses at most; longer ones are cut.
const OBJECT_LIMIT: usize = 1024;

/// The text of bytes that are only shown: lossy, cut, and free of control characters.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let cut = bytes.get(..OBJECT_LIMIT).unwrap_or(bytes);
    String::from_utf8_lossy(cut)
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// A string that the other side sent, as [`shown`] leaves it.
pub(super) fn tame<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| shown(text.as_bytes()))
}

/// A list of them.
pub(super) fn tame_all<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    Ok(list.iter().map(|text| shown(text.as_bytes())).collect())
}

impl Fault {
    /// A failed system call on an object.
    pub(crate) fn system(call: &str, object: &[u8], errno: Errno) -> Self {
        Self::System { call: call.to_owned(), object: shown(object), errno: errno as i32 }
    }

    /// For `map_err`.
    pub(crate) fn on(call: &str, object: &[u8]) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::system(call, object, errno)
    }

    /// A state that differs from the plan's.
    pub(crate) fn mismatch(what: &str, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::Mismatch { what: what.to_owned(), expected: expected.to_string(), found: found.to_string() }
    }

    /// For `map_err` outside of the stage list.
    pub(crate) fn at(stage: Stage) -> impl FnOnce(Self) -> Failure {
        move |fault| Failure { stage, fault }
    }

    /// The errno of a failed system call.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System { errno, .. } => Some(Errno::from_raw(*errno)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Message, ReadBack, decode};

    /// init cuts and cleans what it sends; something in its place would not.
    #[test]
    fn what_comes_in_is_made_tame() {
        let wild = format!("\u{1b}[2J\r\nbelljar: all is well\u{9b}{}", "x".repeat(5000));
        let harmless = |text: &str| text.len() <= 3 * OBJECT_LIMIT && !text.chars().any(char::is_control);
        let sent = |message: &Message| {
            decode::<Message>(&postcard::to_stdvec(message).expect("to encode")).expect("to decode")
        };
        let faults = [
            Fault::System { call: wild.clone(), object: wild.clone(), errno: i32::MIN },
            Fault::Mismatch { what: wild.clone(), expected: wild.clone(), found: wild.clone() },
            Fault::Replaced { path: wild.clone() },
            Fault::UnknownRole { name: wild.clone() },
            Fault::Protocol { what: wild.clone() },
            Fault::OverlayDepth { path: wild.clone() },
        ];
        for fault in faults {
            let Message::Failed(failure) = sent(&Message::Failed(Failure { stage: Stage::Root, fault }))
            else {
                panic!("another message")
            };
            let text = failure.to_string();
            assert!(text.len() < 5 * 3 * OBJECT_LIMIT && !text.chars().any(char::is_control), "{text:?}");
        }
        match sent(&Message::Log { level: 1, text: wild.clone() }) {
            Message::Log { text, .. } => assert!(harmless(&text), "{text:?}"),
            other => panic!("{other:?}"),
        }
        match sent(&Message::Ready(ReadBack { namespaces: vec![wild], ..ReadBack::default() })) {
            Message::Ready(readback) => assert!(harmless(&readback.namespaces[0])),
            other => panic!("{other:?}"),
        }
    }
}
