//! Limits of a sandbox's runs, from code.

use std::time::Duration;

use super::Sandbox;
use super::error::Error;
use crate::profile::ProfileError;

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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    memory: Option<u64>,
    memory_swap: Option<u64>,
    pids: Option<u64>,
    cpus: Option<f64>,
    cpu_time: Option<Duration>,
    timeout: Option<Duration>,
    io_weight: Option<u64>,
    file_size: Option<u64>,
    output: Option<(u64, bool)>,
}

impl Limits {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Bytes of memory and swap together; without it there is no swap.
    #[must_use]
    pub fn memory_swap(mut self, bytes: u64) -> Self {
        self.memory_swap = Some(bytes);
        self
    }

    /// Processes and threads at once.
    #[must_use]
    pub fn pids(mut self, number: u64) -> Self {
        self.pids = Some(number);
        self
    }

    /// CPUs, to a thousandth.
    #[must_use]
    pub fn cpus(mut self, number: f64) -> Self {
        self.cpus = Some(number);
        self
    }

    /// CPU time of all processes together.
    #[must_use]
    pub fn cpu_time(mut self, time: Duration) -> Self {
        self.cpu_time = Some(time);
        self
    }

    /// Its part of what disks do where others want them too, 1 to 1000; 100 is everybody's. (What may be read
    /// and written in a second is [`Profile::add_throttle`](crate::profile::Profile::add_throttle)'s.)
    #[must_use]
    pub fn io_weight(mut self, weight: u64) -> Self {
        self.io_weight = Some(weight);
        self
    }

    /// Wall time.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Bytes that a file may reach.
    #[must_use]
    pub fn file_size(mut self, bytes: u64) -> Self {
        self.file_size = Some(bytes);
        self
    }

    /// Bytes of standard output and standard error together; more ends the run.
    #[must_use]
    pub fn output(mut self, bytes: u64) -> Self {
        self.output = Some((bytes, false));
        self
    }

    /// The same, but what comes after is thrown away and the run goes on.
    #[must_use]
    pub fn output_truncated(mut self, bytes: u64) -> Self {
        self.output = Some((bytes, true));
        self
    }
}

impl Sandbox {
    /// The sandbox with limits on top of its profile's. Everything else that a profile says is changed with
    /// [`Profile`](crate::profile::Profile)'s setters and [`Sandbox::with_profile`].
    ///
    /// # Errors
    /// A limit is 0 or beyond what can be counted, or memory and swap together are less than memory.
    pub fn limited(&self, limits: &Limits) -> Result<Self, Error> {
        let mut profile = self.profile.clone();
        let profile_error = |error: ProfileError| Error::Profile(error);
        if limits.memory.is_some() {
            profile.set_memory(limits.memory).map_err(profile_error)?;
        }
        if limits.memory_swap.is_some() {
            profile.set_memory_swap(limits.memory_swap).map_err(profile_error)?;
        }
        if limits.pids.is_some() {
            profile.set_pids(limits.pids).map_err(profile_error)?;
        }
        if let Some(number) = limits.cpus {
            profile.set_cpus(Some(thousandths(number))).map_err(profile_error)?;
        }
        if limits.cpu_time.is_some() {
            profile.set_total_cpu_time(limits.cpu_time).map_err(profile_error)?;
        }
        if limits.io_weight.is_some() {
            profile.set_io_weight(limits.io_weight).map_err(profile_error)?;
        }
        if limits.timeout.is_some() {
            profile.set_timeout(limits.timeout).map_err(profile_error)?;
        }
        if limits.file_size.is_some() {
            profile.set_file_size(limits.file_size).map_err(profile_error)?;
        }
        match limits.output {
            Some((bytes, true)) => profile.set_output_truncated(bytes),
            Some((bytes, false)) => profile.set_output(Some(bytes)),
            None => Ok(()),
        }
        .map_err(profile_error)?;
        Ok(Self::with_profile(profile))
    }
}

/// What is no number of CPUs (negative, not a number, below a thousandth) is 0, which is refused as no limit.
fn thousandths(cpus: f64) -> u64 {
    // A float beyond the type's range becomes its bound.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let thousandths = (cpus * 1000.0).round() as u64;
    thousandths
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
            Limits::new().cpu_time(Duration::ZERO),
            Limits::new().timeout(Duration::from_micros(1)),
            Limits::new().output(0),
            Limits::new().output_truncated(0),
        ] {
            assert!(matches!(strict.limited(&limits), Err(Error::Profile(_))), "{limits:?}");
        }
    }
}
