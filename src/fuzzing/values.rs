//! Values of options of the command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path};

use super::assert_tame;
use crate::cli::values;

/// `--bind`, `--ro-bind`, `--tmpfs`, `--env`, `--keep-fd`.
pub(super) fn mount_spec(bytes: &[u8]) -> bool {
    // The kernel hands over no argument with a NUL.
    if bytes.contains(&0) {
        return false;
    }
    let value = OsString::from_vec(bytes.to_vec());
    let mut accepted = false;
    match values::bind(value.clone()) {
        Ok(bind) => {
            accepted = true;
            assert!(!bind.source.as_os_str().is_empty());
            let mut text = escaped(bind.source.as_os_str());
            if let Some(destination) = &bind.destination {
                inside(destination);
                text.push(":");
                text.push(escaped(destination.as_os_str()));
            }
            assert_eq!(values::bind(text), Ok(bind));
        }
        Err(error) => assert_tame(&crate::error_chain(&error)),
    }
    match values::tmpfs(value.clone()) {
        Ok(tmpfs) => {
            accepted = true;
            inside(&tmpfs.destination);
            let mut text = escaped(tmpfs.destination.as_os_str());
            if let Some(size) = tmpfs.size {
                assert!(size > 0);
                text.push(format!(":{size}B"));
            }
            assert_eq!(values::tmpfs(text), Ok(tmpfs));
        }
        Err(error) => assert_tame(&crate::error_chain(&error)),
    }
    match values::variable(value.clone()) {
        Ok(variable) => {
            assert!(!variable.name.is_empty() && !variable.name.as_bytes().contains(&b'='));
            let mut text = variable.name;
            if let Some(set) = variable.value {
                text.push("=");
                text.push(set);
            }
            assert_eq!(text, value);
        }
        Err(error) => assert_tame(&crate::error_chain(&error)),
    }
    if let Some(text) = value.to_str() {
        match values::descriptor(text) {
            Ok(number) => assert!(number > 2),
            Err(error) => assert_tame(&crate::error_chain(&error)),
        }
    }
    accepted
}

/// A path inside is absolute, not the root, and has no part that is not a name.
fn inside(path: &Path) {
    let mut parts = path.components();
    assert_eq!(parts.next(), Some(Component::RootDir));
    let names = parts.map(|part| assert!(matches!(part, Component::Normal(_)), "{path:?}")).count();
    assert!(names > 0 && !path.as_os_str().as_bytes().ends_with(b"/"), "{path:?}");
}

/// A path as a field of an option.
fn escaped(path: &OsStr) -> OsString {
    let escape = |&byte: &u8| if matches!(byte, b':' | b'\\') { vec![b'\\', byte] } else { vec![byte] };
    OsString::from_vec(path.as_bytes().iter().flat_map(escape).collect())
}
