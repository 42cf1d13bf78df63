//! The caller's control groups: which hierarchies there are, with which controllers, and whether it may make
//! groups in them.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::{At, Miss, Step, Trial};
use crate::host::read;

/// One hierarchy that the caller is in.
struct Hierarchy {
    /// `None` is the unified one (v2).
    controllers: Option<String>,
    /// The caller's own directory in it.
    directory: PathBuf,
}

pub(super) fn layout() -> Trial {
    let groups =
        std::fs::read_to_string("/proc/self/cgroup").at(Step::Cgroup, "read", "/proc/self/cgroup")?;
    let mounts = read::text("/proc/self/mountinfo").unwrap_or_default();
    let hierarchies = hierarchies(&groups, &mounts);
    let unified = hierarchies.iter().find(|hierarchy| hierarchy.controllers.is_none());
    let v2 = unified.map(|hierarchy| {
        let list = read::text(hierarchy.directory.join("cgroup.controllers")).unwrap_or_default();
        (list, &hierarchy.directory)
    });
    let v1: Vec<_> = hierarchies
        .iter()
        .filter_map(|hierarchy| {
            let list = hierarchy.controllers.as_deref()?;
            (!list.starts_with("name=")).then_some((list, &hierarchy.directory))
        })
        .collect();
    let useful =
        |list: &str| list.split([' ', ',']).any(|controller| matches!(controller, "memory" | "pids" | "cpu"));
    let (text, directories): (String, Vec<&PathBuf>) = match v2 {
        Some((list, directory)) if useful(&list) => (format!("v2: {list}"), vec![directory]),
        _ if !v1.is_empty() => {
            let lists = v1.iter().map(|(list, _)| *list).collect::<Vec<_>>().join(" ");
            let name = if v2.is_some() { "hybrid, limits in v1" } else { "v1" };
            let limits =
                v1.iter().filter(|(list, _)| useful(list)).map(|(_, directory)| *directory).collect();
            (format!("{name}: {lists}"), limits)
        }
        Some((_, _)) => {
            return Err(Miss::Without("v2 without controllers: none is delegated to this group".to_owned()));
        }
        None => return Err(Miss::Without("no control groups are mounted".to_owned())),
    };
    match directories.iter().find(|directory| access(directory.as_path(), AccessFlags::W_OK).is_err()) {
        Some(directory) => {
            access(directory.as_path(), AccessFlags::W_OK).at(
                Step::Cgroup,
                "access",
                &directory.to_string_lossy(),
            )?;
            Ok(text)
        }
        None => Ok(text),
    }
}

/// Pairs `/proc/self/cgroup` with the mounts that show it.
fn hierarchies(groups: &str, mounts: &str) -> Vec<Hierarchy> {
    groups
        .lines()
        .filter_map(|line| {
            let (list, path) = line.split_once(':')?.1.split_once(':')?;
            let controllers = (!list.is_empty()).then(|| list.to_owned());
            let (root, point) = mounts.lines().find_map(|mount| {
                let (left, right) = mount.split_once(" - ")?;
                let mut right = right.split(' ');
                let (kind, options) = (right.next()?, right.nth(1)?);
                let fits = match &controllers {
                    None => kind == "cgroup2",
                    Some(list) => {
                        kind == "cgroup"
                            && list.split(',').all(|name| options.split(',').any(|option| option == name))
                    }
                };
                let mut left = left.split(' ');
                fits.then(|| Some((left.nth(3)?, left.next()?))).flatten()
            })?;
            let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
            // `join` with nothing would add a slash.
            let directory = Path::new(point).join(below).components().collect();
            Some(Hierarchy { controllers, directory })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_found_in_each_hierarchy() {
        let groups = "9:name=systemd:/x\n8:pids:/a/b\n1:cpu,cpuacct:/\n0::/user.slice/u\n";
        let mounts = "1 0 0:1 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      2 0 0:2 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      3 0 0:3 /user.slice /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found: Vec<_> = hierarchies(groups, mounts)
            .into_iter()
            .map(|hierarchy| (hierarchy.controllers, hierarchy.directory))
            .collect();
        assert_eq!(
            found,
            [
                (Some("pids".to_owned()), PathBuf::from("/sys/fs/cgroup/pids/a/b")),
                (Some("cpu,cpuacct".to_owned()), PathBuf::from("/sys/fs/cgroup/cpu,cpuacct")),
                (None, PathBuf::from("/sys/fs/cgroup/unified/u")),
            ]
        );
    }
}
