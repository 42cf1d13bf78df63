//! Profiles from the outside: what ships, what is refused and how it is said, what comes out of it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use belljar::error_chain;
use belljar::internals::profile::{
    self, Capability, MountKind, Namespace, Network, Profile, ProfileError, Rlimit, Throttled, User,
    ValueError, Workdir, builtin_names,
};
use belljar::internals::seccomp::{Action, Arch, Unknown, compile};
use proptest::prelude::*;

mod anything;
mod effective;
mod keys;
mod merging;
mod refusals;
mod scheduling;
mod setters;
mod ships;

fn from_toml(text: &str, name: &str) -> Result<Profile, ProfileError> {
    Profile::from_toml_with::<&str>(text, name, &[])
}

fn load_named(name: &str) -> Result<Profile, ProfileError> {
    Profile::load_with::<&str>(name, &[])
}

fn load(name: &str, overrides: &[&str]) -> Profile {
    Profile::load_with(name, overrides)
        .unwrap_or_else(|error| panic!("{name} {overrides:?}: {}", error_chain(&error)))
}

fn refused(text: &str) -> String {
    match from_toml(text, "p.toml") {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error_chain(&error),
    }
}

fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn mount<'a>(profile: &'a Profile, destination: &str) -> Option<&'a profile::Mount> {
    profile.mounts.iter().find(|mount| mount.destination == Path::new(destination))
}
