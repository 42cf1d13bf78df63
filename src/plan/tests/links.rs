//! Destinations in a root directory that is full of symlinks: against a model that walks the files as the
//! kernel will.

use std::ffi::{CString, OsString};
use std::path::{Component, Path, PathBuf};

use proptest::prelude::*;

use super::fixtures::*;
use crate::host::{FileKind, Files, MemoryFiles};
use crate::plan::error::DestinationProblem;
use crate::plan::{Call, Node, Plan, PlanError, resolve};
use crate::profile::{Mount, Profile, Root};

const SOURCES: usize = 3;
const JAR: &str = "/jar";
/// What a place of the root directory holds; the first ones are directories.
const LINKS: [Option<&str>; 12] = [
    None,
    None,
    None,
    Some("a"),
    Some("b"),
    Some("../a"),
    Some("../../b"),
    Some("/m/a"),
    Some("/m/b/a"),
    Some("/"),
    Some("/etc/../m"),
    Some("nowhere"),
];

/// `/jar/m` with `a` and `b` in every directory, three deep; `choices` says which of them are symlinks.
fn host(choices: &[usize]) -> MemoryFiles {
    // What an overlay can copy.
    fn own(files: MemoryFiles, path: &Path) -> MemoryFiles {
        files.directory(path).owned(path, 1000, 1000, 0o755)
    }
    fn fill(
        mut files: MemoryFiles,
        path: &Path,
        depth: usize,
        choices: &mut dyn Iterator<Item = usize>,
    ) -> MemoryFiles {
        for name in ["a", "b"] {
            let path = path.join(name);
            match LINKS[choices.next().unwrap_or(0) % LINKS.len()] {
                Some(target) => files = files.symlink(&path, target),
                None if depth == 1 => files = own(files, &path),
                None => files = fill(own(files, &path), &path, depth - 1, choices),
            }
        }
        files
    }
    let mut files = own(files(), Path::new("/jar/etc"));
    for source in 0..SOURCES {
        for path in ["a/a", "a/b", "b/a", "b/b"] {
            files = files.directory(format!("/src/{source}/{path}"));
        }
    }
    fill(own(files, Path::new("/jar/m")), Path::new("/jar/m"), 3, &mut choices.iter().copied())
}

#[derive(Debug, PartialEq)]
enum Seen {
    Missing,
    Directory,
    Symlink(PathBuf),
    Other,
}

/// What is at a path without symlinks above it, after init has gone through some nodes.
fn look(nodes: &[(CString, Node)], files: &MemoryFiles, path: &Path) -> Seen {
    let on_host = |base: &Path, rest: &Path| {
        let host = base.join(rest.strip_prefix("/").unwrap_or(rest));
        match files.lstat(&host) {
            Err(_) => Seen::Missing,
            Ok(stat) => match stat.kind {
                FileKind::Directory => Seen::Directory,
                FileKind::Symlink => Seen::Symlink(files.readlink(&host).unwrap()),
                _ => Seen::Other,
            },
        }
    };
    for node in nodes.iter().rev() {
        let at = node_path(node);
        match &node.1 {
            Node::Bind(bind) if path.starts_with(&at) => {
                return on_host(&text(&bind.source.path), path.strip_prefix(&at).unwrap());
            }
            Node::Device(_) | Node::Filesystem(_) if path == at => return Seen::Directory,
            Node::Device(_) | Node::Filesystem(_) if path.starts_with(&at) => return Seen::Missing,
            Node::Directory { .. } if path == at => return Seen::Directory,
            Node::Symlink { target, .. } if path == at => return Seen::Symlink(text(target)),
            Node::File { .. } if path == at => return Seen::Other,
            _ => {}
        }
    }
    on_host(Path::new(JAR), path)
}

/// Where a path leads inside, as path_resolution(7) has it; `None` where it leads nowhere.
fn walk(nodes: &[(CString, Node)], files: &MemoryFiles, path: &Path) -> Option<PathBuf> {
    let reversed = |path: &Path| -> Vec<OsString> {
        let parts = path.components().filter(|c| !matches!(c, Component::RootDir | Component::CurDir));
        let mut parts: Vec<_> = parts.map(|c| c.as_os_str().to_owned()).collect();
        parts.reverse();
        parts
    };
    let (mut todo, mut at, mut links) = (reversed(path), PathBuf::from("/"), 0);
    while let Some(part) = todo.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        match look(nodes, files, &at.join(&part)) {
            Seen::Symlink(target) => {
                links += 1;
                if links > 40 {
                    return None;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                todo.extend(reversed(&target));
            }
            Seen::Directory => at.push(part),
            Seen::Missing | Seen::Other => return None,
        }
    }
    Some(at)
}

fn profile_of(mounts: &[(String, usize, bool)]) -> Profile {
    let binds = mounts.iter().map(|(to, source, ro)| bind(&format!("/src/{source}"), to, *ro));
    let tools =
        [bind("/usr", "/usr", true), bind("/usr/bin", "/bin", true), bind("/usr/lib64", "/lib64", true)];
    let root = Root { path: Some(JAR.into()), overlay: true, synthetic_etc: false, ..profile().root };
    Profile { root, mounts: tools.into_iter().chain(binds).collect::<Vec<Mount>>(), ..profile() }
}

