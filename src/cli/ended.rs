//! How a run ended, as a message: one line if a limit, the filter or a crash ended it.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{escape, units};
use crate::cgroup::Account;
use crate::profile::Limits;
use crate::sandbox::Ended;

/// glibc's first real-time signal (signal(7)).
const SIGRTMIN: i32 = 34;

/// The message. `None` if the program exited by itself, or by a signal that asks it to end.
///
/// `cpu` is what everything in the sandbox used together.
pub fn line(ended: &Ended, name: &str, profile: &str, limits: &Limits, cpu: Duration) -> Option<String> {
    let limit = |limit: Option<String>| limit.map_or_else(String::new, |limit| format!(" of {limit}"));
    let how = match ended {
        Ended::Exit { .. } => return None,
        Ended::Signal { signal, core_dumped } if !is_request(*signal) => {
            let core = if *core_dumped { ", with a core dump" } else { "" };
            let used = past_cpu_time(*signal, limits, cpu).unwrap_or_default();
            format!("was ended by signal {signal} ({}){core}{used}", signal_name(*signal))
        }
        Ended::Signal { .. } => return None,
        Ended::Timeout { limit_ms } => {
            let limit = units::show_duration(Duration::from_millis(*limit_ms));
            format!("was ended: it ran for {limit}, its limit; raise it with --timeout")
        }
        Ended::OutputLimit { limit } => {
            let limit = units::show_size(*limit);
            format!("was ended: its output went over the limit of {limit}; raise it with --output-limit")
        }
        Ended::CpuLimit { limit_ms } => {
            let time = limit_ms.map(Duration::from_millis).or(limits.cpu_time);
            let limit = limit(time.map(units::show_duration));
            format!("was ended: it used up its CPU time{limit}; raise it with --cpu-time")
        }
        Ended::MemoryLimit { limit, peak } => {
            let peak = peak.map_or_else(String::new, |peak| format!(" (peak {})", units::show_rounded(peak)));
            let limit = units::show_size(*limit);
            format!("was ended: memory limit {limit} reached{peak}; raise it with --memory")
        }
        Ended::PidsLimit { limit, .. } => {
            format!(
                "failed after the kernel refused it a process: limit of {limit} reached; raise it with --pids"
            )
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

/// The message about processes that the kernel refused at the limit, if the run went on.
pub fn survived(ended: &Ended, name: &str, account: Option<&Account>) -> Option<String> {
    let account = account.filter(|_| !matches!(ended, Ended::PidsLimit { .. }))?;
    let limit = account.pids_limit()?;
    Some(format!(
        "belljar: {name} was refused more processes than its limit of {limit}; raise it with --pids\n"
    ))
}

/// The message about output that was discarded.
pub fn truncated(discarded: Option<u64>, name: &str, limits: &Limits) -> Option<String> {
    let (discarded, limit) = (discarded.filter(|bytes| *bytes > 0)?, limits.output?);
    let (discarded, limit) = (units::show_rounded(discarded), units::show_size(limit));
    Some(format!(
        "belljar: {name} wrote {discarded} beyond its output limit of {limit}, which were thrown away; \
         raise it with --output-limit\n"
    ))
}

/// A program that ignores `SIGXCPU` gets `SIGKILL` a second later (`RLIMIT_CPU`, getrlimit(2)), which others may
/// send, too. So the message only states the time that was used. The kernel checks this limit by clock ticks,
/// which differ from that time by some percent.
fn past_cpu_time(signal: i32, limits: &Limits, cpu: Duration) -> Option<String> {
    let limit = limits.cpu_time.filter(|limit| signal == libc::SIGKILL && cpu >= limit.mul_f64(0.9))?;
    let (cpu, limit) = (cpu.as_secs_f64(), units::show_duration(limit));
    Some(format!("; it had used {cpu:.1}s of CPU time, with a limit of {limit}: raise it with --cpu-time"))
}

/// Signals by which a user or a pipeline asks a program to end. They need no message.
fn is_request(signal: i32) -> bool {
    use libc::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    [SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2].contains(&signal)
}

/// `SIGSEGV`, `SIGRTMIN`, or `SIGRTMIN+3`: counted as glibc and shells do. (musl reserves three real-time
/// signals, glibc two.)
pub fn signal_name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) if signal == SIGRTMIN => "SIGRTMIN".to_owned(),
        Err(_) => format!("SIGRTMIN{:+}", signal - SIGRTMIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ended: &Ended) -> Option<String> {
        let limits = Limits {
            cpu_time: Some(Duration::from_secs(90)),
            file_size: Some(64 << 20),
            ..Limits::default()
        };
        line(ended, "python3", "strict", &limits, Duration::from_secs(80))
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
                Ended::Timeout { limit_ms: 5000 },
                "was ended: it ran for 5s, its limit; raise it with --timeout",
            ),
            (
                Ended::OutputLimit { limit: 1 << 20 },
                "was ended: its output went over the limit of 1MiB; raise it with --output-limit",
            ),
            (
                Ended::CpuLimit { limit_ms: None },
                "was ended: it used up its CPU time of 90s; raise it with --cpu-time",
            ),
            (
                Ended::CpuLimit { limit_ms: Some(1500) },
                "was ended: it used up its CPU time of 1500ms; raise it with --cpu-time",
            ),
            (
                Ended::MemoryLimit { limit: 256 << 20, peak: Some((256 << 20) + 5) },
                "was ended: memory limit 256MiB reached (peak 256MiB); raise it with --memory",
            ),
            (
                Ended::PidsLimit { limit: 9, status: 256 },
                "failed after the kernel refused it a process: limit of 9 reached; raise it with --pids",
            ),
            (
                Ended::FileSize,
                "was ended: a file that it wrote went over the limit of 64MiB; raise it with --file-size",
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
    fn a_kill_at_the_limit_of_cpu_time_says_so() {
        let limits = Limits { cpu_time: Some(Duration::from_secs(2)), ..Limits::default() };
        let unlimited = Limits::default();
        let told = |signal, cpu, limits: &Limits| {
            let ended = Ended::Signal { signal, core_dumped: false };
            line(&ended, "yes", "strict", limits, Duration::from_millis(cpu)).unwrap_or_default()
        };
        assert_eq!(
            told(libc::SIGKILL, 2940, &limits),
            "belljar: yes was ended by signal 9 (SIGKILL); it had used 2.9s of CPU time, with a limit of 2s: \
             raise it with --cpu-time\n"
        );
        let plain = "belljar: yes was ended by signal 9 (SIGKILL)\n";
        assert_eq!(told(libc::SIGKILL, 1000, &limits), plain);
        assert_eq!(told(libc::SIGKILL, 2940, &unlimited), plain);
        assert!(!told(libc::SIGSEGV, 2940, &limits).contains("--cpu-time"));
    }

    #[test]
    fn output_that_was_cut_is_told_of() {
        let limits = Limits { output: Some(1 << 20), ..Limits::default() };
        for nothing in [None, Some(0)] {
            assert_eq!(truncated(nothing, "yes", &limits), None);
        }
        let line = "belljar: yes wrote 2GiB beyond its output limit of 1MiB, which were thrown away; raise it with \
                    --output-limit\n";
        assert_eq!(truncated(Some((2 << 30) + 5), "yes", &limits).as_deref(), Some(line));
    }

    #[test]
    fn real_time_signals_have_a_name() {
        assert_eq!(signal_name(libc::SIGKILL), "SIGKILL");
        assert_eq!((signal_name(34), signal_name(37)), ("SIGRTMIN".to_owned(), "SIGRTMIN+3".to_owned()));
    }
}
