//! What a kept capability could undo: the walls are built in the user namespace in which the task would have it.

use super::{Cgroup, HostIdentity, PlanError};

const SYS_PTRACE: u64 = 1 << 19;
const SYS_ADMIN: u64 = 1 << 21;
const SYS_BOOT: u64 = 1 << 22;

/// Those that undo a wall of their own user namespace. All others of the 41 count for nothing outside of the initial user namespace, or reach
/// only what is the task's own (capabilities(7); SECURITY.md has the table).
///
/// * SYS_PTRACE: init is PID 1 of the same user namespace: its memory, descriptors, and what it executes;
/// * SYS_ADMIN: the attributes of mounts, masks, the mount namespace of init;
/// * SYS_BOOT: reboot(2) ends init by force, and with it the account of how the run ended.
const UNDO: u64 = SYS_PTRACE | SYS_ADMIN | SYS_BOOT;

/// Whether the task has to be in a user namespace below init's.
pub(super) fn inner(namespaces: u64, capabilities: u64) -> bool {
    namespaces != 0 && capabilities & UNDO != 0
}

/// CAP_SYS_ADMIN makes a control group namespace of its own and mounts its control group, whose files belong to the caller: an ordinary
/// caller's own id is the sandbox's, which could raise its limits.
pub(super) fn check(capabilities: u64, cgroup: Option<&Cgroup>, host: HostIdentity) -> Result<(), PlanError> {
    if capabilities & SYS_ADMIN == 0 || cgroup.is_none() || host == HostIdentity::Unique {
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
    use crate::profile::CAPABILITIES;

    #[test]
    fn the_inner_user_namespace_is_there_for_what_undoes_a_wall() {
        let guarded: Vec<&str> = CAPABILITIES
            .iter()
            .enumerate()
            .filter(|(number, _)| inner(1, 1 << number))
            .map(|(_, name)| *name)
            .collect();
        assert_eq!(guarded, ["SYS_PTRACE", "SYS_ADMIN", "SYS_BOOT"]);
        // Not for what ships: the default list of container engines.
        assert!(!inner(1, 0xa804_25fb) && !inner(1, 0) && !inner(0, UNDO));
    }

    #[test]
    fn a_group_that_its_user_could_mount_is_refused() {
        let own = HostIdentity::Own { uid: 1000, gid: 1000 };
        let group = Cgroup::default();
        assert!(check(SYS_ADMIN, Some(&group), own).is_err());
        for (capabilities, group, host) in [
            (SYS_PTRACE, Some(&group), own),
            (SYS_ADMIN, None, own),
            (SYS_ADMIN, Some(&group), HostIdentity::Unique),
        ] {
            assert!(check(capabilities, group, host).is_ok());
        }
    }
}
