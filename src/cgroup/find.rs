//! Where the caller's own group is in each tree that is needed: pure.

use std::path::{Path, PathBuf};

use super::error::CgroupError;
use super::parse::{Membership, Mounted};
use super::{Controller, Version};

/// A tree, and the caller's own place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) version: Version,
    /// Those of the wanted ones that it has (v2: that no v1 tree has).
    pub(super) controllers: Vec<Controller>,
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// The caller's own group below the mount point; empty: at it. None: it is outside of what is mounted.
    pub(super) own: Option<PathBuf>,
    /// Its path in the tree.
    pub(super) path: PathBuf,
}

/// The trees of the wanted controllers, each once.
pub(super) fn trees(
    memberships: &[Membership],
    mounts: &[Mounted],
    wanted: &[Controller],
) -> Result<Vec<Tree>, CgroupError> {
    let mut found: Vec<(u32, Tree)> = Vec::new();
    for &controller in wanted {
        let name = controller.name();
        let has = |membership: &&Membership| membership.controllers.iter().any(|word| word == name);
        let v1 = memberships.iter().find(has);
        let v2 = || memberships.iter().find(|membership| membership.hierarchy == 0);
        let not_mounted = CgroupError::NotMounted { controller: name };
        let Some(membership) = v1.or_else(v2) else { return Err(not_mounted) };
        if let Some((_, tree)) = found.iter_mut().find(|(hierarchy, _)| *hierarchy == membership.hierarchy) {
            tree.controllers.push(controller);
            continue;
        }
        let version = if v1.is_some() { Version::V1 } else { Version::V2 };
        let of_tree = |mounted: &&Mounted| {
            mounted.version == version
                && (version == Version::V2 || mounted.options.iter().any(|option| option == name))
        };
        let mounted: Vec<&Mounted> = mounts.iter().filter(of_tree).collect();
        let within = mounted.iter().find_map(|m| Some((*m, below(&membership.path, &m.root)?)));
        let (mounted, own) = match (within, mounted.first()) {
            (Some((mounted, own)), _) => (mounted, Some(own)),
            (None, Some(mounted)) => (*mounted, None),
            (None, None) => return Err(not_mounted),
        };
        let (point, path) = (mounted.point.clone(), membership.path.clone());
        let tree = Tree { version, controllers: vec![controller], point, own, path };
        found.push((membership.hierarchy, tree));
    }
    Ok(found.into_iter().map(|(_, tree)| tree).collect())
}

/// The part of a group's path below the group that is mounted; none if it leads out of a control group
/// namespace (`/..`).
fn below(path: &Path, root: &Path) -> Option<PathBuf> {
    let up = |path: &Path| path.components().any(|part| part == std::path::Component::ParentDir);
    if up(path) || up(root) {
        return None;
    }
    path.strip_prefix(root).ok().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const WANTED: [Controller; 3] = [Controller::Memory, Controller::Cpu, Controller::Cpuacct];

    fn found(own: &str, mounts: &str) -> Result<Vec<Tree>, CgroupError> {
        trees(&parse::memberships(own.as_bytes()), &parse::mounts(mounts.as_bytes()), &WANTED)
    }

    #[test]
    fn v1_has_a_tree_for_each_controller_or_for_some_together() {
        let mounts =
            "1 0 0:1 / /cg/memory rw - cgroup c rw,memory\n2 0 0:2 / /cg/cpu rw - cgroup c rw,cpu,cpuacct\n";
        let trees = found("4:memory:/a/b\n3:cpuacct,cpu:/\n0::/x\n", mounts).expect("trees");
        assert_eq!(trees.len(), 2);
        assert_eq!((trees[0].point.to_str(), trees[0].own.clone()), (Some("/cg/memory"), Some("a/b".into())));
        assert_eq!(trees[1].controllers, [Controller::Cpu, Controller::Cpuacct]);
        assert_eq!(trees[1].own, Some("".into()));
    }

    #[test]
    fn v2_has_one_tree_and_takes_what_no_v1_tree_has() {
        let v2 = "1 0 0:1 / /cg rw - cgroup2 c rw\n";
        let trees = found("0::/user.slice/a\n", v2).expect("trees");
        assert_eq!((trees.len(), trees[0].version), (1, Version::V2));
        assert_eq!((trees[0].controllers.len(), trees[0].own.clone()), (3, Some("user.slice/a".into())));
        let mounts = format!("2 0 0:2 / /m rw - cgroup c rw,memory\n{v2}");
        let trees = found("4:memory:/\n0::/y\n", &mounts).expect("trees");
        assert_eq!(trees.iter().map(|t| t.version).collect::<Vec<_>>(), [Version::V1, Version::V2]);
    }

    #[test]
    fn in_a_container_the_mounted_part_may_start_below_the_root() {
        let mounts = "1 0 0:1 /docker/1 /cg rw - cgroup2 c rw\n";
        assert_eq!(found("0::/docker/1/x\n", mounts).expect("trees")[0].own, Some("x".into()));
        for outside in ["0::/\n", "0::/../y\n", "0::/docker/12\n"] {
            assert_eq!(found(outside, mounts).expect("trees")[0].own, None, "{outside}");
        }
    }

    #[test]
    fn what_is_not_mounted_is_an_error_that_names_the_controller() {
        for (own, mounts) in
            [("", ""), ("4:memory:/\n", ""), ("0::/\n", "1 0 0:1 / /m rw - cgroup c rw,memory\n")]
        {
            let error = found(own, mounts).expect_err(own);
            assert!(matches!(error, CgroupError::NotMounted { controller: "memory" }), "{own}: {error}");
        }
    }
}
