//! Paths in the forms in which people, the plan and the kernel have them.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::host::plain::PlainPath;
use crate::plan::error::{DestinationProblem, PlanError};

/// A path as the kernel takes it.
pub(crate) fn c_path(path: &Path) -> Result<CString, PlanError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| PlanError::Destination { path: path.to_owned(), problem: DestinationProblem::Nul })
}

/// A path that the kernel takes, as a path.
pub(crate) fn path_of(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

/// An absolute path without `.`, `..` and doubled slashes; what is wrong with it otherwise.
pub(crate) fn normal(path: &Path) -> Result<PathBuf, DestinationProblem> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(DestinationProblem::Nul);
    }
    if PlainPath::new(path).is_some() {
        return Ok(path.to_owned());
    }
    if !path.is_absolute() {
        return Err(DestinationProblem::Relative);
    }
    if path.components().any(|c| c == Component::ParentDir) {
        return Err(DestinationProblem::Parent);
    }
    Ok(path.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises() {
        assert_eq!(normal(Path::new("//a/./b//")), Ok(PathBuf::from("/a/b")));
        assert_eq!(normal(Path::new("a")), Err(DestinationProblem::Relative));
        assert_eq!(normal(Path::new("/a/../b")), Err(DestinationProblem::Parent));
        assert_eq!(normal(Path::new("/a\0b")), Err(DestinationProblem::Nul));
    }
}
