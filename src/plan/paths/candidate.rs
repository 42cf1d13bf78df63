//! What is asked to be in the root, with what was found for it: the step between the profile's
//! [`Mount`](crate::profile::Mount) and the Plan's [`Node`].

use std::ffi::CString;
use std::path::PathBuf;

use crate::host::plain::PlainPathBuf;
use crate::plan::model::Node;

/// A node that has no place yet.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Where it was asked for, normalised. Symlinks inside may lead it elsewhere.
    pub asked: PlainPathBuf,
    pub node: Node,
    pub rank: Rank,
    /// The text of the symlink at its source, where it may stay a symlink.
    pub link: Option<CString>,
}

/// Who asked for it: at the same path the later variant wins. The order of the list plays no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The synthetic `/etc`: gives way to any mount over it.
    Synthetic,
    /// The content of the minimal `/dev`.
    Device,
    /// A mount of the profile or the call.
    Mount,
}

impl Candidate {
    pub fn new(asked: impl Into<PlainPathBuf>, node: Node, rank: Rank) -> Self {
        Self { asked: asked.into(), node, rank, link: None }
    }

    /// What errors call it.
    pub fn label(&self) -> PathBuf {
        let text = |text: &CString| PathBuf::from(text.to_string_lossy().into_owned());
        match &self.node {
            Node::Bind(bind) => bind.source.host_path().to_owned(),
            Node::Device(device) => text(&device.source),
            Node::Filesystem(filesystem) => text(&filesystem.fstype),
            Node::Symlink { target } => text(target),
            Node::File { .. } => PathBuf::from("file"),
            _ => PathBuf::from("directory"),
        }
    }
}
