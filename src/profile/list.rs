//! What there is: `belljar profile list` and `belljar profile show`.

use std::path::Path;

use super::builtin;
use super::find::{self, Found};
use super::{Profile, ProfileError, load};

/// A profile that a name can be given for.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it says it is for, or why it can not be loaded.
    pub description: Result<String, ProfileError>,
    /// Whether a built-in profile has the same name, which is the one that is used.
    pub shadowed: bool,
}

/// All profiles that have names: the built-in ones, the default first, then those in the user's directory.
///
/// # Errors
/// The user's directory is there, but can not be read, or can be written to by others.
pub fn list() -> Result<Vec<Listed>, ProfileError> {
    list_with(find::user_directory().as_deref())
}

fn list_with(directory: Option<&Path>) -> Result<Vec<Listed>, ProfileError> {
    let mut all: Vec<Listed> = Vec::new();
    for &name in builtin::NAMES {
        let found = find::find(name, None, None)?;
        all.push(describe(name, found, None));
    }
    if let Some(directory) = directory {
        for name in find::list(directory)? {
            let shadowed = builtin::find(&name).is_some();
            match find::read_named(directory, &name) {
                Ok(Some(found)) => all.push(Listed { shadowed, ..describe(&name, found, Some(directory)) }),
                // Gone since the directory was read.
                Ok(None) => {}
                Err(error) => all.push(Listed { name, description: Err(error), shadowed }),
            }
        }
    }
    Ok(all)
}

fn describe(name: &str, found: Found, directory: Option<&Path>) -> Listed {
    let description =
        load::build::<&str>(found, name, &[], directory).map(|(profile, _)| profile.description);
    Listed { name: name.to_owned(), description, shadowed: false }
}

/// A profile as it is written, and as it is meant.
#[derive(Debug)]
#[non_exhaustive]
pub struct Shown {
    /// The text that it was loaded from.
    pub source: String,
    /// What comes out.
    pub profile: Profile,
}

impl Shown {
    /// What comes out, as TOML.
    #[must_use]
    pub fn effective(&self) -> String {
        self.profile.to_toml()
    }
}

/// Loads a profile by name or path, with its text.
///
/// # Errors
/// As [`Profile::load`].
pub fn show(name_or_path: &str) -> Result<Shown, ProfileError> {
    let directory = find::user_directory();
    let found = find::find(name_or_path, None, directory.as_deref())?;
    let source = found.text.clone();
    let (profile, _) = load::build::<&str>(found, name_or_path, &[], directory.as_deref())?;
    Ok(Shown { source, profile })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Origin;
    use super::*;

    fn write(directory: &Path, name: &str, text: &str) {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn user_directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "mine.toml", "extends = \"strict\"\ndescription = \"mine\"\n");
        directory
    }

    #[test]
    fn the_users_profiles_are_found_by_name() {
        let directory = user_directory();
        write(directory.path(), "child.toml", "extends = \"mine\"\n");
        let load = |name: &str| {
            let found = find::find(name, None, Some(directory.path()))?;
            load::build::<&str>(found, name, &[], Some(directory.path())).map(|(profile, _)| profile)
        };
        assert_eq!(load("mine").unwrap().description, "mine");
        // What it extends does not describe it.
        assert_eq!(load("child").unwrap().description, "");
        match load("mime") {
            Err(ProfileError::NotFound { nearest, .. }) => assert_eq!(nearest.as_deref(), Some("mine")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_profile_that_is_not_there_is_named_with_whoever_extends_it() {
        let origin = Origin::Text("p.toml".to_owned());
        let found = Found { origin, text: "extends = \"strcit\"".to_owned(), identity: None };
        let Err(ProfileError::Extends { chain, source }) = load::build::<&str>(found, "p", &[], None) else {
            panic!("extended")
        };
        assert_eq!(chain.to_string(), "p.toml");
        let said = source.to_string();
        assert!(said.starts_with("no profile is named strcit (did you mean strict?)"), "{said}");
    }

    #[test]
    fn a_built_in_name_can_not_be_taken() {
        let directory = user_directory();
        let evil = "description = \"evil\"\nnamespaces = []\nseccomp.mode = \"off\"\n";
        write(directory.path(), "strict.toml", evil);
        write(directory.path(), "broken.toml", "x");
        write(directory.path(), "Not-A-Name.toml", "");
        write(directory.path(), "notes.txt", "");
        let found = find::find("strict", None, Some(directory.path())).unwrap();
        assert_eq!(found.origin, Origin::BuiltIn("strict".to_owned()));

        let all = list_with(Some(directory.path())).unwrap();
        let names: Vec<_> =
            all.iter().map(|l| (l.name.as_str(), l.shadowed, l.description.is_ok())).collect();
        let mut expected: Vec<_> = builtin::NAMES.iter().map(|name| (*name, false, true)).collect();
        expected.extend([("broken", false, false), ("mine", false, true), ("strict", true, true)]);
        assert_eq!(names, expected);
    }

    #[test]
    fn no_directory_is_no_error() {
        let directory = user_directory();
        let all = list_with(Some(&directory.path().join("missing"))).unwrap();
        assert_eq!(all.len(), builtin::NAMES.len());
        assert!(all.iter().all(|l| l.description.as_ref().is_ok_and(|d| !d.is_empty())));
    }

    #[test]
    fn nothing_in_the_directory_is_followed_or_taken_from_others() {
        let directory = user_directory();
        let path = directory.path();
        let find = |name: &str| find::find(name, None, Some(path));
        std::os::unix::fs::symlink(path.join("mine.toml"), path.join("link.toml")).unwrap();
        assert!(matches!(find("link"), Err(ProfileError::File { .. })));
        std::fs::create_dir(path.join("directory.toml")).unwrap();
        assert!(matches!(find("directory"), Err(ProfileError::NotRegular { .. })));
        let owner = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&path.join("fifo.toml"), owner).unwrap();
        assert!(matches!(find("fifo"), Err(ProfileError::NotRegular { .. })));
        let mode = |file: &Path, mode| {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for bits in [0o666, 0o664, 0o646] {
            mode(&path.join("mine.toml"), bits);
            assert!(matches!(find("mine"), Err(ProfileError::WritableByOthers { .. })), "{bits:o}");
        }
        mode(&path.join("mine.toml"), 0o600);
        assert!(find("mine").is_ok());
        mode(path, 0o777);
        assert!(matches!(find("mine"), Err(ProfileError::WritableByOthers { .. })));
        mode(path, 0o700);
        let link = path.join("directory-link");
        std::os::unix::fs::symlink(path, &link).unwrap();
        assert!(matches!(find::find("mine", None, Some(&link)), Err(ProfileError::File { .. })));
    }

    #[test]
    fn a_fifo_or_a_device_is_no_profile_by_path_either() {
        let directory = user_directory();
        let fifo = directory.path().join("fifo.toml");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(matches!(find::read_path(&fifo), Err(ProfileError::NotRegular { .. })));
        assert!(matches!(find::read_path(Path::new("/dev/null")), Err(ProfileError::NotRegular { .. })));
    }
}
