//! A sandbox's group, in every tree that has a part in its limits.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;

use super::account::Account;
use super::cleaner::Cleaner;
use super::dir::Dir;
use super::error::CgroupError;
use super::meter::Meter;
use super::place::{self, Mode, Place};
use super::{Controller, PREFIX, Version, limit, remove};
use crate::plan::Cgroup;
use crate::protocol::{Watch, Watched};

/// What there is before the group: where it will be made, and who will remove it.
#[derive(Debug)]
pub(crate) struct Site {
    name: String,
    plan: Cgroup,
    places: Vec<Place>,
    cleaner: Cleaner,
}

impl Site {
    /// Finds the places and starts the cleaner; `own` is the caller's pidfd. Nothing is waited for.
    pub(crate) fn find(plan: &Cgroup, own: BorrowedFd<'_>) -> Result<Self, CgroupError> {
        let places = place::places(plan, Mode::Make)?;
        let name = name()?;
        let cleaner = Cleaner::start(&name, &places, own)?;
        Ok(Self { name, plan: plan.clone(), places, cleaner })
    }
}

/// Where the groups of a plan would be made; an error if they cannot be. Nothing is changed.
pub(crate) fn look(plan: &Cgroup) -> Result<Vec<PathBuf>, CgroupError> {
    let places = place::places(plan, Mode::Look)?;
    for place in places.iter().filter(|place| !place.optional) {
        limit::check(place, plan)?;
    }
    Ok(places.into_iter().map(|place| place.parent.path).collect())
}

/// Opens a group's cgroup_procs_fds, each time anew: v1 reads a list of processes again from a file that is
/// open only after a second.
#[derive(Debug)]
pub(crate) struct Entrance(Vec<(Version, Dir)>);

impl Entrance {
    /// As [`Group::cgroup_procs_fds`].
    pub(crate) fn cgroup_procs_fds(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        self.0.iter().map(|(version, dir)| procs_fd(dir, *version)).collect()
    }

    /// How many processes there may be at most, and the file that counts them; `None` without a limit.
    pub(crate) fn pids(&self) -> Result<Option<(u64, OwnedFd)>, CgroupError> {
        for (_, dir) in &self.0 {
            let Some(text) = dir.read_if_there("pids.max")? else { continue };
            if text.trim() != "max" {
                let malformed = |_| CgroupError::Malformed { path: dir.path.join("pids.max") };
                let limit = text.trim().parse().map_err(malformed)?;
                return Ok(Some((limit, dir.file("pids.current", libc::O_RDONLY)?)));
            }
        }
        Ok(None)
    }
}

fn procs_fd(dir: &Dir, version: Version) -> Result<OwnedFd, CgroupError> {
    let file = match version {
        Version::V1 => "tasks",
        Version::V2 => "cgroup.procs",
    };
    dir.file(file, libc::O_RDWR)
}

/// The group, from before the sandbox's first process to after its last.
#[derive(Debug)]
pub(crate) struct Group {
    name: String,
    plan: Cgroup,
    parts: Vec<(Place, Dir)>,
    cleaner: Cleaner,
}

impl Group {
    /// Makes it, with all limits set and read back, once its cleaner is at its duty. On an error nothing of
    /// it is left.
    pub(crate) fn make(site: Site) -> Result<Self, CgroupError> {
        let Site { name, plan, places, mut cleaner } = site;
        cleaner.ready()?;
        // From here on dropping it removes what was made.
        let mut group = Self { name, plan, parts: Vec::new(), cleaner };
        for place in places {
            match group.part(&place) {
                Ok(dir) => group.parts.push((place, dir)),
                Err(error) if place.optional => log::debug!("{}", crate::error_chain(&error)),
                Err(error) => return Err(error),
            }
        }
        let inodes = group.parts.iter().map(|(place, dir)| Ok((place.parent.inode()?, dir.inode()?)));
        group.cleaner.tell(&inodes.collect::<Result<Vec<_>, CgroupError>>()?)?;
        Ok(group)
    }

