//! Where everything goes: the rules of precedence, applied. They are written down in [`super`].

use std::collections::BTreeSet;
use std::path::Path;

use super::candidate::{Candidate, Rank};
use super::places::{Entry, Places};
use super::view::{Found, RootBase, Stop, View};
use crate::host::Files;
use crate::host::plain::{PlainPath, PlainPathBuf};
use crate::plan::error::{DestinationProblem, PlanError};
use crate::plan::model::Node;

/// Rounds until mounts and symlinks have settled; two are the rule.
const ROUNDS: usize = 16;
/// Where new file systems may be in `/dev`.
const BELOW_DEV: [(&str, &str); 4] =
    [("tmpfs", "/dev"), ("tmpfs", "/dev/shm"), ("mqueue", "/dev/mqueue"), ("devpts", "/dev/pts")];

/// Gives every candidate its place, and makes the directories that lead there.
pub(crate) fn place(
    candidates: &[Candidate],
    root_base: &RootBase,
    files: &dyn Files,
) -> Result<Places<Node>, PlanError> {
    let mut as_link: Vec<bool> = candidates.iter().map(|c| c.link.is_some()).collect();
    let mut places: Vec<PlainPathBuf> = candidates.iter().map(|c| c.asked.clone()).collect();
    for _ in 0..ROUNDS {
        let (nodes, winners) = arrange(candidates, &places, &as_link);
        let mut changed = false;
        for (i, candidate) in candidates.iter().enumerate() {
            if candidate.rank == Rank::Synthetic {
                continue;
            }
            let view = View { files, root_base, nodes: &nodes, masked: &[], except: None };
            if as_link[i] && !link_holds(&view, candidate) {
                as_link[i] = false;
                changed = true;
            }
            let view = View { except: Some(places[i].plain()), ..view };
            let place = destination(&view, candidate.asked.plain())?;
            changed |= place != places[i];
            places[i] = place;
        }
        if !changed {
            let view = View { files, root_base, nodes: &nodes, masked: &[], except: None };
            settled(candidates, &places, &as_link, &view)?;
            for (&i, entry) in winners.iter().zip(nodes.entries()) {
                check(&candidates[i], &entry, &view)?;
            }
            return with_parents(nodes, root_base, files);
        }
    }
    // Only mounts that move each other come here.
    let moved = candidates.iter().zip(&places).find(|(c, p)| c.asked != **p);
    let path = moved.map(|(c, _)| c.asked.path().to_owned()).unwrap_or_default();
    Err(PlanError::Destination { path, problem: DestinationProblem::Loop })
}

/// Symlinks of a root directory may lead two mounts to one place, where either would hide the other without a
/// word, or a mount to a place above its own path, where another path than the one that was asked for would
/// show it.
fn settled(
    candidates: &[Candidate],
    places: &[PlainPathBuf],
    as_link: &[bool],
    view: &View<'_>,
) -> Result<(), PlanError> {
    let mut taken = BTreeSet::new();
    for ((candidate, place), as_link) in candidates.iter().zip(places).zip(as_link) {
        if candidate.rank != Rank::Mount {
            continue;
        }
        let wrong = |problem| PlanError::Destination { path: candidate.asked.path().to_owned(), problem };
        if !taken.insert(place) {
            return Err(wrong(DestinationProblem::Taken));
        }
        if !as_link && view.resolve(candidate.asked.path()).map_or(true, |shown| shown.path != *place) {
            return Err(wrong(DestinationProblem::Hidden));
        }
    }
    Ok(())
}

/// The nodes by place, and which candidates they come from.
fn arrange(
    candidates: &[Candidate],
    places: &[PlainPathBuf],
    as_link: &[bool],
) -> (Places<Node>, Vec<usize>) {
    let mut winners: Vec<usize> = (0..candidates.len()).collect();
    // Of those at one place the winner is the last.
    winners.sort_by_key(|&i| (places[i].plain(), candidates[i].rank));
    winners.dedup_by(|next, last| {
        let same = places[*next] == places[*last];
        if same {
            *last = *next;
        }
        same
    });
    let covered = |path: PlainPath<'_>| {
        path.ancestors().any(|at| {
            let winner = winners.binary_search_by_key(&at, |&i| places[i].plain());
            winner.is_ok_and(|winner| candidates[winners[winner]].rank == Rank::Mount)
        })
    };
    let kept = |&i: &usize| candidates[i].rank != Rank::Synthetic || !covered(places[i].plain());
    let kept: Vec<usize> = winners.iter().copied().filter(kept).collect();
    let node = |i: usize| match &candidates[i].link {
        Some(link) if as_link[i] => Node::Symlink { target: link.clone() },
        _ => candidates[i].node.clone(),
    };
    (kept.iter().map(|&i| (places[i].clone(), node(i))).collect(), kept)
}

/// Whether a source's symlink, kept inside, leads to the very file that it leads to outside, seen with the
/// same rights.
fn link_holds(view: &View<'_>, candidate: &Candidate) -> bool {
    let Node::Bind(bind) = &candidate.node else { return false };
    match view.resolve(candidate.asked.path()).map(|resolved| resolved.found) {
        Ok(Found::Directory(Some(file)) | Found::File(file)) => {
            file.path == bind.source.host_path()
                && file.readonly == bind.readonly
                && file.noexec == bind.noexec
                && file.owner == bind.source.mapped()
        }
        _ => false,
    }
}

