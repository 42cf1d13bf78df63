//! The groups as a profile uses them.

use std::collections::BTreeSet;

use belljar::internals::seccomp::groups::{EDITION, GroupError, group, groups, resolve};
use belljar::internals::seccomp::{Action, Arch, Condition, Op, Rule, names};

fn calls(name: &str) -> BTreeSet<String> {
    resolve(&[name], Action::Allow, &[]).unwrap().into_iter().flat_map(|rule| rule.names).collect()
}

#[test]
fn every_group_resolves_to_known_calls() {
    let mut seen = BTreeSet::new();
    for group in groups() {
        assert!(group.name.starts_with('@') && !group.description.is_empty(), "{group:?}");
        assert!(seen.insert(group.name), "{} twice", group.name);
        assert!((1..=EDITION).contains(&group.version), "{group:?}");
        let calls = calls(group.name);
        assert!(!calls.is_empty(), "{}", group.name);
        for call in &calls {
            assert!(!call.starts_with('@'), "{}: {call}", group.name);
            let known = Arch::ALL.iter().any(|&arch| names::lookup(call, arch) != names::Known::Nowhere);
            assert!(known, "{}: {call}", group.name);
        }
        let own = calls_of(group.name, group.names());
        assert_eq!(own.len(), group.names().count(), "{} names something twice", group.name);
    }
}

/// The names of a set's rules may repeat: it decides over one call in several steps.
fn calls_of<'a>(group: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<_> = names.collect();
    if !resolve(&[group], Action::Allow, &[]).unwrap().iter().any(|rule| !rule.args.is_empty()) {
        names.sort_unstable();
        names.dedup();
    }
    names
}

/// A call that no plain group has could not be named but by itself: new calls are to be sorted in.
#[test]
fn every_call_is_in_a_group() {
    let grouped: BTreeSet<String> =
        groups().filter(|group| group.name != "@known").flat_map(|group| calls(group.name)).collect();
    for &arch in Arch::ALL {
        for (call, _) in names::all(arch) {
            assert!(grouped.contains(call), "{call} is in no group");
        }
    }
}

#[test]
fn the_documentation_lists_every_group() {
    let text = include_str!("../../src/seccomp/groups/mod.rs");
    for group in groups() {
        let documented =
            text.lines().any(|line| line.starts_with("//!") && line.contains(&format!("`{}`", group.name)));
        assert!(documented, "{} is not in the module's table", group.name);
    }
}

/// Edition 1 is written down for good: it never changes; what is added later gets a new edition.
#[test]
fn versions() {
    let (first, newest) = (calls("@file-system.1"), calls("@file-system"));
    assert!(first.is_subset(&newest));
    assert_eq!(calls("@file-system.2"), newest);
    assert_eq!(group("@file-system").unwrap().version, 2);
    assert!(newest.contains("file_getattr") && !first.contains("file_getattr"));
    // Nested groups are of the same edition.
    assert!(calls("@belljar-strict").contains("uprobe") && !calls("@belljar-strict.1").contains("uprobe"));

    for name in ["@file-system.0", "@file-system.3", "@file-system.x", "@file-system.", "@file-system.1.1"] {
        let error = resolve(&[name], Action::Allow, &[]).unwrap_err();
        assert!(matches!(&error, GroupError::Version { name, .. } if name == "@file-system"), "{error}");
    }
}

#[test]
fn unknown_groups() {
    let error = resolve(&["@file-sytem"], Action::Allow, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown system-call group \"@file-sytem\" (did you mean \"@file-system\"?)"
    );
    let error = resolve(&["@"], Action::Allow, &[]).unwrap_err();
    assert_eq!(error, GroupError::Unknown { name: "@".into(), nearest: None });
}

#[test]
fn entries_keep_their_action_and_conditions() {
    let condition = Condition { index: 0, op: Op::Eq, value: 7 };
    let rules = resolve(&["read", "@swap", "write"], Action::Errno(5), &[condition]).unwrap();
    assert_eq!(rules, [Rule::new(["read", "swapoff", "swapon", "write"], Action::Errno(5)).when(condition)]);
}

#[test]
fn sets_are_for_allowing() {
    for set in ["@clone-no-namespaces", "@socket-local", "@ioctl-no-terminal-injection", "@belljar-strict"] {
        let error = resolve(&[set], Action::Errno(1), &[]).unwrap_err();
        assert!(matches!(error, GroupError::Action { .. }), "{error}");
        resolve(&[set], Action::Log, &[]).unwrap();
        let condition = Condition { index: 0, op: Op::Eq, value: 7 };
        let error = resolve(&[set], Action::Allow, &[condition]).unwrap_err();
        assert!(matches!(error, GroupError::Args { .. }), "{error}");
    }
    // These only describe calls, and are made for refusing.
    for name in ["@terminal-injection", "@clone-namespaces"] {
        let rules = resolve(&[name], Action::Errno(1), &[]).unwrap();
        assert!(rules.iter().all(|rule| rule.action == Action::Errno(1) && rule.args.len() == 1));
    }
}

#[test]
fn expansion_is_capped() {
    let many = vec!["@known"; 100];
    assert_eq!(resolve(&many, Action::Allow, &[]), Err(GroupError::TooMany));
}

