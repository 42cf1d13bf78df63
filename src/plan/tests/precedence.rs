//! The most specific destination wins: against a naive model.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::fixtures::*;
use crate::host::MemoryFiles;
use crate::plan::{Node, Plan, resolve};
use crate::profile::{Mount, Profile};

const SOURCES: usize = 4;

/// `/src/N`, each with all of `a` and `b`, three deep, so that mount points exist wherever they are asked
/// for.
fn host() -> MemoryFiles {
    let mut files = files();
    for source in 0..SOURCES {
        for path in ["a/a/a", "a/a/b", "a/b/a", "a/b/b", "b/a/a", "b/a/b", "b/b/a", "b/b/b"] {
            files = files.directory(format!("/src/{source}/{path}"));
        }
    }
    files
}

/// What a process finds at a path after init has gone through the nodes: the last mount that covers it.
fn seen(plan: &Plan, path: &Path) -> Option<(PathBuf, bool)> {
    let nodes = &plan.walls.root.as_ref().unwrap().nodes;
    nodes.iter().rev().find_map(|node| match node {
        (at, Node::Bind(bind)) if path.starts_with(text(at)) => {
            Some((text(&bind.source.path), bind.readonly))
        }
        _ => None,
    })
}

/// The same by the rule: the longest destination that is a prefix; the last one of the list among equals.
fn model(mounts: &[(String, usize, bool)], path: &Path) -> Option<(PathBuf, bool)> {
    let mut best: Option<&(String, usize, bool)> = None;
    for mount in mounts.iter().filter(|mount| path.starts_with(&mount.0)) {
        if best.is_none_or(|best| mount.0.len() >= best.0.len()) {
            best = Some(mount);
        }
    }
    best.map(|(_, source, readonly)| (PathBuf::from(format!("/src/{source}")), *readonly))
}

fn profile_of(mounts: &[(String, usize, bool)]) -> Profile {
    let binds = mounts.iter().map(|(to, source, ro)| bind(&format!("/src/{source}"), to, *ro));
    with(binds.collect::<Vec<Mount>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn longest_destination_wins(
        mounts in proptest::collection::vec(("/m(/[ab]){0,3}", 0..SOURCES, any::<bool>()), 0..8),
        paths in proptest::collection::vec("/m(/[ab]){0,5}", 8),
    ) {
        let plan = resolve(&profile_of(&mounts), &facts(), &host(), &crate::plan::Call::program(["sh"])).unwrap();
        for path in paths {
            prop_assert_eq!(seen(&plan, Path::new(&path)), model(&mounts, Path::new(&path)), "{}", path);
        }
    }

    #[test]
    fn the_order_of_the_list_plays_no_part(
        (mounts, shuffled) in proptest::collection::btree_map("/m(/[ab]){0,3}", (0..SOURCES, any::<bool>()), 0..8)
            .prop_map(|map| map.into_iter().map(|(to, (source, ro))| (to, source, ro)).collect::<Vec<_>>())
            .prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
    ) {
        let plan = |mounts| resolve(&profile_of(mounts), &facts(), &host(), &crate::plan::Call::program(["sh"])).unwrap();
        prop_assert_eq!(plan(&mounts).hash().unwrap(), plan(&shuffled).hash().unwrap());
    }

    #[test]
    fn parents_come_first(mounts in proptest::collection::vec(("/m(/[ab]){0,3}", 0..SOURCES, any::<bool>()), 0..8)) {
        let plan = resolve(&profile_of(&mounts), &facts(), &host(), &crate::plan::Call::program(["sh"])).unwrap();
        let paths: Vec<PathBuf> = plan.walls.root.unwrap().nodes.iter().map(node_path).collect();
        for (i, path) in paths.iter().enumerate() {
            prop_assert!(!paths[..i].iter().any(|earlier| earlier.starts_with(path)), "{:?}", path);
        }
    }
}
