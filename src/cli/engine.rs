//! What the command line uses of the library, under one name.

use std::ffi::OsStr;
use std::path::Path;

use super::escape;
use crate::host::doctor;
use crate::profile::{self, Profile};

pub use crate::reexec::roles;
pub use crate::sandbox::{Ended, Error, Outcome, Protections, Sandbox};

/// Loads a profile: `selector` is a name, or a path with a `/`; each override is a key and a value.
pub fn load_profile(selector: &OsStr, overrides: &[(&str, &str)]) -> Result<Profile, Error> {
    let overrides: Vec<String> = overrides.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok(Profile::load(&text(selector), &overrides)?)
}

/// The names that `--profile` knows, with their descriptions.
pub fn profile_list() -> Result<Vec<(String, String)>, Error> {
    let row = |listed: profile::Listed| {
        let mut text = listed.description.unwrap_or_else(|error| format!("(cannot be loaded: {error})"));
        if listed.shadowed {
            text.push_str(" (not used: the built-in profile of that name is)");
        }
        (listed.name, text)
    };
    Ok(profile::list()?.into_iter().map(row).collect())
}

/// The text of a profile as it was written, comments and all.
pub fn profile_source(selector: &OsStr) -> Result<String, Error> {
    Ok(profile::show(&text(selector))?.source)
}

/// The profile with all that it extends, as one TOML file.
pub fn profile_effective(selector: &OsStr) -> Result<String, Error> {
    Ok(profile::show(&text(selector))?.effective())
}

/// Loads and validates a file, whatever its path looks like.
pub fn profile_check(file: &Path) -> Result<(), Error> {
    // A name without a '/' would be looked up among the profiles.
    let path = if file.as_os_str().as_encoded_bytes().contains(&b'/') {
        file.to_owned()
    } else {
        Path::new(".").join(file)
    };
    Profile::load::<&str>(&text(path.as_os_str()), &[]).map(drop)?;
    Ok(())
}

/// Examines the host for the built-in profiles.
pub fn examine() -> Result<Vec<doctor::Finding>, Error> {
    let profiles: Result<Vec<Profile>, _> =
        profile::builtin_names().iter().map(|name| Profile::load::<&str>(name, &[])).collect();
    Ok(doctor::Doctor::new(profiles?).examine())
}

/// A selector that is not text names nothing; it is shown as well as it can be in the error.
fn text(selector: &OsStr) -> String {
    selector.to_str().map_or_else(|| escape::os(selector), str::to_owned)
}
