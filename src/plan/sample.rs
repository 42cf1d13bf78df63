//! A plan for tests and for the fuzzers.

use super::{Ending, HostIdentity, Identity, Limits, Plan, Task};

/// A plan with nothing in it.
pub(crate) fn empty() -> Plan {
    Plan {
        profile: String::new(),
        namespaces: 0,
        ending: Ending::Children,
        identity: Identity { uid: 1, gid: 1, host: HostIdentity::Own { uid: 1, gid: 1 } },
        hostname: None,
        loopback: false,
        root: None,
        cwd: c"/".into(),
        rlimits: Vec::new(),
        umask: 0,
        capabilities: crate::capability::CapabilitySet::EMPTY,
        inner: super::Inner::Needless,
        session_keyring: false,
        no_new_privileges: true,
        landlock: None,
        seccomp: None,
        env: Vec::new(),
        task: Task::Role { name: "role".to_owned() },
        descriptors: Vec::new(),
        terminal: false,
        limits: Limits::default(),
        cgroup: None,
    }
}
