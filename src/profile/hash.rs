//! What tells two profiles apart in a report.

use std::os::unix::ffi::OsStrExt as _;

use sha2::{Digest as _, Sha256};

use super::{MountKind, Profile};

impl Profile {
    /// SHA-256, in hexadecimal, of everything that the profile asks for: all but its name and description.
    /// Two profiles with the same hash ask for the same, however they were put together, on any host.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(of_filter(self));
        hasher.update(super::print::without_filter(self).as_bytes());
        // Paths again as they are: the text can not tell all byte sequences apart.
        let sources = self.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Bind { source, .. } => Some(source),
            _ => None,
        });
        let destinations = self.mounts.iter().map(|mount| &mount.destination);
        let own = self.root.path.iter().chain(&self.process.cwd);
        for path in own.chain(sources).chain(destinations) {
            let bytes = path.as_os_str().as_bytes();
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        crate::text::hexadecimal(&hasher.finalize())
    }
}

/// The filter's part. It has most of the text, and is known ahead where it is built in.
fn of_filter(profile: &Profile) -> [u8; 32] {
    let known = profile.seccomp.as_ref().and_then(super::built::text_hash);
    known.unwrap_or_else(|| Sha256::digest(super::print::filter(profile)).into())
}
