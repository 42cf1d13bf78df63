//! How a run ended: the exit status, and the one line for a person where a limit or the filter ended it.

use nix::sys::signal::Signal;

use super::engine::Ended;
use super::{escape, units};
use crate::profile::Limits;

/// The exit status of belljar: the program's own, 128+N for signal N, 124 for the time limit. The other limits are
/// told as the signal that enforces them, as without belljar; the report names them.
pub fn exit_code(ended: &Ended) -> u8 {
    let by_signal = |signal: i32| 128_u8.wrapping_add(low_byte(signal));
    match ended {
        Ended::Exit { code } => low_byte(*code),
        Ended::Signal { signal, .. } => by_signal(*signal),
        Ended::Timeout { .. } => 124,
        Ended::OutputLimit { .. } | Ended::KilledByCaller => by_signal(libc::SIGKILL),
        Ended::CpuLimit => by_signal(libc::SIGXCPU),
        Ended::FileSize => by_signal(libc::SIGXFSZ),
        Ended::Seccomp => by_signal(libc::SIGSYS),
    }
}

/// What a parent sees of an exit code (wait(2)).
fn low_byte(value: i32) -> u8 {
    value.to_le_bytes()[0]
}

/// The line for a person; `None` where the program ended by itself or was asked to.
pub fn line(ended: &Ended, name: &str, profile: &str, limits: &Limits) -> Option<String> {
    let limit = |limit: Option<String>| limit.map_or_else(String::new, |limit| format!(" of {limit}"));
    let how = match ended {
        Ended::Exit { .. } => return None,
        Ended::Signal { signal, core_dumped } if !is_request(*signal) => {
            let core = if *core_dumped { ", with a core dump" } else { "" };
            format!("was ended by signal {signal} ({}){core}", signal_name(*signal))
        }
        Ended::Signal { .. } => return None,
        Ended::Timeout { limit } => {
            let limit = units::show_duration(*limit);
            format!("was ended: it ran for {limit}, its limit; raise it with --timeout")
        }
        Ended::OutputLimit { limit } => {
            let limit = units::show_size(*limit);
            format!("was ended: its output went over the limit of {limit}; raise it with --output-limit")
        }
        Ended::CpuLimit => {
            let limit = limit(limits.cpu_time.map(units::show_duration));
            format!("was ended: it used up its CPU time{limit}; raise it with --cpu-time")
        }
        Ended::FileSize => {
            let limit = limit(limits.file_size.map(units::show_size));
            format!("was ended: a file that it wrote went over the limit{limit}; raise it with --file-size")
        }
        Ended::Seccomp => {
            format!("was killed by the system-call filter (profile {})", escape::text(profile))
        }
        Ended::KilledByCaller => "was killed by its caller".to_owned(),
    };
    Some(format!("belljar: {name} {how}\n"))
}

/// Signals by which a person or a pipeline asks a program to end: it needs not be told.
fn is_request(signal: i32) -> bool {
    use libc::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    [SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2].contains(&signal)
}

/// `SIGSEGV`, or `SIGRTMIN+3`.
pub fn signal_name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        // The kernel's numbering (signal(7)): 32 and up; the C library keeps the first two to itself.
        Err(_) => format!("SIGRTMIN{:+}", signal - libc::SIGRTMIN()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(ended: &Ended) -> Option<String> {
        let limits = Limits {
            cpu_time: Some(Duration::from_secs(90)),
            file_size: Some(64 << 20),
            ..Limits::default()
        };
        line(ended, "python3", "strict", &limits)
    }

    #[test]
    fn exit_codes() {
        let signal = |signal| Ended::Signal { signal, core_dumped: false };
        for (ended, code) in [
            (Ended::Exit { code: 0 }, 0),
            (Ended::Exit { code: 7 }, 7),
            (Ended::Exit { code: 255 }, 255),
            (Ended::Exit { code: -1 }, 255),
            (signal(libc::SIGTERM), 143),
            (signal(64), 192),
            (Ended::Timeout { limit: Duration::from_secs(1) }, 124),
            (Ended::OutputLimit { limit: 1 }, 137),
            (Ended::CpuLimit, 152),
            (Ended::FileSize, 153),
            (Ended::Seccomp, 159),
            (Ended::KilledByCaller, 137),
        ] {
            assert_eq!(exit_code(&ended), code, "{ended:?}");
        }
    }

    #[test]
    fn nothing_is_said_of_a_program_that_ended_by_itself_or_was_asked_to() {
        for ended in [
            Ended::Exit { code: 0 },
            Ended::Exit { code: 1 },
            Ended::Signal { signal: libc::SIGINT, core_dumped: false },
        ] {
            assert_eq!(told(&ended), None);
        }
    }

    #[test]
    fn one_line_says_what_ended_it_and_what_raises_the_limit() {
        for (ended, text) in [
            (
                Ended::Timeout { limit: Duration::from_secs(5) },
                "was ended: it ran for 5 s, its limit; raise it with --timeout",
            ),
            (
                Ended::OutputLimit { limit: 1 << 20 },
                "was ended: its output went over the limit of 1 MiB; raise it with --output-limit",
            ),
            (Ended::CpuLimit, "was ended: it used up its CPU time of 1 min 30 s; raise it with --cpu-time"),
            (
                Ended::FileSize,
                "was ended: a file that it wrote went over the limit of 64 MiB; raise it with --file-size",
            ),
            (Ended::Seccomp, "was killed by the system-call filter (profile strict)"),
            (
                Ended::Signal { signal: libc::SIGSEGV, core_dumped: true },
                "was ended by signal 11 (SIGSEGV), with a core dump",
            ),
        ] {
            assert_eq!(told(&ended), Some(format!("belljar: python3 {text}\n")));
        }
    }

    #[test]
    fn real_time_signals_have_a_name() {
        assert_eq!(signal_name(libc::SIGKILL), "SIGKILL");
        assert_eq!(signal_name(libc::SIGRTMIN() + 3), "SIGRTMIN+3");
    }
}
