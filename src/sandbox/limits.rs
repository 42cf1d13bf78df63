//! Limits of a sandbox's runs, from code.

use std::path::PathBuf;
use std::time::Duration;

use super::Sandbox;
use super::builder::{absolute, of};
use super::error::Error;
use crate::profile::{Profile, Throttle, Throttled, ValueError, units};

/// Limits that are put on top of a profile's: what is not set stays as the profile has it. Those of memory,
/// processes, CPUs and CPU time hold for everything in the sandbox together, by a control group; where there
/// is none to be had, starting is an error.
///
/// ```no_run
/// use std::time::Duration;
///
/// belljar::init();
/// let limits = belljar::Limits::new().memory(256 << 20).pids(64).cpus(2.0).timeout(Duration::from_secs(10));
/// let sandbox = belljar::Sandbox::new("strict")?.limited(&limits)?;
/// let output = sandbox.command("python3").args(["-c", "print(6 * 7)"]).output()?;
/// if let belljar::Ended::MemoryLimit { limit, .. } = output.outcome.ended {
///     println!("{limit} bytes were not enough");
/// }
/// if let Some(account) = &output.outcome.account {
///     println!("peak: {:?} bytes, refused processes: {:?}", account.usage.memory_peak_bytes, account.events.pids_refused);
/// }
/// # Ok::<(), belljar::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Limits {
    // `Some(None)` lifts the profile's.
    pub(crate) memory: Option<Option<u64>>,
    pub(crate) memory_swap: Option<u64>,
    pub(crate) pids: Option<Option<u64>>,
    /// Thousandths, or why the number is none.
    pub(crate) cpus: Option<Option<Result<u64, ValueError>>>,
    pub(crate) cpu_weight: Option<u64>,
    pub(crate) cpu_time: Option<Option<Duration>>,
    pub(crate) io_weight: Option<u64>,
    pub(crate) io_rates: Vec<Throttle>,
    pub(crate) timeout: Option<Option<Duration>>,
    pub(crate) file_size: Option<Option<u64>>,
    /// Bytes, and whether what comes after them is thrown away.
    pub(crate) output: Option<Option<(u64, bool)>>,
}

/// A limit that can be lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Limit {
    Memory,
    Pids,
    Cpus,
    CpuTime,
    Timeout,
    FileSize,
    Output,
}

impl Limits {
    /// None of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lifts what the profile says of it.
    pub fn unlimited(mut self, limit: Limit) -> Self {
        match limit {
            Limit::Memory => self.memory = Some(None),
            Limit::Pids => self.pids = Some(None),
            Limit::Cpus => self.cpus = Some(None),
            Limit::CpuTime => self.cpu_time = Some(None),
            Limit::Timeout => self.timeout = Some(None),
            Limit::FileSize => self.file_size = Some(None),
            Limit::Output => self.output = Some(None),
        }
        self
    }

