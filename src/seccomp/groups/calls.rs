//! The plain groups. The longer lists are files of names, one a line. Names of other architectures are in
//! them where the call is the same: the compiler leaves out what its architecture has not.

use super::{Entry, Group, What, group_of, listed, names, since};

pub(super) const GROUPS: &[Group] = &[
    group_of("@aio", "kernel asynchronous I/O", &[listed!("names/aio.txt")]),
    group_of("@basic-io", "read, write, seek, close, duplicate, pipe", &[listed!("names/basic-io.txt")]),
    group_of("@chown", "change a file's owner", &[names!(&["chown", "fchown", "fchownat", "lchown"])]),
    group_of(
        "@clock",
        "set the clock",
        &[names!(&["adjtimex", "clock_adjtime", "clock_settime", "settimeofday"])],
    ),
    group_of(
        "@cpu-emulation",
        "segment tables and the like",
        &[names!(&["modify_ldt", "set_thread_area", "get_thread_area"])],
    ),
    group_of(
        "@debug",
        "trace other processes, performance counters",
        &[names!(&[
            "@ptrace",
            "kcmp",
            "lookup_dcookie",
            "perf_event_open",
            "pidfd_getfd",
            "process_madvise"
        ])],
    ),
    // Started by any libc, or by the kernel on a program's behalf (`restart_syscall`, `rt_sigreturn`,
    // `uretprobe`).
    group_of(
        "@default",
        "what every program needs to start, wait and end",
        &[listed!("names/default.txt"), since!(2, &["rseq_slice_yield", "uprobe"])],
    ),
    group_of("@file-handle", "files by handle", &[names!(&["name_to_handle_at", "open_by_handle_at"])]),
    group_of(
        "@file-system",
        "open, stat, create, rename, link, remove, attributes",
        &[
            listed!("names/file-system.txt"),
            since!(
                2,
                &["file_getattr", "file_setattr", "getxattrat", "listxattrat", "removexattrat", "setxattrat"]
            ),
        ],
    ),
    group_of(
        "@inotify",
        "watch files",
        &[names!(&["inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch"])],
    ),
    group_of("@io-event", "wait for descriptors", &[listed!("names/io-event.txt")]),
    group_of("@io-uring", "io_uring", &[names!(&["io_uring_enter", "io_uring_register", "io_uring_setup"])]),
    group_of("@ipc", "queues, semaphores, shared memory, pipes, memfd", &[listed!("names/ipc.txt")]),
    group_of("@kexec", "load another kernel", &[names!(&["kexec_file_load", "kexec_load"])]),
    group_of("@keyring", "kernel keys", &[names!(&["add_key", "keyctl", "request_key"])]),
    group_of("@known", "every system call that belljar knows", &[Entry { since: 1, what: What::Known }]),
    group_of("@memory", "map, protect, advise, seal, lock memory", &[listed!("names/memory.txt")]),
    group_of("@module", "load kernel modules", &[names!(&["delete_module", "finit_module", "init_module"])]),
    group_of(
        "@mount",
        "mount, unmount, change roots",
        &[listed!("names/mount.txt"), since!(2, &["open_tree_attr"])],
    ),
    group_of("@network-io", "sockets", &[listed!("names/network-io.txt")]),
    group_of(
        "@numa",
        "memory policy and page migration",
        &[names!(&[
            "get_mempolicy",
            "mbind",
            "migrate_pages",
            "move_pages",
            "set_mempolicy",
            "set_mempolicy_home_node"
        ])],
    ),
    group_of("@obsolete", "calls that no new program makes", &[listed!("names/obsolete.txt")]),
    group_of("@pkey", "memory protection keys", &[names!(&["pkey_alloc", "pkey_free", "pkey_mprotect"])]),
    group_of(
        "@privileged",
        "what needs a capability in the host's own namespaces",
        &[listed!("names/privileged.txt"), since!(2, &["listns"])],
    ),
    group_of(
        "@process",
        "processes: create, replace, signal, wait, names, sessions",
        &[listed!("names/process.txt")],
    ),
    group_of(
        "@ptrace",
        "read and control other processes",
        &[names!(&["process_vm_readv", "process_vm_writev", "ptrace"])],
    ),
    group_of(
        "@raw-io",
        "ports and PCI",
        &[names!(&[
            "ioperm",
            "iopl",
            "pciconfig_iobase",
            "pciconfig_read",
            "pciconfig_write",
            "s390_pci_mmio_read",
            "s390_pci_mmio_write",
        ])],
    ),
    group_of("@reboot", "reboot, or start another kernel", &[names!(&["@kexec", "reboot"])]),
    group_of(
        "@resources",
        "priorities, scheduling, limits, memory policy",
        &[listed!("names/resources.txt")],
    ),
    group_of(
        "@sandbox",
        "a program that sandboxes itself",
        &[names!(&["landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "seccomp"])],
    ),
    group_of("@setuid", "change one's own ids", &[listed!("names/setuid.txt")]),
    group_of("@signal", "signals", &[listed!("names/signal.txt")]),
    group_of("@swap", "swap space", &[names!(&["swapoff", "swapon"])]),
    group_of(
        "@sync",
        "write back to disk",
        &[names!(&[
            "fdatasync",
            "fsync",
            "msync",
            "sync",
            "sync_file_range",
            "sync_file_range2",
            "arm_sync_file_range",
            "syncfs",
        ])],
    ),
    group_of("@timer", "timers and alarms", &[listed!("names/timer.txt")]),
];
