//! What a kept capability could undo: the walls are built in the user namespace in which the task would have
//! it.

use crate::plan::error::PlanError;
use crate::plan::model::{Cgroup, HostIdentity, Namespaces};
use crate::profile::{Capability, CapabilitySet};

/// Those that undo a wall of their own user namespace. All others of the 41 count for nothing outside of the
/// initial user namespace, or reach only what is the task's own (capabilities(7); SECURITY.md has the table).
///
/// * SYS_PTRACE: init is PID 1 of the same user namespace: its memory, descriptors, and what it executes;
/// * SYS_ADMIN: the attributes of mounts, masks, the mount namespace of init;
/// * SYS_BOOT: reboot(2) ends init by force, and with it the account of how the run ended.
const UNDO: CapabilitySet =
    CapabilitySet::of(&[Capability::CAP_SYS_PTRACE, Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_BOOT]);

/// Whether the task has to be in a user namespace below init's.
pub(crate) fn inner(namespaces: Namespaces, capabilities: CapabilitySet) -> bool {
    !namespaces.is_lite() && !(capabilities & UNDO).is_empty()
}

/// CAP_SYS_ADMIN makes a control group namespace of its own and mounts its control group, whose files belong
/// to the caller: an ordinary caller's own id is the sandbox's, which could raise its limits.
pub(crate) fn check(
    capabilities: CapabilitySet,
    cgroup: Option<&Cgroup>,
    host: &HostIdentity,
) -> Result<(), PlanError> {
    if !capabilities.contains(Capability::CAP_SYS_ADMIN) || cgroup.is_none() || host.is_given() {
        return Ok(());
    }
    Err(PlanError::Unenforceable {
        key: "limits by a control group".to_owned(),
        reason: "CAP_SYS_ADMIN is kept, and could mount the group, whose files belong to the sandbox's user",
        hint: "keep no CAP_SYS_ADMIN, run as root, or set limits of each process (--limits=rlimit)",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Namespaces = Namespaces::Own { new: libc::CLONE_NEWUSER as u64 };

    #[test]
    fn the_inner_user_namespace_is_there_for_what_undoes_a_wall() {
        let guarded = CapabilitySet::NAMED.iter().filter(|one| inner(OWN, (*one).into()));
        assert_eq!(
            guarded.collect::<Vec<_>>(),
            [Capability::CAP_SYS_PTRACE, Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_BOOT]
        );
        // Not for what ships: the default list of container engines.
        let engines = CapabilitySet::from_bits(0xa804_25fb);
        assert!(!inner(OWN, engines) && !inner(OWN, CapabilitySet::EMPTY) && !inner(Namespaces::Lite, UNDO));
    }

    #[test]
    fn a_group_that_its_user_could_mount_is_refused() {
        let own = HostIdentity::Own { uid: 1000, gid: 1000 };
        let group = Cgroup::default();
        let [admin, ptrace] =
            [Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE].map(CapabilitySet::from);
        assert!(check(admin, Some(&group), &own).is_err());
        for (capabilities, group, host) in
            [(ptrace, Some(&group), &own), (admin, None, &own), (admin, Some(&group), &HostIdentity::Unique)]
        {
            assert!(check(capabilities, group, host).is_ok());
        }
    }
}