fn made(choices: &[usize], mounts: &[(String, usize, bool)]) -> (Result<Plan, PlanError>, MemoryFiles) {
    let files = host(choices);
    (resolve(&profile_of(mounts), &facts(), &files, &Call::program(["sh"])), files)
}

fn mounts() -> impl Strategy<Value = Vec<(String, usize, bool)>> {
    proptest::collection::vec(("/m(/[ab]){1,4}", 0..SOURCES, any::<bool>()), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// init opens every place with `RESOLVE_NO_SYMLINKS`: a plan never makes it meet one.
    #[test]
    fn no_place_of_a_plan_is_behind_a_symlink(
        choices in proptest::collection::vec(0..LINKS.len(), 14), mounts in mounts(),
    ) {
        let (Ok(plan), files) = made(&choices, &mounts) else { return Ok(()) };
        let nodes = &plan.walls.root.as_ref().unwrap().nodes;
        for (i, node) in nodes.iter().enumerate() {
            let path = node_path(node);
            for above in path.ancestors().skip(1) {
                let seen = look(&nodes[..i], &files, above);
                prop_assert!(matches!(seen, Seen::Directory | Seen::Missing), "{node:?}: {above:?} is {seen:?}");
            }
            let here = look(&nodes[..i], &files, &path);
            prop_assert!(!matches!(here, Seen::Symlink(_)), "{node:?} is over {here:?}");
        }
    }

    /// What is asked for at a path is what the path shows in the end, through any symlinks; of
    /// several for the very same path the last one.
    #[test]
    fn a_destination_shows_what_was_asked_for_there(
        choices in proptest::collection::vec(0..LINKS.len(), 14), mounts in mounts(),
    ) {
        let (Ok(plan), files) = made(&choices, &mounts) else { return Ok(()) };
        let nodes = &plan.walls.root.as_ref().unwrap().nodes;
        for (to, ..) in &mounts {
            let place = walk(nodes, &files, Path::new(to));
            prop_assert!(place.is_some(), "{to} leads nowhere");
            let (_, source, readonly) = mounts.iter().rev().find(|(other, ..)| other == to).unwrap();
            let found = bound(&plan, place.unwrap().to_str().unwrap());
            let found = found.map(|(source, readonly)| (text(&source.path), readonly));
            prop_assert_eq!(found, Some((PathBuf::from(format!("/src/{source}")), *readonly)), "{}", to);
        }
    }
}

#[test]
fn mounts_that_symlinks_would_hide_are_refused() {
    let mounts = |list: &[(&str, usize)]| -> Vec<_> {
        list.iter().map(|(to, n)| ((*to).to_owned(), *n, true)).collect()
    };
    // `/m/b -> a`.
    let choices = [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0];
    for list in [[("/m/a", 0), ("/m/b", 1)], [("/m/b", 0), ("/m/a", 1)]] {
        match made(&choices, &mounts(&list)).0 {
            Err(PlanError::Destination { path, problem: DestinationProblem::Taken }) => {
                assert_eq!(path, Path::new("/m/b"));
            }
            other => panic!("{other:?}"),
        }
    }
    // `/m/a -> /etc/../m`
    let mut above = choices;
    above[0] = 10;
    match made(&above, &mounts(&[("/m/a", 0)])).0 {
        Err(PlanError::Destination { problem: DestinationProblem::Hidden, .. }) => {}
        other => panic!("{other:?}"),
    }
    // The very same path twice is the list's own way to replace one.
    assert!(made(&choices, &mounts(&[("/m/b", 0), ("/m/b", 1)])).0.is_ok());
}

/// The two properties above are about enough plans, and about enough symlinks.
#[test]
fn most_plans_can_be_made_and_many_go_through_symlinks() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = (proptest::collection::vec(0..LINKS.len(), 14), mounts());
    let (mut plans, mut through) = (0, 0);
    for _ in 0..300 {
        let (choices, mounts) = strategy.new_tree(&mut runner).unwrap().current();
        match made(&choices, &mounts) {
            (Ok(plan), files) => {
                plans += 1;
                let nodes = &plan.walls.root.as_ref().unwrap().nodes;
                let moved =
                    |to: &str| walk(nodes, &files, Path::new(to)).is_some_and(|at| at != Path::new(to));
                through += usize::from(mounts.iter().any(|(to, ..)| moved(to)));
            }
            (Err(error), _) => assert!(
                matches!(
                    error,
                    PlanError::Destination { .. } | PlanError::MountPoint { .. } | PlanError::Mismatch { .. }
                ),
                "{error:?}"
            ),
        }
    }
    println!("{plans} plans of 300, {through} of them through symlinks");
    assert!(plans > 60 && through > 20, "{plans} plans, {through} through symlinks");
}
