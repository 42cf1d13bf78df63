//! The root: what it is, and what is in it.

use std::ffi::CString;

use serde::{Deserialize, Serialize};

use super::node::{Node, Tmpfs};
use super::source::Source;

/// The root and its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Root {
    /// What the root itself is.
    pub base: Base,
    /// Whether the root mount is made read-only in the end.
    pub readonly: bool,
    /// What is made in it, each at its absolute path inside: parents before children, later ones over earlier
    /// ones.
    pub nodes: Vec<(CString, Node)>,
}

/// What the root itself is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Base {
    /// An empty tmpfs.
    Tmpfs(Tmpfs),
    /// A directory of the host.
    Directory(Source),
    /// A directory of the host below a tmpfs that takes the writes.
    Overlay {
        /// The directory.
        lower: Source,
        /// What holds the writes.
        upper: Tmpfs,
    },
}