/// Where a destination leads, inside.
fn destination(view: &View<'_>, asked: PlainPath<'_>) -> Result<PlainPathBuf, PlanError> {
    let resolved = view.resolve(asked.path()).map_err(|stop| stopped(stop, asked))?;
    let path = resolved.path.plain();
    let wrong = |problem| Err(PlanError::Destination { path: asked.path().to_owned(), problem });
    // A root directory's own symlink must not move what belongs at /proc and /dev (CVE-2026-41579,
    // CVE-2025-52881).
    for (top, problem) in
        [(PlainPath::PROC, DestinationProblem::Proc), (PlainPath::DEV, DestinationProblem::Dev)]
    {
        if path != asked && (asked.is_in(top) || path.is_in(top)) {
            return wrong(problem);
        }
    }
    if path.is_root() {
        return wrong(DestinationProblem::Root);
    }
    Ok(resolved.path)
}

/// A destination that does not resolve.
pub(crate) fn stopped(stop: Stop, asked: PlainPath<'_>) -> PlanError {
    let path = asked.path().to_owned();
    let problem = match stop {
        Stop::NotADirectory => DestinationProblem::NotADirectory,
        Stop::Loop => DestinationProblem::Loop,
        Stop::Parent => DestinationProblem::Parent,
        Stop::Unknown => DestinationProblem::Unknown,
        Stop::Host { path, source } => return PlanError::Read { path, source },
    };
    PlanError::Destination { path, problem }
}

/// Whether a candidate may be where it is: `/proc` and `/dev` are for what belongs there, and a mount point
/// must be there already wherever the host's own files show.
fn check(candidate: &Candidate, entry: &Entry<'_, Node>, view: &View<'_>) -> Result<(), PlanError> {
    let Entry { path: place, value: node, above, has_below } = *entry;
    let asked = candidate.asked.plain();
    let wrong = |problem| Err(PlanError::Destination { path: asked.path().to_owned(), problem });
    let mismatch = || {
        let path = candidate.label();
        Err(PlanError::Mismatch { path, destination: asked.path().to_owned() })
    };
    if let Some(problem) = misplaced(candidate, place, node) {
        return wrong(problem);
    }
    if !node.is_directory() && has_below {
        return mismatch();
    }
    match view.look_in(above, place).map_err(|stop| stopped(stop, asked))? {
        Found::Missing => makeable(above, place, asked),
        Found::Directory(_) if !node.is_directory() => mismatch(),
        Found::File(_) | Found::Made(_) if node.is_directory() => mismatch(),
        Found::Directory(_) | Found::File(_) | Found::Made(_) => Ok(()),
        Found::Symlink(_) if matches!(node, Node::Symlink { .. }) => Ok(()),
        Found::Symlink(_) => mismatch(),
        Found::Unknown => wrong(DestinationProblem::Unknown),
    }
}

/// Whether it is at or below `/proc` or `/dev` and does not belong there, or is a procfs elsewhere.
fn misplaced(candidate: &Candidate, place: PlainPath<'_>, node: &Node) -> Option<DestinationProblem> {
    let is_proc = node.is_filesystem("proc");
    if place.is_in(PlainPath::PROC) != is_proc || (is_proc && place != PlainPath::PROC) {
        return Some(DestinationProblem::Proc);
    }
    let belongs = match node {
        Node::Device(_) => true,
        Node::Filesystem(filesystem) => {
            BELOW_DEV.iter().any(|(name, at)| filesystem.is(name) && place.path() == Path::new(at))
        }
        _ => candidate.rank == Rank::Device,
    };
    (place.is_in(PlainPath::DEV) && !belongs).then_some(DestinationProblem::Dev)
}

/// Whether something missing can be made: on the sandbox's own file systems and in its root directory, never
/// in a directory of the host that is merely shown.
fn makeable(
    cover: Option<(PlainPath<'_>, &Node)>,
    path: PlainPath<'_>,
    asked: PlainPath<'_>,
) -> Result<(), PlanError> {
    match cover {
        Some((at, Node::Bind(bind))) => {
            let host = bind.source.host_path().join(path.rest(at).unwrap_or(path.path()));
            Err(PlanError::MountPoint { destination: asked.path().to_owned(), host })
        }
        _ => Ok(()),
    }
}

/// Adds the directories that lead to the nodes, mode 0755, where nothing else provides them.
fn with_parents(
    mut nodes: Places<Node>,
    root_base: &RootBase,
    files: &dyn Files,
) -> Result<Places<Node>, PlanError> {
    let view = View { files, root_base, nodes: &nodes, masked: &[], except: None };
    let mut directories: Vec<PlainPathBuf> = Vec::new();
    let mut last = PlainPath::ROOT;
    for (path, _) in nodes.iter() {
        // Those that lead to the one before, too, were there or were made for it.
        let new = path.ancestors().skip(1).take_while(move |at| !last.is_in(*at));
        last = path;
        for parent in new {
            let cover = view.cover(parent);
            match view.look_in(cover, parent).map_err(|stop| stopped(stop, path))? {
                Found::Directory(_) => {}
                Found::Missing => {
                    makeable(cover, parent, path)?;
                    directories.push(parent.to_buf());
                }
                _ => {
                    let problem = DestinationProblem::NotADirectory;
                    return Err(PlanError::Destination { path: path.path().to_owned(), problem });
                }
            }
        }
    }
    nodes.extend(directories.into_iter().map(|path| (path, Node::Directory { mode: 0o755 })));
    Ok(nodes)
}
