//! Which paths of the host the task can write to, and whether others can reach what it makes there.

use std::path::Path;

use super::places::Places;
use super::view::RootBase;
use crate::host::{FileKind, Files};
use crate::plan::model::{Base, Node, Root};
use crate::plan::show::note::Exposed;

/// Anybody but the owner may go through.
const SEARCH_OF_OTHERS: u32 = 0o011;

/// A path of the host that the task can write to and that other users may reach: a set-user-ID file or one
/// with capabilities would be theirs to execute there. `None` where there is no such path: what is written is
/// thrown away, or lies below a directory that only the caller or root can pass.
pub(crate) fn exposed(
    root: &Root,
    root_base: &RootBase,
    nodes: &Places<Node>,
    caller: u32,
    files: &dyn Files,
) -> Option<Exposed> {
    let mut writable: Vec<&Path> = Vec::new();
    if let (Base::Directory(_), RootBase::Directory { path, .. }, false) =
        (&root.base, root_base, root.readonly)
    {
        writable.push(path);
    }
    writable.extend(nodes.values().filter_map(|node| match node {
        Node::Bind(bind) if !bind.readonly => Some(bind.source.host_path()),
        _ => None,
    }));
    let open = writable.iter().find(|path| !closed(path, &writable, caller, files));
    open.map(|path| Exposed::Path(path.to_path_buf()))
}

/// Whether a directory above `path` lets only the caller and root through, and is out of the task's own
/// reach. One that cannot be looked at does not count.
fn closed(path: &Path, writable: &[&Path], caller: u32, files: &dyn Files) -> bool {
    let above = path.ancestors().skip(1);
    let mut out_of_reach = above.filter(|above| !writable.iter().any(|own| above.starts_with(own)));
    out_of_reach.any(|above| {
        files.lstat(above).is_ok_and(|stat| {
            let owned = stat.uid == caller || stat.uid == 0;
            stat.kind == FileKind::Directory && owned && stat.mode & SEARCH_OF_OTHERS == 0
        })
    })
}
