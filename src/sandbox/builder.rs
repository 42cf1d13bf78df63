//! A sandbox from a profile and what is changed in it. The command line goes through here, too.

use std::path::{Path, PathBuf};

use super::limits::Limits;
use super::{Error, Sandbox};
use crate::profile::{
    Enforce, IdMap, Network, Profile, ProfileError, Sockets, Symlinks, User, ValueError, Workdir,
};

/// The profile that is used where none is named.
const DEFAULT_PROFILE: &str = "strict";

/// Makes a [`Sandbox`]: a profile, and what differs from it. Every option of `belljar run` that is about the
/// sandbox has a method here, and takes this way.
///
/// The order of the calls means nothing, but for [`set`](Self::set), the variables and the limits, where the
/// last one counts. What is said here wins over what is `set`, and that over the profile.
///
/// ```no_run
/// use std::time::Duration;
///
/// use belljar::{Limits, Sandbox};
///
/// belljar::init();
/// let sandbox = Sandbox::builder()
///     .profile("standard")
///     .ro_bind("input", "/in")
///     .bind("results", "/out")
///     .tmpfs("/scratch", 16 << 20)
///     .env("MODE", "fast")
///     .limits(Limits::new().memory(256 << 20).timeout(Duration::from_secs(10)))
///     .set("process.rlimits.nofile=256")
///     .build()?;
/// sandbox.command("make").current_dir("/in").status()?;
/// # Ok::<(), belljar::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    profile: Base,
    set: Vec<String>,
    network: Option<Network>,
    rootfs: Option<PathBuf>,
    overlay_tmp: bool,
    symlinks: Option<Symlinks>,
    sockets: Option<Sockets>,
    workdir: Option<Workdir>,
    mounts: Vec<Mount>,
    /// `None`: passed on from the caller.
    env: Vec<(String, Option<String>)>,
    current_dir: Option<PathBuf>,
    hostname: Option<String>,
    id_mappings: Option<(IdMap, IdMap)>,
    user: Option<User>,
    limits: Limits,
    cgroup_parent: Option<PathBuf>,
    enforce: Option<Enforce>,
}

/// What is built on.
#[derive(Debug, Clone, Default)]
enum Base {
    #[default]
    Default,
    Named(String),
    Text {
        text: String,
        name: String,
    },
}

#[derive(Debug, Clone)]
struct Mount {
    option: &'static str,
    destination: PathBuf,
    /// `None`: a tmpfs.
    source: Option<PathBuf>,
    /// Bytes of a tmpfs; `None` is the default.
    size: Option<u64>,
}

impl Builder {
    /// The profile: a name (built in, or in the user's profile directory), or a path with a `/` in it.
    /// Without it `strict`.
    pub fn profile(mut self, name_or_path: impl Into<String>) -> Self {
        self.profile = Base::Named(name_or_path.into());
        self
    }

    /// A profile that the program has as a text. `name` is what it is called in messages and reports.
    pub fn profile_toml(mut self, text: impl Into<String>, name: impl Into<String>) -> Self {
        self.profile = Base::Text { text: text.into(), name: name.into() };
        self
    }

    /// Any key of the profile, as on the command line: `KEY=VALUE`.
    pub fn set(mut self, key_value: impl Into<String>) -> Self {
        self.set.push(key_value.into());
        self
    }

    /// The network. The system-call filter stays as it is: that of `strict` has no Internet sockets.
    pub fn network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// A directory of the host as the root. The host's system is not shown in it.
    pub fn rootfs(mut self, directory: impl Into<PathBuf>) -> Self {
        self.rootfs = Some(directory.into());
        self
    }

    /// Lets writes to the root go to memory, and throws them away at the end.
    pub fn overlay_tmp(mut self) -> Self {
        self.overlay_tmp = true;
        self
    }

    /// Which symlinks the way to what is shown may lead through.
    pub fn symlinks(mut self, symlinks: Symlinks) -> Self {
        self.symlinks = Some(symlinks);
        self
    }

    /// What is done where sockets or FIFOs of the host would be shown.
    pub fn sockets(mut self, sockets: Sockets) -> Self {
        self.sockets = Some(sockets);
        self
    }

    /// How the caller's working directory is shown.
    pub fn workdir(mut self, workdir: Workdir) -> Self {
        self.workdir = Some(workdir);
        self
    }

    /// Shows a file or directory of the host at `destination`, writable. A relative source starts at the
    /// current directory.
    pub fn bind(self, source: impl Into<PathBuf>, destination: impl Into<PathBuf>) -> Self {
        self.mount("bind", destination.into(), Some(source.into()), None)
    }

    /// Shows a file or directory of the host at `destination`, read-only.
    pub fn ro_bind(self, source: impl Into<PathBuf>, destination: impl Into<PathBuf>) -> Self {
        self.mount("ro_bind", destination.into(), Some(source.into()), None)
    }

    /// Mounts an empty directory in memory, of at most so many bytes; `None` is 64 MiB.
    pub fn tmpfs(self, destination: impl Into<PathBuf>, size: impl Into<Option<u64>>) -> Self {
        self.mount("tmpfs", destination.into(), None, size.into())
    }

