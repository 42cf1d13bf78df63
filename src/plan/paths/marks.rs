//! Masked and read-only paths: marks that are made last, over everything.

use std::path::{Path, PathBuf};

use super::candidate::{Candidate, Rank};
use super::convert::normal;
use super::mounts::MAX_MOUNTS;
use super::places::Places;
use crate::host::plain::PlainPathBuf;
use crate::plan::error::PlanError;
use crate::plan::model::{Node, Presence};

/// A masked or read-only path.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub path: PlainPathBuf,
    pub masked: bool,
    pub presence: Presence,
}

impl Mark {
    pub fn node(&self) -> Node {
        let presence = self.presence;
        if self.masked { Node::Mask { presence } } else { Node::Readonly { presence } }
    }
}

/// A list of paths, normalised, each once.
pub(crate) fn paths(key: &'static str, list: &[PathBuf]) -> Result<Vec<PlainPathBuf>, PlanError> {
    if list.len() > MAX_MOUNTS {
        return Err(PlanError::TooMany { what: key, count: list.len(), limit: MAX_MOUNTS });
    }
    let mut out = Vec::new();
    for path in list {
        match normal(path) {
            Ok(path) if path == Path::new("/") => {
                let problem = "the root itself cannot be masked; root.readonly makes it read-only";
                return Err(PlanError::Value { key, value: "/".to_owned(), problem });
            }
            Ok(path) => out.push(path.into()),
            Err(_) => return Err(PlanError::Path { key, path: path.clone() }),
        }
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// Masks and read-only marks are applied last, over everything: a mount that one would hide, or a writable
/// one that would stop being so, is a contradiction.
pub(crate) fn contradictions(
    nodes: &Places<Node>,
    candidates: &[Candidate],
    masked: &[PlainPathBuf],
    readonly: &[PlainPathBuf],
) -> Result<(), PlanError> {
    for (path, node) in nodes.iter() {
        let writable = match node {
            Node::Bind(bind) => !bind.readonly,
            Node::Filesystem(new) => new.limits.is_some() && !new.is_readonly(),
            _ => false,
        };
        let lists = [("maskedPaths", masked, true), ("readonlyPaths", readonly, writable)];
        for (key, list, matters) in lists {
            let Some(mark) = list.iter().find(|mark| matters && path.is_in(mark.plain())) else { continue };
            if candidates.iter().any(|c| c.rank == Rank::Mount && c.node == *node) {
                let (destination, path) = (path.path().to_owned(), mark.path().to_owned());
                return Err(PlanError::Contradiction { destination, key, path });
            }
        }
    }
    Ok(())
}
