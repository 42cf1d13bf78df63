//! Why parts of a profile that are right by themselves do not go together.

use super::Namespace;
use super::names::of_namespace;

/// Why two parts of a profile do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A key that a complete profile has.
    #[error("missing: extend a built-in profile, or say it")]
    Missing,
    /// A list is edited that nothing below has.
    #[error("'+' and '-' edit an inherited list, but none is inherited")]
    NothingInherited,
    /// Rules for a filter that is off.
    #[error("there are rules, but the inherited mode is \"off\": say mode = \"filter\"")]
    FilterIsOff,
    /// Some namespaces, but not those that all the others stand on.
    #[error("the namespaces user, mount and pid belong together, and here {} missing (without any it is lite)", missing(.0))]
    Foundations(Vec<Namespace>),
    /// A namespace is missing for what is asked.
    #[error("needs the {} namespace", of_namespace(*.0))]
    NeedsNamespace(Namespace),
    /// A namespace that is always new.
    #[error("the {} namespace is always new: only network, ipc, uts and cgroup can be joined", of_namespace(*.0))]
    NotJoined(Namespace),
    /// A namespace that is both new and joined.
    #[error("the {} namespace is either new or joined", of_namespace(*.0))]
    NewAndJoined(Namespace),
    /// Without namespaces there is no such thing.
    #[error("is not possible without namespaces (lite)")]
    NeedsNamespaces,
    /// Without a mount namespace nothing can be shown under another name.
    #[error(
        "without namespaces (lite) a bind shows a path at its own place: source and destination must be the same"
    )]
    BindElsewhere,
    /// Users and groups are mapped in different ways.
    #[error("goes together with gidMappings: both lists (--uidmap and --gidmap), both \"auto\", or neither")]
    IdMaps,
    /// An overlay over nothing.
    #[error("goes over a directory: root.path is not set")]
    OverlayWithoutPath,
    /// An overlay that takes no writes.
    #[error("takes writes, which root.readonly = true forbids")]
    OverlayReadonly,
    /// A root has to be given.
    #[error("missing: this profile runs in a root file system of one's own (--rootfs DIR)")]
    RootRequired,
    /// A special file system where nothing looks for it.
    #[error("{what} can only be mounted at {place}")]
    Elsewhere {
        /// The type of the mount.
        what: &'static str,
        /// Where it belongs.
        place: &'static str,
    },
    /// CPU time without the period it is counted in, or the other way round.
    #[error("goes together with resources.cpu.quota")]
    PeriodWithoutQuota,
    /// More CPUs than there can be.
    #[error("the quota is not a multiple of a thousandth of the period, or more than 2^20 periods")]
    Quota,
    /// Memory and swap together are less than memory alone.
    #[error("is memory and swap together: at least resources.memory.limit, and not without it")]
    SwapBelowMemory,
    /// Every layer is turned off.
    #[error(
        "no layer is left that holds anything: seccomp and Landlock are off, and there are no namespaces"
    )]
    NothingLeft,
}

fn missing(namespaces: &[Namespace]) -> String {
    let names: Vec<_> = namespaces.iter().map(|namespace| of_namespace(*namespace)).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}