/// What the newest kernel headers of the libc crate say, as far as they go.
#[test]
fn tables_agree_with_libc() {
    macro_rules! check {
        ($($call:ident $constant:ident),* $(,)?) => {
            [$((stringify!($call), libc::$constant)),*]
        };
    }
    let constants = check!(
        read SYS_read, write SYS_write, close SYS_close, lseek SYS_lseek, mmap SYS_mmap, mprotect SYS_mprotect,
        munmap SYS_munmap, brk SYS_brk, rt_sigaction SYS_rt_sigaction, rt_sigreturn SYS_rt_sigreturn,
        ioctl SYS_ioctl, pread64 SYS_pread64, readv SYS_readv, sched_yield SYS_sched_yield, mremap SYS_mremap,
        msync SYS_msync, mincore SYS_mincore, madvise SYS_madvise, shmget SYS_shmget, shmat SYS_shmat,
        dup SYS_dup, nanosleep SYS_nanosleep, getpid SYS_getpid, sendfile SYS_sendfile, socket SYS_socket,
        connect SYS_connect, accept SYS_accept, sendto SYS_sendto, recvfrom SYS_recvfrom, bind SYS_bind,
        clone SYS_clone, execve SYS_execve, exit SYS_exit, wait4 SYS_wait4, kill SYS_kill, uname SYS_uname,
        fcntl SYS_fcntl, flock SYS_flock, fsync SYS_fsync, truncate SYS_truncate, getcwd SYS_getcwd,
        chdir SYS_chdir, fchmod SYS_fchmod, umask SYS_umask, gettimeofday SYS_gettimeofday, getrusage SYS_getrusage,
        sysinfo SYS_sysinfo, ptrace SYS_ptrace, getuid SYS_getuid, syslog SYS_syslog, setuid SYS_setuid,
        setpgid SYS_setpgid, setsid SYS_setsid, setgroups SYS_setgroups, capget SYS_capget, capset SYS_capset,
        personality SYS_personality, statfs SYS_statfs, prctl SYS_prctl, adjtimex SYS_adjtimex, chroot SYS_chroot,
        sync SYS_sync, acct SYS_acct, settimeofday SYS_settimeofday, mount SYS_mount, umount2 SYS_umount2,
        swapon SYS_swapon, reboot SYS_reboot, init_module SYS_init_module, quotactl SYS_quotactl,
        gettid SYS_gettid, futex SYS_futex, sched_setaffinity SYS_sched_setaffinity, io_setup SYS_io_setup,
        getdents64 SYS_getdents64, timer_create SYS_timer_create, clock_gettime SYS_clock_gettime,
        exit_group SYS_exit_group, tgkill SYS_tgkill, mbind SYS_mbind, mq_open SYS_mq_open, waitid SYS_waitid,
        add_key SYS_add_key, keyctl SYS_keyctl, inotify_add_watch SYS_inotify_add_watch,
        migrate_pages SYS_migrate_pages, openat SYS_openat, mkdirat SYS_mkdirat, unlinkat SYS_unlinkat,
        newfstatat SYS_newfstatat, readlinkat SYS_readlinkat, faccessat SYS_faccessat, pselect6 SYS_pselect6,
        ppoll SYS_ppoll, unshare SYS_unshare, splice SYS_splice, tee SYS_tee, vmsplice SYS_vmsplice,
        utimensat SYS_utimensat, epoll_pwait SYS_epoll_pwait, timerfd_create SYS_timerfd_create,
        fallocate SYS_fallocate, accept4 SYS_accept4, eventfd2 SYS_eventfd2, dup3 SYS_dup3, pipe2 SYS_pipe2,
        preadv SYS_preadv, perf_event_open SYS_perf_event_open, recvmmsg SYS_recvmmsg,
        fanotify_init SYS_fanotify_init, prlimit64 SYS_prlimit64, name_to_handle_at SYS_name_to_handle_at,
        open_by_handle_at SYS_open_by_handle_at, syncfs SYS_syncfs, setns SYS_setns, getcpu SYS_getcpu,
        process_vm_readv SYS_process_vm_readv, kcmp SYS_kcmp, finit_module SYS_finit_module,
        sched_setattr SYS_sched_setattr, renameat2 SYS_renameat2, seccomp SYS_seccomp, getrandom SYS_getrandom,
        memfd_create SYS_memfd_create, bpf SYS_bpf, execveat SYS_execveat, userfaultfd SYS_userfaultfd,
        membarrier SYS_membarrier, mlock2 SYS_mlock2, copy_file_range SYS_copy_file_range, preadv2 SYS_preadv2,
        pkey_mprotect SYS_pkey_mprotect, statx SYS_statx, rseq SYS_rseq, pidfd_send_signal SYS_pidfd_send_signal,
        io_uring_setup SYS_io_uring_setup, open_tree SYS_open_tree, move_mount SYS_move_mount, fsopen SYS_fsopen,
        fsconfig SYS_fsconfig, fsmount SYS_fsmount, pidfd_open SYS_pidfd_open, clone3 SYS_clone3,
        close_range SYS_close_range, openat2 SYS_openat2, pidfd_getfd SYS_pidfd_getfd, faccessat2 SYS_faccessat2,
        process_madvise SYS_process_madvise, epoll_pwait2 SYS_epoll_pwait2, mount_setattr SYS_mount_setattr,
        quotactl_fd SYS_quotactl_fd, landlock_create_ruleset SYS_landlock_create_ruleset,
        landlock_add_rule SYS_landlock_add_rule, landlock_restrict_self SYS_landlock_restrict_self,
        memfd_secret SYS_memfd_secret, process_mrelease SYS_process_mrelease, futex_waitv SYS_futex_waitv,
        set_mempolicy_home_node SYS_set_mempolicy_home_node, mseal SYS_mseal,
    );
    for (call, number) in constants {
        assert_eq!(names::lookup(call, Arch::NATIVE), names::Known::Here(number as u32), "{call}");
    }
}
