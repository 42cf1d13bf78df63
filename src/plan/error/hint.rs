//! What a person can do about an error.

use super::{DestinationProblem, PlanError, ProgramProblem, RangeProblem, WallProblem};
use crate::host::FileKind;

impl PlanError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Wall { problem, .. } => Some(problem.hint()),
            Self::Subordinate { source } => Some(source.hint()),
            Self::IdRange { problem, .. } => Some(problem.hint().to_owned()),
            Self::Program { program, problem: ProgramProblem::NotFound { path: Some(_) } }
                if program.contains(char::is_whitespace) =>
            {
                let hint = "the name has spaces in it; a command line is for a shell: belljar run -- sh -c 'COMMAND'";
                Some(hint.to_owned())
            }
            Self::Program { problem, .. } => problem.hint(),
            Self::SourceLink { path, .. } => Some(format!(
                "give {path:?} itself if that is what you mean, or follow symlinks with --follow-symlinks \
                 (symlinks = \"follow\" in a profile)"
            )),
            Self::MountPoint { host, .. } => {
                Some(format!("create {host:?} on the host first, or mount elsewhere"))
            }
            _ => self.hint_of_path().or_else(|| self.hint_of_means()).map(str::to_owned),
        }
    }

    /// Whether it is about something that a mount would show inside.
    #[cfg(feature = "cli")]
    pub(crate) fn is_of_sight(&self) -> bool {
        use ProgramProblem::{Dangling, Elsewhere, Loader, NotVisible};
        match self {
            Self::Cwd { .. } => true,
            Self::Program { problem, .. } => {
                matches!(problem, NotVisible { .. } | Elsewhere { .. } | Dangling { .. } | Loader { .. })
            }
            _ => false,
        }
    }

    /// For what cannot be shown where it is asked for.
    fn hint_of_path(&self) -> Option<&'static str> {
        Some(match self {
            Self::Destination { problem: DestinationProblem::Root, .. } => {
                "give a root directory with --rootfs, or bind single directories"
            }
            Self::Destination { problem: DestinationProblem::Proc, .. } => {
                "hide parts of /proc with maskedPaths"
            }
            Self::SourceMissing { .. } => {
                "create it, correct the path, or mark the mount as optional in the profile"
            }
            Self::Optional { .. } => {
                "look for what an earlier run moved or removed; create it, or remove the mount from the profile"
            }
            Self::SourceLookup { .. } => "the caller itself must be able to reach what it shows to a sandbox",
            Self::SourceKind { kind: FileKind::CharDevice, .. } => "a device can only be shown below /dev",
            Self::SourceKind { kind: FileKind::Socket, .. } => {
                "a socket of the host is a way out; pass a connected descriptor instead"
            }
            Self::SourceKind { kind: FileKind::Fifo, .. } => {
                "pass the pipe as standard input or as a descriptor"
            }
            Self::Sockets { .. } => {
                "show a directory without it, or allow what they reach with --allow-sockets (sockets = \"allow\" in a profile)"
            }
            Self::SourceProc { .. } => "give the path of the file itself",
            Self::Contradiction { .. } => "remove one of the two",
            Self::IdMap { .. } => {
                "run belljar as the owner of the files, show them read-only (--ro-bind), or copy them to another file system"
            }
            Self::RootMount { .. } => {
                "unmount it, or use the root without an overlay, with all mount points there: proc, dev, tmp"
            }
            Self::NoListener => {
                "start it from a program that answers: Command::seccomp_listener in the library"
            }
            Self::Namespace { .. } => {
                "name a file of /proc/PID/ns, or one that such a file is bound to, as 'ip netns add NAME' makes at /run/netns/NAME"
            }
            Self::NoRoot => "give one with --rootfs DIR",
            Self::Cwd { .. } => {
                "go to another directory, choose one with --workdir, or show it by name with --bind"
            }
            Self::NoCwd => "change to a directory that exists",
            Self::OutOfReach { .. } => {
                "open the directory to others (chmod o+x), show a copy that is not below it, or run belljar as the user who may enter it"
            }
            _ => return None,
        })
    }

    /// For what this host, or this caller, has no means for.
    fn hint_of_means(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unenforceable { hint, .. } => hint,
            Self::RootWithoutCapabilities => {
                "use -p lite, or run as an ordinary user, or with CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID and CAP_CHOWN"
            }
            Self::TooFewIds { .. } => {
                "run belljar as an ordinary user, or map 65536 ids into this user namespace"
            }
            Self::User { .. } => "leave the user out, or use a profile with namespaces",
            Self::RootWithoutNamespaces => {
                "run belljar as an ordinary user (setpriv --reuid UID --regid GID --clear-groups belljar run …); to become another user \
                 root needs CAP_SETUID, CAP_SETGID, CAP_CHOWN and CAP_KILL, and a free id"
            }
            Self::Kernel { .. } => "boot a newer kernel: no profile that ships can do without",
            Self::Landlock { has: None, .. } => {
                "boot a kernel with CONFIG_SECURITY_LANDLOCK and `landlock` in its lsm= list; 'belljar doctor' has the commands"
            }
            Self::Landlock { key: "landlock.scopes", .. } => {
                "boot Linux 6.12 or later, or do without what they hold: --set landlock.scopes=[]"
            }
            Self::Landlock { .. } => "use a newer kernel, or do not require this in the profile",
            Self::TooLong { .. } => "pass large data through a file or standard input",
            _ => return None,
        })
    }
}

impl RangeProblem {
    fn hint(self) -> &'static str {
        match self {
            Self::Numbers | Self::Inside | Self::Outside => {
                "a range is INSIDE:OUTSIDE:COUNT, as in --uidmap 0:100000:65536"
            }
            Self::Root => {
                "root inside is to be an ordinary id outside: map 0 inside to another id, as in --uidmap 0:100000:65536"
            }
            Self::Foreign => {
                "take those that /etc/subuid and /etc/subgid name for this user, or leave the choice to belljar: --userns auto"
            }
        }
    }
}

impl WallProblem {
    fn hint(&self) -> String {
        match self {
            Self::Missing => "look for what an earlier run moved or removed; name a path that exists, or leave it out",
            Self::Symlink { leads: Some(leads) } => return format!("name the path that it leads to: {leads:?}"),
            Self::Symlink { leads: None } => "name a path without symlinks",
            Self::Pipe { .. } => {
                "hide the pipe (maskedPaths), or show the directory outside of the writable one: --ro-bind SRC:DST"
            }
            Self::Device => "show it with --bind, or in a profile without a root directory of its own",
            Self::AddsUp { .. } => "use a profile with namespaces, or leave one of the two out",
            Self::Unseen { .. } | Self::Closed { .. } => "show the directory outside of the writable one: --ro-bind SRC:DST",
        }
        .to_owned()
    }
}