    fn mount(
        mut self,
        option: &'static str,
        destination: PathBuf,
        source: Option<PathBuf>,
        size: Option<u64>,
    ) -> Self {
        self.mounts.push(Mount { option, destination, source, size });
        self
    }

    /// Sets a variable for everything that runs in the sandbox. The name is not empty and has no `=` in it;
    /// neither it nor the value has a NUL.
    pub fn env(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.env.push((key.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Passes a variable of the caller's on, if it is set. Nothing else of the caller's environment goes in.
    pub fn env_pass(mut self, key: impl Into<String>) -> Self {
        self.env.push((key.into(), None));
        self
    }

    /// The working directory inside.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(directory.into());
        self
    }

    /// The host name inside.
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.hostname = Some(name.into());
        self
    }

    /// The ids inside.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some(User { uid, gid });
        self
    }

    /// The ids that the user namespace maps, of users and of groups.
    pub fn id_mappings(mut self, users: IdMap, groups: IdMap) -> Self {
        self.id_mappings = Some((users, groups));
        self
    }

    /// Limits on top of the profile's, and of those of earlier calls: what is not set in them stays.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits.over(self.limits);
        self
    }

    /// The control group to make the sandbox's in, as a path from the tree's root, in place of the caller's.
    pub fn cgroup_parent(mut self, path: impl Into<PathBuf>) -> Self {
        self.cgroup_parent = Some(path.into());
        self
    }

    /// What enforces the limits of memory, processes, CPUs and CPU time.
    pub fn enforce(mut self, enforce: Enforce) -> Self {
        self.enforce = Some(enforce);
        self
    }

    /// Reads the profile and makes the changes. Whether the host can do it all is found by each start.
    ///
    /// # Errors
    /// [`Error::Profile`]: no such profile, or a mistake in it. [`Error::Option`]: a value that no sandbox
    /// can have, or that does not go with the profile.
    pub fn build(self) -> Result<Sandbox, Error> {
        let set: Vec<&str> = self.set.iter().map(String::as_str).collect();
        let mut profile = match &self.profile {
            Base::Default => Profile::load_with(DEFAULT_PROFILE, &set),
            Base::Named(name) => Profile::load_with(name, &set),
            Base::Text { text, name } => Profile::from_toml_with(text, name, &set),
        }?;
        self.apply(&mut profile)?;
        Ok(Sandbox::with_profile(profile))
    }

    /// In an order in which each change finds what it needs.
    pub(crate) fn apply(self, profile: &mut Profile) -> Result<(), Error> {
        if let Some(network) = self.network {
            profile.set_network(network).map_err(of("network"))?;
        }
        if let Some(directory) = &self.rootfs {
            profile.set_rootfs(&absolute("rootfs", directory)?).map_err(of("rootfs"))?;
        }
        if self.overlay_tmp {
            profile.set_overlay(true).map_err(of("overlay_tmp"))?;
        }
        if let Some(symlinks) = self.symlinks {
            profile.symlinks = symlinks;
        }
        if let Some(sockets) = self.sockets {
            profile.sockets = sockets;
        }
        if let Some(workdir) = self.workdir {
            profile.change(|profile| profile.workdir = workdir).map_err(of("workdir"))?;
        }
        for (index, Mount { option, destination, source, size }) in self.mounts.iter().enumerate() {
            if self.mounts.iter().take(index).any(|other| other.destination == *destination) {
                return Err(twice(option, destination));
            }
            match source {
                Some(source) => {
                    profile.add_bind(&absolute(option, source)?, destination, *option == "ro_bind")
                }
                None => profile.add_tmpfs(destination, *size),
            }
            .map_err(of(option))?;
        }
        for (name, value) in &self.env {
            let option = if value.is_some() { "env" } else { "env_pass" };
            profile.set_env(name, value.as_deref()).map_err(of(option))?;
        }
        if self.current_dir.is_some() {
            profile.change(|profile| profile.process.cwd = self.current_dir).map_err(of("current_dir"))?;
        }
        if self.hostname.is_some() {
            profile.change(|profile| profile.hostname = self.hostname).map_err(of("hostname"))?;
        }
        if let Some((users, groups)) = self.id_mappings {
            let set = profile.change(|profile| {
                (profile.uid_mappings, profile.gid_mappings) = (users, groups);
            });
            set.map_err(of("id_mappings"))?;
        }
        if self.user.is_some() {
            profile.change(|profile| profile.process.user = self.user).map_err(of("user"))?;
        }
        self.limits.apply(profile)?;
        if self.cgroup_parent.is_some() {
            let set = profile.change(|profile| profile.resources.cgroup_parent = self.cgroup_parent);
            set.map_err(of("cgroup_parent"))?;
        }
        if let Some(enforce) = self.enforce {
            profile.resources.enforce = enforce;
        }
        Ok(())
    }
}

/// A path of the host as an absolute one. Its links and `..` are the kernel's to follow.
pub(super) fn absolute(option: &'static str, path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Option { option, source: Box::new(source) })
}

fn twice(option: &'static str, destination: &Path) -> Error {
    let entry = destination.to_string_lossy().into_owned();
    Error::Option { option, source: Box::new(ValueError::Duplicate { entry }) }
}

pub(super) fn of(option: &'static str) -> impl Fn(ProfileError) -> Error {
    move |source| Error::Option { option, source: Box::new(source) }
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
