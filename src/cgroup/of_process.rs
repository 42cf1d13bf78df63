//! The group of a sandbox that another process has started.

use std::path::Path;

use super::dir::Dir;
use super::meter::Meter;
use super::{Controller, Version, find, parse, remove};
use crate::host::read;

impl Meter {
    /// The sandbox's group that a process is in; `None` if it is in none, or out of reach.
    pub(crate) fn of_process(pid: i32) -> Option<Self> {
        let memberships = parse::memberships(read::text(format!("/proc/{pid}/cgroup"))?.as_bytes());
        let mounts = parse::mounts(read::text("/proc/self/mountinfo")?.as_bytes());
        let mut parts: Vec<(Version, Vec<Controller>, Dir)> = Vec::new();
        for controller in [Controller::Memory, Controller::Pids, Controller::Cpuacct] {
            let tree = find::trees(&memberships, &mounts, &[controller]).ok()?.pop()?;
            let Some(own) = tree.own.filter(|own| is_ours(own)) else { continue };
            let path = tree.point.join(own);
            match parts.iter_mut().find(|(_, _, dir)| dir.path == path) {
                Some((_, controllers, _)) => controllers.push(controller),
                None => parts.push((tree.version, vec![controller], Dir::open(&path, tree.version).ok()?)),
            }
        }
        (!parts.is_empty()).then(|| Self::new(parts))
    }
}

fn is_ours(group: &Path) -> bool {
    group.file_name().and_then(|name| name.to_str()).is_some_and(remove::ours)
}