    /// Bytes of memory.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(Some(bytes));
        self
    }

    /// Bytes of memory and swap together; without it there is no swap.
    pub fn memory_swap(mut self, bytes: u64) -> Self {
        self.memory_swap = Some(bytes);
        self
    }

    /// Processes and threads at once.
    pub fn pids(mut self, number: u64) -> Self {
        self.pids = Some(Some(number));
        self
    }

    /// CPUs, to a thousandth.
    pub fn cpus(mut self, number: f64) -> Self {
        self.cpus = Some(Some(units::cpus_of(number)));
        self
    }

    /// Its part of the CPUs where others want them too, 1 to 10000; 100 is everybody's.
    pub fn cpu_weight(mut self, weight: u64) -> Self {
        self.cpu_weight = Some(weight);
        self
    }

    /// CPU time of all processes together, rounded up to milliseconds.
    pub fn cpu_time(mut self, time: Duration) -> Self {
        self.cpu_time = Some(Some(whole_milliseconds(time)));
        self
    }

    /// Its part of what disks do where others want them too, 1 to 1000; 100 is everybody's.
    pub fn io_weight(mut self, weight: u64) -> Self {
        self.io_weight = Some(weight);
        self
    }

    /// Bytes that may be read in a second from the disk that `path` is, or is on.
    pub fn io_read_bps(self, path: impl Into<PathBuf>, bytes: u64) -> Self {
        self.io_rate(path.into(), Throttled::ReadBps, bytes)
    }

    /// Bytes that may be written in a second.
    pub fn io_write_bps(self, path: impl Into<PathBuf>, bytes: u64) -> Self {
        self.io_rate(path.into(), Throttled::WriteBps, bytes)
    }

    /// Reads in a second.
    pub fn io_read_iops(self, path: impl Into<PathBuf>, number: u64) -> Self {
        self.io_rate(path.into(), Throttled::ReadIops, number)
    }

    /// Writes in a second.
    pub fn io_write_iops(self, path: impl Into<PathBuf>, number: u64) -> Self {
        self.io_rate(path.into(), Throttled::WriteIops, number)
    }

    fn io_rate(mut self, path: PathBuf, kind: Throttled, rate: u64) -> Self {
        self.io_rates.push(Throttle { path, kind, rate });
        self
    }

    /// Wall time, rounded up to milliseconds.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(Some(whole_milliseconds(time)));
        self
    }

    /// Bytes that a file may reach.
    pub fn file_size(mut self, bytes: u64) -> Self {
        self.file_size = Some(Some(bytes));
        self
    }

    /// Bytes of standard output and standard error together; more ends the run.
    pub fn output(mut self, bytes: u64) -> Self {
        self.output = Some(Some((bytes, false)));
        self
    }

    /// The same, but what comes after is thrown away and the run goes on.
    pub fn output_truncated(mut self, bytes: u64) -> Self {
        self.output = Some(Some((bytes, true)));
        self
    }

    /// These, and of what they do not say those of `below`.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            memory: self.memory.or(below.memory),
            memory_swap: self.memory_swap.or(below.memory_swap),
            pids: self.pids.or(below.pids),
            cpus: self.cpus.or(below.cpus),
            cpu_weight: self.cpu_weight.or(below.cpu_weight),
            cpu_time: self.cpu_time.or(below.cpu_time),
            io_weight: self.io_weight.or(below.io_weight),
            // For each path and kind the last one counts.
            io_rates: [below.io_rates, self.io_rates].concat(),
            timeout: self.timeout.or(below.timeout),
            file_size: self.file_size.or(below.file_size),
            output: self.output.or(below.output),
        }
    }

    /// Puts them on top of the profile's.
    pub(super) fn apply(&self, profile: &mut Profile) -> Result<(), Error> {
        if let Some(bytes) = self.memory {
            profile.change(|to| to.resources.memory = bytes).map_err(of("memory"))?;
        }
        if self.memory_swap.is_some() {
            profile.change(|to| to.resources.swap = self.memory_swap).map_err(of("memory_swap"))?;
        }
        if let Some(number) = self.pids {
            profile.change(|to| to.resources.pids = number).map_err(of("pids"))?;
        }
        if let Some(cpus) = &self.cpus {
            let invalid = |source| Error::Option { option: "cpus", source: Box::new(source) };
            let thousandths = cpus.clone().transpose().map_err(invalid)?;
            profile.change(|to| to.resources.cpus = thousandths).map_err(of("cpus"))?;
        }
        if let Some(weight) = self.cpu_weight {
            let shares = shares(weight)?;
            profile.change(|to| to.resources.cpu_shares = Some(shares)).map_err(of("cpu_weight"))?;
        }
        if let Some(time) = self.cpu_time {
            let set = profile.change(|to| {
                to.resources.cpu_time = time;
                if time.is_none() {
                    // What the profile says of each process is lifted, too.
                    to.limits.cpu_time = None;
                }
            });
            set.map_err(of("cpu_time"))?;
        }
        if self.io_weight.is_some() {
            profile.change(|to| to.resources.io_weight = self.io_weight).map_err(of("io_weight"))?;
        }
        for Throttle { path, kind, rate } in &self.io_rates {
            let option = match kind {
                Throttled::ReadBps => "io_read_bps",
                Throttled::WriteBps => "io_write_bps",
                Throttled::ReadIops => "io_read_iops",
                Throttled::WriteIops => "io_write_iops",
            };
            profile.add_throttle(&absolute(option, path)?, *kind, *rate).map_err(of(option))?;
        }
        if let Some(time) = self.timeout {
            profile.change(|to| to.limits.timeout = time).map_err(of("timeout"))?;
        }
        if let Some(bytes) = self.file_size {
            profile.change(|to| to.limits.file_size = bytes).map_err(of("file_size"))?;
        }
        if let Some(limit) = self.output {
            let set = profile.change(|to| {
                to.limits.output = limit.map(|(bytes, _)| bytes);
                to.limits.output_truncated = limit.is_some_and(|(_, truncated)| truncated);
            });
            set.map_err(of("output"))?;
        }
        Ok(())
    }
}

