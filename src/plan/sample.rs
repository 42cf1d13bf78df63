//! A plan for tests and for the fuzzers.

use super::model::{
    Ending, HostIdentity, Identity, Inner, Limits, Namespaces, Plan, ProcessAttributes, Task, Walls, Workload,
};

/// A plan with nothing in it.
pub(crate) fn empty() -> Plan {
    Plan {
        profile: String::new(),
        walls: Walls {
            namespaces: Namespaces::Lite,
            joined: Vec::new(),
            ending: Ending::Children,
            identity: Identity { uid: 1, gid: 1, host: HostIdentity::Own { uid: 1, gid: 1 } },
            hostname: None,
            loopback: false,
            inner: Inner::Needless,
            root: None,
        },
        hooks: Vec::new(),
        task: Task {
            cwd: c"/".into(),
            attributes: ProcessAttributes::default(),
            capabilities: crate::capability::CapabilitySet::EMPTY,
            session_keyring: false,
            no_new_privileges: true,
            landlock: None,
            hooks: Vec::new(),
            seccomp: None,
            env: Vec::new(),
            workload: Workload::Role { name: "role".to_owned() },
            descriptors: Vec::new(),
            terminal: false,
        },
        limits: Limits::default(),
        cgroup: None,
    }
}
