//! Why a program cannot be run.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::plan::show::text::shown;

/// Why a program cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramProblem {
    /// No name.
    #[error("the name is empty")]
    Empty,
    /// A NUL in the name.
    #[error("the name has a NUL byte in it")]
    Nul,
    /// Nowhere inside or outside.
    #[error("it was not found{}", .path.as_ref().map(|p| format!(" in PATH={}", shown(p))).unwrap_or_default())]
    NotFound {
        /// The `PATH` inside, where it was searched.
        path: Option<OsString>,
    },
    /// On the host, but not inside.
    #[error("it is {host:?} on the host, which the sandbox does not see")]
    NotVisible {
        /// Where it is on the host.
        host: PathBuf,
        /// What would show it.
        show: PathBuf,
        /// Another program of the name that the sandbox does see.
        other: Option<Box<Path>>,
        /// The path to run it by, where a bare name would still not lead to it.
        by: Option<Box<Path>>,
        /// Where rustup keeps its toolchains, which its programs only start.
        rustup: Option<Box<Path>>,
    },
    /// A relative path that is right in the caller's working directory, and not in the sandbox's.
    #[error("it is {host:?} on the host, and the sandbox starts in {cwd:?}")]
    Elsewhere {
        /// Where it is on the host.
        host: PathBuf,
        /// Working directory inside.
        cwd: Box<Path>,
        /// The caller's.
        caller_cwd: Box<Path>,
        /// What would show it, where it is not visible.
        show: Option<Box<Path>>,
    },
    /// A bare name of a program that is visible inside, in no directory of `PATH`.
    #[error("it is {at:?}, which is not in PATH={}", shown(.path))]
    NotInPath {
        /// Where it is inside.
        at: PathBuf,
        /// The `PATH` inside, where it was searched.
        path: OsString,
    },
    /// A symlink to something that is not inside.
    #[error("{link:?} is a symlink to {target:?}, which the sandbox does not see")]
    Dangling {
        /// The symlink.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A directory.
    #[error("{path:?} is a directory")]
    Directory {
        /// Its path inside.
        path: PathBuf,
    },
    /// A device, a socket, a file of the synthetic /etc, or hidden.
    #[error("{path:?} is not executable: it is {what}")]
    Special {
        /// Its path inside.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Symlinks in a circle, or a file as a directory.
    #[error("{path:?} does not lead to a file")]
    Broken {
        /// Its path inside.
        path: PathBuf,
    },
    /// Not executable for the sandbox's ids.
    #[error("{path:?} is not executable for the user of the sandbox")]
    Permission {
        /// Its path inside.
        path: PathBuf,
    },
    /// On a mount without execution.
    #[error("{path:?} is on the mount {mount:?}, which is noexec")]
    NoExec {
        /// Its path inside.
        path: PathBuf,
        /// The mount.
        mount: PathBuf,
    },
    /// On a file system that the host mounts without execution; a bind mount is no more than what it shows.
    #[error("{path:?} is {host:?} on the host, where that is on a mount that is noexec")]
    HostNoExec {
        /// Its path inside.
        path: PathBuf,
        /// The file on the host.
        host: PathBuf,
    },
    /// The interpreter of a script is not inside.
    #[error("{script:?} wants the interpreter {interpreter:?}, which the sandbox does not see")]
    Interpreter {
        /// The script.
        script: PathBuf,
        /// Its interpreter.
        interpreter: PathBuf,
    },
    /// The loader of a dynamic program is not inside.
    #[error("{program:?} wants the loader {loader:?}, which the sandbox does not see")]
    Loader {
        /// The program.
        program: PathBuf,
        /// `PT_INTERP`
        loader: PathBuf,
    },
    /// Scripts that interpret scripts, too many.
    #[error("{path:?} is a script for a script for a script, more than the kernel follows")]
    Interpreters {
        /// The first of them.
        path: PathBuf,
    },
    /// For another machine.
    #[error("{path:?} is a program for {machine}")]
    Architecture {
        /// Its path inside.
        path: PathBuf,
        /// The machine it is for.
        machine: String,
    },
    /// Neither a program nor a script.
    #[error("{path:?} is neither a program nor a script with a #! line")]
    Format {
        /// Its path inside.
        path: PathBuf,
    },
    /// It is on a file system whose content is not known yet.
    #[error("{path:?} cannot be seen before the sandbox exists")]
    Unknown {
        /// Its path inside.
        path: PathBuf,
    },
    /// The host refused to say.
    #[error("{path:?} cannot be looked at ({source})")]
    Host {
        /// The file on the host.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl ProgramProblem {
    /// 127 where nothing was found, 126 where what was found cannot be executed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Empty
            | Self::NotFound { .. }
            | Self::NotVisible { .. }
            | Self::Elsewhere { .. }
            | Self::NotInPath { .. }
            | Self::Dangling { .. } => 127,
            _ => 126,
        }
    }

    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotVisible { show, other, by, rustup, .. } => {
                let mut hint = String::new();
                if let Some(other) = other {
                    hint += &format!("run {} in its place, or ", shown(&**other));
                }
                hint += &format!("show it with --ro-bind {}", shown(show));
                if let Some(home) = rustup {
                    let home = shown(&**home);
                    // Its programs look for each other in PATH.
                    let path = shown(show);
                    hint += &format!(
                        " --ro-bind {home} --env RUSTUP_HOME={home} --env PATH={path}:/usr/bin:/bin"
                    );
                } else if let Some(by) = by.as_ref().filter(|_| other.is_none()) {
                    hint += &format!(", and run {}", shown(&**by));
                }
                hint
            }
            Self::Elsewhere { caller_cwd, show: None, .. } => {
                format!("start there with --workdir {}", shown(&**caller_cwd))
            }
            Self::Elsewhere { caller_cwd, show: Some(show), .. } => {
                format!(
                    "show it with --ro-bind {}, and start there with --workdir {}",
                    shown(&**show),
                    shown(&**caller_cwd)
                )
            }
            Self::NotInPath { at, .. } => {
                format!("run {}, or set PATH with --env PATH=...", shown(at))
            }
            Self::Dangling { target, .. } | Self::Loader { loader: target, .. } => {
                format!("show it with --ro-bind {}", shown(target))
            }
            Self::Interpreter { interpreter, .. } if interpreter.as_os_str().as_bytes().ends_with(b"\r") => {
                "the script has DOS line endings: convert it".to_owned()
            }
            Self::Interpreter { interpreter, .. } => format!("show it with --ro-bind {}", shown(interpreter)),
            Self::NoExec { .. } => "copy it elsewhere, or leave noexec out of the profile".to_owned(),
            Self::HostNoExec { .. } => {
                "copy it to a file system that is mounted with exec, or name its interpreter".to_owned()
            }
            Self::Format { .. } => "name its interpreter: belljar run -- sh FILE".to_owned(),
            Self::Permission { .. } => "chmod +x it, or name its interpreter".to_owned(),
            _ => return None,
        })
    }
}