    fn part(&self, place: &Place) -> Result<Dir, CgroupError> {
        let dir = place.parent.make(&self.name)?;
        // A process that removes old groups may have locked it first. No other has seen the new name.
        if !dir.lock().map_err(CgroupError::on("flock", &dir.path))? {
            return Err(CgroupError::on("flock", &dir.path)(Errno::EWOULDBLOCK));
        }
        limit::set(&dir, place, &self.plan)?;
        Ok(dir)
    }

    /// What a process of one thread writes itself into to join: one descriptor for each tree, with the
    /// caller's rights. v1 takes a thread that moves itself without the lock that all others take, and whose
    /// price is some milliseconds.
    pub(crate) fn cgroup_procs_fds(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        self.parts.iter().map(|(place, dir)| procs_fd(dir, place.version)).collect()
    }

    /// What opens them again, for a later task.
    pub(crate) fn entrance(&self) -> Result<Entrance, CgroupError> {
        self.parts
            .iter()
            .map(|(place, dir)| Ok((place.version, dir.again()?)))
            .collect::<Result<_, _>>()
            .map(Entrance)
    }

    /// What init looks at while the task runs, and the files for it.
    pub(crate) fn watches(&self) -> Result<Vec<(Watch, OwnedFd)>, CgroupError> {
        let mut watches = Vec::new();
        for (place, dir) in &self.parts {
            let has = |controller| place.controllers.contains(&controller);
            let mut watch = |what, file, key: &str, above| {
                dir.file(file, libc::O_RDONLY)
                    .map(|fd| watches.push((Watch { what, key: key.to_owned(), above }, fd)))
            };
            if let Some(ms) = self.plan.cpu_time_ms
                && has(Controller::Cpuacct)
            {
                match place.version {
                    Version::V1 => {
                        watch(Watched::CpuTime, "cpuacct.usage", "", ms.saturating_mul(1_000_000))?
                    }
                    Version::V2 => {
                        watch(Watched::CpuTime, "cpu.stat", "usage_usec", ms.saturating_mul(1000))?
                    }
                }
            }
            // In v2 the kernel itself ends everything (`memory.oom.group`).
            if place.version == Version::V1 && self.plan.memory.is_some() && has(Controller::Memory) {
                watch(Watched::Memory, "memory.oom_control", "oom_kill", 0)?;
            }
        }
        Ok(watches)
    }

    /// What reads it while it is there.
    pub(crate) fn meter(&self) -> Result<Meter, CgroupError> {
        let part =
            |(place, dir): &(Place, Dir)| Ok((place.version, place.controllers.clone(), dir.try_clone()?));
        self.parts.iter().map(part).collect::<Result<_, CgroupError>>().map(Meter::new)
    }

    /// What the kernel has counted so far.
    pub(crate) fn account(&self) -> Result<Account, CgroupError> {
        let mut account = Account::default();
        for (place, dir) in &self.parts {
            account.add(dir, place.version, &place.controllers, &self.plan)?;
        }
        Ok(account)
    }

    /// Removes it, with what is left in it.
    pub(crate) fn remove(mut self) -> Result<(), CgroupError> {
        if self.end() { Ok(()) } else { Err(CgroupError::Left { name: self.name.clone() }) }
    }

    fn end(&mut self) -> bool {
        // Mostly it is empty by now, and the cleaner finds nothing to do; otherwise it has the patience.
        for (place, _) in &self.parts {
            place.parent.remove(&self.name).ok();
        }
        // A cleaner that was killed leaves it to the caller.
        self.cleaner.finish()
            || self.parts.iter().fold(true, |all, (place, dir)| {
                remove::remove(&place.parent, place.version, &self.name, dir.inode().ok()) && all
            })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.end() {
            log::error!("the control group {} could not be removed", self.name);
        }
    }
}

/// A name that no other group has.
fn name() -> Result<String, CgroupError> {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is writable and its length is given.
    let read = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if usize::try_from(read) != Ok(bytes.len()) {
        return Err(CgroupError::on("getrandom", "")(Errno::last()));
    }
    Ok(format!("{PREFIX}{:016x}", u64::from_ne_bytes(bytes)))
}
