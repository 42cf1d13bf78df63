//! The groups that the sandbox's are made in.

use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use super::dir::Dir;
use super::error::CgroupError;
use super::find::{self, Tree};
use super::{Controller, Version, parse};
use crate::plan::Cgroup;

/// A group that can have children with limits.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) version: Version,
    pub(super) controllers: Vec<Controller>,
    pub(super) parent: Dir,
    /// The caller's own group, where the new one is beside it: its limits are then the new one's, too.
    pub(super) own: Option<Dir>,
    /// Whether nothing but accounts depends on it.
    pub(super) optional: bool,
}

/// What the plan needs of controllers.
fn needed(plan: &Cgroup) -> Vec<Controller> {
    let asked = [
        (Controller::Memory, plan.memory.is_some()),
        (Controller::Pids, plan.pids.is_some()),
        (Controller::Cpu, plan.cpus.is_some() || plan.cpu_shares.is_some()),
        (Controller::Cpuacct, plan.cpu_time_ms.is_some()),
        (Controller::Io, plan.io_weight.is_some() || !plan.throttles.is_empty()),
    ];
    asked.into_iter().filter(|(_, asked)| *asked).map(|(controller, _)| controller).collect()
}

/// Whether the groups are made ready, or only looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Make,
    Look,
}

/// For each tree that has a part in the plan's limits, the group to make the sandbox's in.
pub(super) fn places(plan: &Cgroup, mode: Mode) -> Result<Vec<Place>, CgroupError> {
    let read = |path: &str| {
        std::fs::read(path).map_err(|error| {
            CgroupError::on("read", path)(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
        })
    };
    let memberships = parse::memberships(&read("/proc/self/cgroup")?);
    let mounts = parse::mounts(&read("/proc/self/mountinfo")?);
    let needed = needed(plan);
    let mut places = Vec::new();
    for tree in find::trees(&memberships, &mounts, &needed)? {
        places.push(place(&tree, plan, false, mode)?);
    }
    // In v1 every controller has accounts of its own: they are kept where they can be, though nothing is
    // asked of them.
    for controller in [Controller::Memory, Controller::Pids, Controller::Cpuacct] {
        let v1 = places.iter().any(|place| place.version == Version::V1);
        if !v1 || places.iter().any(|place| place.controllers.contains(&controller)) {
            continue;
        }
        let trees = find::trees(&memberships, &mounts, &[controller]).unwrap_or_default();
        let place = trees
            .first()
            .filter(|tree| tree.version == Version::V1)
            .map(|tree| place(tree, plan, true, mode));
        match place {
            Some(Ok(place)) => match places.iter_mut().find(|other| other.parent.path == place.parent.path) {
                Some(together) => together.controllers.push(controller),
                None => places.push(place),
            },
            Some(Err(_)) | None => log::debug!("no account of {} is kept", controller.name()),
        }
    }
    Ok(places)
}

fn place(tree: &Tree, plan: &Cgroup, optional: bool, mode: Mode) -> Result<Place, CgroupError> {
    let Tree { version, controllers, point, own, path } = tree;
    let (version, controllers) = (*version, controllers.clone());
    if let Some(parent) = &plan.parent {
        let path = given(point, parent);
        let parent = Dir::open(&path, version)?;
        enable(&parent, version, &controllers, mode)?;
        return Ok(Place { version, controllers, parent, own: None, optional });
    }
    let own = own.as_ref().ok_or_else(|| CgroupError::OutOfReach { path: path.clone() })?;
    let path = point.join(own);
    let own = Dir::open(&path, version)?;
    // v1 has no rule against processes in a group with children; nor has the root of v2, which alone has no
    // type.
    if version == Version::V1 || own.read_if_there("cgroup.type")?.is_none() {
        enable(&own, version, &controllers, mode)?;
        return Ok(Place { version, controllers, parent: own, own: None, optional });
    }
    if path == *point {
        return Err(CgroupError::Occupied { path });
    }
    let above = path.parent().unwrap_or(point);
    let parent = Dir::open(above, version)?;
    enable(&parent, version, &controllers, mode)?;
    Ok(Place { version, controllers, parent, own: Some(own), optional })
}

/// A path from the tree's root; one that begins with the mount point is taken as it is.
fn given(point: &Path, parent: &std::ffi::CStr) -> PathBuf {
    let parent = Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(parent.to_bytes()));
    if parent.starts_with(point) {
        return parent.to_owned();
    }
    let inside = parent.components().filter(|part| matches!(part, Component::Normal(_)));
    point.join(inside.collect::<PathBuf>())
}

/// v2: children have only the controllers that their parent gives.
fn enable(parent: &Dir, version: Version, controllers: &[Controller], mode: Mode) -> Result<(), CgroupError> {
    if mode == Mode::Look {
        parent.writable(".")?;
    }
    if version == Version::V1 {
        return Ok(());
    }
    for controller in controllers.iter().filter(|controller| **controller != Controller::Cpuacct) {
        let name = controller.v2_name();
        let lists =
            |file| parent.read(file).map(|text| text.split_ascii_whitespace().any(|word| word == name));
        if lists("cgroup.subtree_control")? {
            continue;
        }
        let path = parent.path.clone();
        if !lists("cgroup.controllers")? {
            return Err(CgroupError::NoController { path, controller: name });
        }
        if mode == Mode::Look {
            parent.writable("cgroup.subtree_control")?;
            // Only the root has no type.
            let root = parent.read_if_there("cgroup.type")?.is_none();
            if !root && !parent.read("cgroup.procs")?.trim().is_empty() {
                return Err(CgroupError::Occupied { path });
            }
            continue;
        }
        match parent.write("cgroup.subtree_control", &format!("+{name}")) {
            Err(CgroupError::System { source: Errno::EBUSY, .. }) => {
                return Err(CgroupError::Occupied { path });
            }
            other => other?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_given_from_the_root_of_the_tree() {
        let point = Path::new("/sys/fs/cgroup");
        for (parent, expected) in [
            (c"/", "/sys/fs/cgroup/"),
            (c"/a/b", "/sys/fs/cgroup/a/b"),
            (c"/sys/fs/cgroup/a", "/sys/fs/cgroup/a"),
            (c"/../a", "/sys/fs/cgroup/a"),
        ] {
            assert_eq!(given(point, parent), Path::new(expected));
        }
    }
}