impl Sandbox {
    /// The sandbox with limits on top of its profile's.
    ///
    /// # Errors
    /// [`Error::Option`]: a limit is 0 or beyond what can be counted, or memory and swap together are less
    /// than memory.
    pub fn limited(&self, limits: &Limits) -> Result<Self, Error> {
        let mut profile = self.profile.clone();
        limits.apply(&mut profile)?;
        Ok(Self::with_profile(profile))
    }
}

/// systemd's and the kernel's 100 is OCI's 1024.
fn shares(weight: u64) -> Result<u64, Error> {
    const MAX: u64 = 10_000;
    if !(1..=MAX).contains(&weight) {
        let source = Box::new(ValueError::range(weight, 1, MAX));
        return Err(Error::Option { option: "cpu_weight", source });
    }
    Ok(((weight * 1024 + 50) / 100).max(2))
}

/// What is left until a deadline is seldom whole. What is beyond the type stays beyond every limit.
fn whole_milliseconds(time: Duration) -> Duration {
    const MILLISECOND: u32 = 1_000_000;
    let more = time.subsec_nanos().next_multiple_of(MILLISECOND) - time.subsec_nanos();
    time.saturating_add(Duration::from_nanos(u64::from(more)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_stays() {
        let strict = Sandbox::new("strict").expect("a profile");
        let same = strict.limited(&Limits::new()).expect("limits");
        assert_eq!(same.profile(), strict.profile());
        let limits = Limits::new().memory(1 << 20).cpus(0.25).output_truncated(9);
        let limited = strict.limited(&limits).expect("limits");
        let profile = limited.profile();
        assert_eq!((profile.resources.memory, profile.resources.cpus), (Some(1 << 20), Some(250)));
        assert_eq!((profile.limits.output, profile.limits.output_truncated), (Some(9), true));
        assert_eq!(profile.limits.file_size, strict.profile().limits.file_size);
        assert_ne!(limited.profile_hash(), strict.profile_hash());
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        let strict = Sandbox::new("strict").expect("a profile");
        for limits in [
            Limits::new().memory(0),
            Limits::new().memory(9).memory_swap(8),
            Limits::new().memory_swap(8),
            Limits::new().pids(u64::MAX),
            Limits::new().cpus(-1.0),
            Limits::new().cpus(f64::NAN),
            Limits::new().cpus(f64::INFINITY),
            Limits::new().cpu_weight(0),
            Limits::new().cpu_weight(10_001),
            Limits::new().io_weight(0),
            Limits::new().io_read_bps("/", 0),
            Limits::new().cpu_time(Duration::ZERO),
            Limits::new().timeout(Duration::ZERO),
            Limits::new().output(0),
            Limits::new().output_truncated(0),
        ] {
            assert!(matches!(strict.limited(&limits), Err(Error::Option { .. })), "{limits:?}");
        }
    }

    #[test]
    fn a_time_is_rounded_up_to_what_is_counted() {
        let strict = Sandbox::new("strict").expect("a profile");
        for (time, millis) in [
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(5), 5),
            (Duration::new(9, 999_999_999), 10_000),
            (Duration::new(1, 1), 1001),
        ] {
            let limited = strict.limited(&Limits::new().timeout(time).cpu_time(time)).expect("limits");
            let expected = Some(Duration::from_millis(millis));
            assert_eq!(limited.profile().limits.timeout, expected, "{time:?}");
            assert_eq!(limited.profile().resources.cpu_time, expected, "{time:?}");
        }
    }

    #[test]
    fn an_error_has_the_value_and_the_range() {
        let strict = Sandbox::new("strict").expect("a profile");
        let cpus = "is out of range (0.001 to 1048576)";
        for (limits, expected) in [
            (Limits::new().cpus(-1.0), format!("cpus: \"-1\" {cpus}")),
            (Limits::new().cpus(f64::NAN), format!("cpus: \"NaN\" {cpus}")),
            (Limits::new().cpus(1e-9), format!("cpus: \"0.000000001\" {cpus}")),
            (Limits::new().cpus(f64::INFINITY), format!("cpus: \"inf\" {cpus}")),
            (Limits::new().cpus(2e6), format!("cpus: \"2000000\" {cpus}")),
            (
                Limits::new().timeout(Duration::MAX),
                "timeout: strict: limits.timeout: \"18446744073709551615.999999999s\" is out of range (1us to 9223372036854775807us)"
                    .to_owned(),
            ),
        ] {
            let text = crate::error_chain(&strict.limited(&limits).expect_err("no limit"));
            assert!(text.starts_with(&expected), "{text}");
        }
    }
}
