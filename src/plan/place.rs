//! Where everything goes: the rules of precedence, applied. They are written down in [`super`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::item::Item;
use super::view::{Found, Ground, Stop, View};
use super::{DestinationProblem, PlanError};
use crate::host::Files;

/// Rounds until mounts and symlinks have settled; two are the rule.
const ROUNDS: usize = 16;

/// Who asked for something: at the same path the later variant wins, whatever the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The synthetic `/etc`: gives way to any mount over it.
    Synthetic,
    /// The content of the minimal `/dev`.
    Device,
    /// A mount of the profile or the call.
    Mount,
}

/// Something that wants a place.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Where, as it was asked for, normalised.
    pub asked: PathBuf,
    pub item: Item,
    pub rank: Rank,
    /// The text of the symlink at its source, where it may stay a symlink.
    pub link: Option<PathBuf>,
}

/// Gives every candidate its place, and makes the folders that lead there.
pub(super) fn place(
    candidates: &[Candidate],
    ground: &Ground,
    files: &dyn Files,
) -> Result<BTreeMap<PathBuf, Item>, PlanError> {
    let mut as_link: Vec<bool> = candidates.iter().map(|c| c.link.is_some()).collect();
    let mut places: Vec<PathBuf> = candidates.iter().map(|c| c.asked.clone()).collect();
    for _ in 0..ROUNDS {
        let (items, winners) = arrange(candidates, &places, &as_link);
        let mut changed = false;
        for (i, candidate) in candidates.iter().enumerate() {
            if candidate.rank == Rank::Synthetic {
                continue;
            }
            let view = View { files, ground, items: &items, masked: &[], except: None };
            if as_link[i] && !link_holds(&view, candidate) {
                as_link[i] = false;
                changed = true;
            }
            let view = View { except: Some(&places[i]), ..view };
            let place = destination(&view, &candidate.asked)?;
            changed |= place != places[i];
            places[i] = place;
        }
        if !changed {
            let view = View { files, ground, items: &items, masked: &[], except: None };
            settled(candidates, &places, &as_link, &view)?;
            for &i in &winners {
                check(&candidates[i], &places[i], &items, ground, files)?;
            }
            return with_parents(items, ground, files);
        }
    }
    // Only mounts that move each other come here.
    let path = candidates.iter().zip(&places).find(|(c, p)| c.asked != **p).map(|(c, _)| c.asked.clone());
    Err(PlanError::Destination { path: path.unwrap_or_default(), problem: DestinationProblem::Loop })
}

/// Symlinks of a root folder may lead two mounts to one place, where either would hide the other without a word, or a mount
/// to a place above its own path, where another path than the one that was asked for would show it.
fn settled(
    candidates: &[Candidate],
    places: &[PathBuf],
    as_link: &[bool],
    view: &View<'_>,
) -> Result<(), PlanError> {
    let mut taken = BTreeSet::new();
    for ((candidate, place), as_link) in candidates.iter().zip(places).zip(as_link) {
        if candidate.rank != Rank::Mount {
            continue;
        }
        let wrong = |problem| PlanError::Destination { path: candidate.asked.clone(), problem };
        if !taken.insert(place) {
            return Err(wrong(DestinationProblem::Taken));
        }
        if !as_link && view.resolve(&candidate.asked).map_or(true, |shown| shown.path != *place) {
            return Err(wrong(DestinationProblem::Hidden));
        }
    }
    Ok(())
}

/// The items by place, and which candidates they come from.
fn arrange(
    candidates: &[Candidate],
    places: &[PathBuf],
    as_link: &[bool],
) -> (BTreeMap<PathBuf, Item>, Vec<usize>) {
    let mut winners: BTreeMap<&Path, usize> = BTreeMap::new();
    for (i, candidate) in candidates.iter().enumerate() {
        let winner = winners.entry(&places[i]).or_insert(i);
        if candidate.rank >= candidates[*winner].rank {
            *winner = i;
        }
    }
    let covered = |path: &Path| {
        path.ancestors().any(|at| winners.get(at).is_some_and(|&i| candidates[i].rank == Rank::Mount))
    };
    let kept: Vec<usize> = winners
        .iter()
        .filter(|&(path, &i)| candidates[i].rank != Rank::Synthetic || !covered(path))
        .map(|(_, &i)| i)
        .collect();
    let item = |i: usize| match &candidates[i].link {
        Some(link) if as_link[i] => Item::Symlink(link.clone()),
        _ => candidates[i].item.clone(),
    };
    (kept.iter().map(|&i| (places[i].clone(), item(i))).collect(), kept)
}

/// Whether a source's symlink, kept inside, leads to the very file that it leads to outside, seen with the same rights.
fn link_holds(view: &View<'_>, candidate: &Candidate) -> bool {
    let Item::Bind(bind) = &candidate.item else { return false };
    match view.resolve(&candidate.asked).map(|resolved| resolved.found) {
        Ok(Found::Folder(Some(file)) | Found::File(file)) => {
            file.path == bind.path
                && file.readonly == bind.readonly
                && file.noexec == bind.noexec
                && file.owner == bind.owner
        }
        _ => false,
    }
}

