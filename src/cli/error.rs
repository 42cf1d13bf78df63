//! Errors of the command line, and how every error is printed: once, to standard error.

use std::error::Error as StdError;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::escape;
use crate::profile::ProfileError;

/// An error of the command line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line itself is wrong.
    #[error("{message}")]
    Usage {
        /// What is wrong, on one line.
        message: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// No role is registered under this name.
    #[error("no role is called {}", escape::text(.name))]
    UnknownRole {
        /// Its name.
        name: String,
        /// The roles that there are.
        known: Vec<String>,
        /// The beginning of the command line that it may have been meant as.
        command: Option<String>,
    },
    /// `AT_SECURE` (getauxval(3)): belljar is not safe to be set-user-ID.
    #[error(
        "belljar was given rights that its caller does not have (set-user-ID, set-group-ID, file capabilities or a \
         security module's transition), and does not run that way"
    )]
    Privileged,
    /// A standard stream was closed, and `/dev/null` cannot take its place.
    #[error("a standard stream is closed and /dev/null cannot be opened in its place")]
    StandardStream {
        /// Why.
        source: io::Error,
    },
    /// `--keep-fd` of a descriptor that the caller did not leave open.
    #[error("{option} {number}: the caller left no descriptor of that number open")]
    DescriptorClosed {
        /// The option.
        option: &'static str,
        /// Its number.
        number: i32,
    },
    /// `--keep-fd` twice.
    #[error("--keep-fd {number} is given twice")]
    DescriptorTwice {
        /// Its number.
        number: i32,
    },
    /// A descriptor cannot be duplicated.
    #[error("{option} {number}: dup")]
    Descriptor {
        /// The option.
        option: &'static str,
        /// Its number.
        number: i32,
        /// Why.
        source: io::Error,
    },
    /// A path of the host cannot be followed.
    #[error("{option} {}", escape::os(.path.as_os_str()))]
    HostPath {
        /// The option.
        option: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The report's file.
    #[error("--report {}: {action}", escape::os(.path.as_os_str()))]
    Report {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The report's file is also where standard output or error go.
    #[error("--report {}: standard output or error lead to the same file", escape::os(.path.as_os_str()))]
    ReportIsStream {
        /// The file.
        path: PathBuf,
    },
    /// The report's file is not the one that was opened before the run.
    #[error("--report {}: the file was removed or replaced during the run", escape::os(.path.as_os_str()))]
    ReportReplaced {
        /// The file.
        path: PathBuf,
    },
    /// Manual pages cannot be written.
    #[error("man --all {}", escape::os(.path.as_os_str()))]
    ManPages {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value cannot be written as JSON.
    #[error("JSON")]
    Json {
        /// Why.
        source: serde_json::Error,
    },
    /// Signals cannot be taken over.
    #[error("signals: {action}")]
    Signals {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Standard output cannot be written.
    #[error("standard output")]
    Output {
        /// Why.
        source: io::Error,
    },
    /// An option that fits no sandbox, or not this profile.
    #[error("{option}")]
    Option {
        /// The option.
        option: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `--tty` without a terminal to connect it to.
    #[error("--tty: standard input is not a terminal")]
    NoTerminal,
    /// `--stats` of a sandbox that the kernel keeps no accounts of.
    #[error("--stats: without a control group there are no accounts to read")]
    StatsWithoutGroup,
    /// The thread of `--stats` cannot be started.
    #[error("--stats: thread")]
    Stats {
        /// Why.
        source: io::Error,
    },
    /// The processes of the host cannot be listed.
    #[error("/proc")]
    Processes {
        /// Why.
        source: io::Error,
    },
    /// The terminal cannot be taken over.
    #[error("--tty: {action}")]
    Terminal {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The files of names cannot be used.
    #[error("{}: {action}", escape::os(.path.as_os_str()))]
    Names {
        /// What was tried.
        action: &'static str,
        /// Of what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no place for names.
    #[error("--name: there is no runtime directory for this user")]
    NoRuntimeDirectory,
    /// Others could take or see the names.
    #[error("{} is not this user's alone", escape::os(.path.as_os_str()))]
    NamesOfOthers {
        /// The directory.
        path: PathBuf,
    },
    /// Another sandbox has the name.
    #[error("a sandbox called {name} runs already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No sandbox of this user has the name.
    #[error("no sandbox of this user is called {name}")]
    NoSandbox {
        /// The name.
        name: String,
    },
    /// `wait`: no sandbox of this user has the name.
    #[error("no sandbox of this user is called {name}, or it has ended already")]
    NoneToWaitFor {
        /// The name.
        name: String,
    },
    /// The belljar that runs it did not take the request, or is of another version. Nothing was done.
    #[error("the belljar that runs {name} has not answered")]
    NotAnswered {
        /// The name.
        name: String,
        /// Its process, if that can be told.
        pid: Option<i32>,
    },
    /// The belljar that ran it was killed.
    #[error("{name} ended without saying how: the belljar that ran it was killed")]
    EndUnknown {
        /// The name.
        name: String,
    },
    /// The sandbox has ended, and with it the task.
    #[error("the sandbox has ended: {why}")]
    Ended {
        /// What ended it.
        why: String,
    },
    /// As many as there may be.
    #[error("{limit} processes wait for the end of this sandbox already, the most there may be")]
    TooManyWait {
        /// How many.
        limit: usize,
    },
    /// The belljar that runs it has refused.
    #[error("{message}")]
    Refused {
        /// Why, on one line.
        message: String,
        /// What can be done.
        hints: Vec<String>,
        /// The exit status for it.
        code: u8,
    },
    /// `kill` with a signal that no sandbox takes.
    #[error("signal {number} is not one that is passed on to a sandbox")]
    SignalNotPassedOn {
        /// Its number.
        number: i32,
    },
    /// The self-test.
    #[error("selftest")]
    SelfTest {
        /// Why.
        source: Box<crate::selftest::SelfTestError>,
    },
    /// A profile.
    #[error(transparent)]
    Profile(Box<ProfileError>),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(Box<crate::Error>),
}

impl From<ProfileError> for Error {
    fn from(error: ProfileError) -> Self {
        Error::Profile(Box::new(error))
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Error::Sandbox(Box::new(error))
    }
}

impl Error {
    /// 125: belljar itself failed or refused; 126 and 127 where the command cannot be executed or found.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Sandbox(error) => error.exit_code(),
            Error::Refused { code, .. } => *code,
            _ => 125,
        }
    }

    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Error::Usage { hints, .. } => hints.clone(),
            Error::UnknownRole { known, command, .. } => {
                let program =
                    command.iter().map(|words| format!("a program comes after --: belljar run -- {words}"));
                let roles = Some(known.join(", ")).filter(|roles| !roles.is_empty());
                program.chain(roles.map(|roles| format!("there are: {roles}"))).collect()
            }
            Error::NoRuntimeDirectory => {
                vec!["set XDG_RUNTIME_DIR to a directory that is yours alone".to_owned()]
            }
            Error::NamesOfOthers { .. } => vec!["remove it, or 'chmod 700' it".to_owned()],
            Error::NoSandbox { .. } => vec!["'belljar ps' lists those that run".to_owned()],
            Error::NoneToWaitFor { .. } => vec![
                "how a run ended is told to a 'belljar wait' that was there before its end, and in its --report"
                    .to_owned(),
            ],
            Error::NotAnswered { pid: Some(pid), .. } => vec![format!(
                "if it is stopped, 'kill -CONT {pid}' lets it go on; 'kill -KILL {pid}' ends it and its sandbox"
            )],
            Error::SignalNotPassedOn { .. } => {
                vec!["there are TERM, INT, HUP, QUIT, TSTP, CONT, USR1, USR2, WINCH and KILL".to_owned()]
            }
            Error::Refused { hints, .. } => hints.clone(),
            Error::Privileged => vec!["remove the bits: chmod u-s,g-s FILE; setcap -r FILE".to_owned()],
            Error::Report { source, .. } if source.raw_os_error() == Some(libc::ELOOP) => {
                vec!["a symbolic link is not followed: name the file itself".to_owned()]
            }
            Error::Report { source, .. } if source.raw_os_error() == Some(libc::ENXIO) => {
                vec!["a named pipe needs its reader first".to_owned()]
            }
            Error::ReportIsStream { .. } => {
                vec!["name another file, or - for standard error".to_owned()]
            }
            Error::StatsWithoutGroup => {
                vec![
                    "add a limit that a control group holds, as in --pids 1000 (without --limits=rlimit)"
                        .to_owned(),
                ]
            }
            Error::Sandbox(error) => error.hints(),
            _ => Vec::new(),
        }
    }

    /// The message with those of all its sources, on one line that nothing in it can break or colour.
    pub fn message(&self) -> String {
        let mut message = self.to_string();
        let mut last = message.clone();
        let mut source = self.source();
        while let Some(error) = source {
            let text = error.to_string();
            // A transparent error and its source say the same.
            if text != last {
                message.push_str(": ");
                message.push_str(&text);
            }
            last = text;
            source = error.source();
        }
        escape::text(&message)
    }

    /// `belljar: …` and its `hint: …` lines, as they are printed.
    pub fn render(&self) -> String {
        let mut text = format!("belljar: {}\n", self.message());
        for hint in self.hints() {
            text.push_str("hint: ");
            text.push_str(&escape::text(&hint));
            text.push('\n');
        }
        text
    }
}

/// The program that was to run, as messages call it.
pub fn display_name(program: &OsString) -> String {
    if program.is_empty() { "\"\"".to_owned() } else { escape::os(program) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_joined_and_escaped() {
        let error = Error::Report {
            path: "a\u{1b}[31m\nb".into(),
            action: "open",
            source: io::Error::from_raw_os_error(libc::ELOOP),
        };
        assert_eq!(
            error.render(),
            "belljar: --report a\\x1b[31m\\nb: open: Too many levels of symbolic links (os error 40)\n\
             hint: a symbolic link is not followed: name the file itself\n"
        );
        assert_eq!(error.exit_code(), 125);
    }

    #[test]
    fn a_transparent_error_is_told_once() {
        let error = Error::from(crate::Error::Protocol);
        assert_eq!(error.message(), "the sandbox's init broke the protocol");
    }
}