/// Where a destination leads, inside.
fn destination(view: &View<'_>, asked: &Path) -> Result<PathBuf, PlanError> {
    let resolved = view.resolve(asked).map_err(|stop| stopped(stop, asked))?;
    // A root folder's own symlink must not move what belongs at /proc and /dev (CVE-2026-41579, CVE-2025-52881).
    for (top, problem) in [("/proc", DestinationProblem::Proc), ("/dev", DestinationProblem::Dev)] {
        if resolved.path != asked && (asked.starts_with(top) || resolved.path.starts_with(top)) {
            return Err(PlanError::Destination { path: asked.to_owned(), problem });
        }
    }
    if resolved.path == Path::new("/") {
        return Err(PlanError::Destination { path: asked.to_owned(), problem: DestinationProblem::Root });
    }
    Ok(resolved.path)
}

/// A destination that does not resolve.
pub(super) fn stopped(stop: Stop, asked: &Path) -> PlanError {
    let path = asked.to_owned();
    let problem = match stop {
        Stop::NotAFolder => DestinationProblem::NotAFolder,
        Stop::Loop => DestinationProblem::Loop,
        Stop::Parent => DestinationProblem::Parent,
        Stop::Unknown => DestinationProblem::Unknown,
        Stop::Host { path, source } => return PlanError::Read { path, source },
    };
    PlanError::Destination { path, problem }
}

/// Whether a candidate may be where it is: `/proc` and `/dev` are for what belongs there, and a mount point must be there
/// already wherever the host's own files show.
fn check(
    candidate: &Candidate,
    place: &Path,
    items: &BTreeMap<PathBuf, Item>,
    ground: &Ground,
    files: &dyn Files,
) -> Result<(), PlanError> {
    let wrong = |problem| Err(PlanError::Destination { path: candidate.asked.clone(), problem });
    let mismatch = || {
        let path = candidate.item.label();
        Err(PlanError::Mismatch { path, destination: candidate.asked.clone() })
    };
    let item = &items[place];
    let is_proc = matches!(item, Item::Proc { .. });
    if place.starts_with("/proc") != is_proc || (is_proc && place != Path::new("/proc")) {
        return wrong(DestinationProblem::Proc);
    }
    let belongs = match item {
        Item::Device { .. } => true,
        Item::Tmpfs { .. } => place == Path::new("/dev") || place == Path::new("/dev/shm"),
        Item::Mqueue => place == Path::new("/dev/mqueue"),
        _ => candidate.rank == Rank::Device,
    };
    if place.starts_with("/dev") && !belongs {
        return wrong(DestinationProblem::Dev);
    }
    let view = View { files, ground, items, masked: &[], except: Some(place) };
    if !item.is_folder() && view.has_below(place) {
        return mismatch();
    }
    match view.look_behind(place).map_err(|stop| stopped(stop, &candidate.asked))? {
        Found::Missing => makeable(&view, place, &candidate.asked),
        Found::Folder(_) if !item.is_folder() => mismatch(),
        Found::File(_) | Found::Made if item.is_folder() => mismatch(),
        Found::Folder(_) | Found::File(_) | Found::Made => Ok(()),
        Found::Symlink(_) if matches!(item, Item::Symlink(_)) => Ok(()),
        Found::Symlink(_) => mismatch(),
        Found::Unknown => wrong(DestinationProblem::Unknown),
    }
}

/// Whether something missing can be made: on the sandbox's own file systems and in its root folder, never in a folder of
/// the host that is merely shown.
fn makeable(view: &View<'_>, path: &Path, asked: &Path) -> Result<(), PlanError> {
    match view.cover(path) {
        Some((at, Item::Bind(bind))) => {
            let host = bind.path.join(path.strip_prefix(at).unwrap_or(path));
            Err(PlanError::MountPoint { destination: asked.to_owned(), host })
        }
        _ => Ok(()),
    }
}

/// Adds the folders that lead to the items, mode 0755, where nothing else provides them.
fn with_parents(
    mut items: BTreeMap<PathBuf, Item>,
    ground: &Ground,
    files: &dyn Files,
) -> Result<BTreeMap<PathBuf, Item>, PlanError> {
    let mut folders = Vec::new();
    for path in items.keys() {
        for parent in path.ancestors().skip(1).filter(|p| *p != Path::new("/") && !items.contains_key(*p)) {
            let view = View { files, ground, items: &items, masked: &[], except: None };
            match view.look_behind(parent).map_err(|stop| stopped(stop, path))? {
                Found::Folder(_) => {}
                Found::Missing => {
                    makeable(&view, parent, path)?;
                    folders.push(parent.to_owned());
                }
                _ => {
                    let problem = DestinationProblem::NotAFolder;
                    return Err(PlanError::Destination { path: path.clone(), problem });
                }
            }
        }
    }
    items.extend(folders.into_iter().map(|path| (path, Item::Folder { mode: 0o755 })));
    Ok(items)
}
