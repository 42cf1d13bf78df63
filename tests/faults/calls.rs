//! What is known of single system calls: names, which of them build a wall, and what their success looks
//! like.

use crate::injector::{Call, Change};

/// The name of a call, for messages; `what` of those that are many in one is part of it.
pub fn show(call: &Call) -> String {
    let number = call.number;
    let name = NAMES
        .iter()
        .find(|(other, _)| *other == number)
        .map_or_else(|| format!("call {number}"), |(_, name)| (*name).to_owned());
    let words: Vec<String> = call.args.iter().map(|arg| format!("{arg:#x}")).collect();
    format!("{name}({})", words.join(", "))
}

/// What makes two calls of a process the same for the reduced sweep: the name, and what a call that is many
/// in one does.
pub fn key(call: &Call) -> (i64, u64) {
    let what = match call.number {
        libc::SYS_prctl => {
            call.args[0] << 8 | if call.args[0] == libc::PR_CAP_AMBIENT as u64 { call.args[1] } else { 0 }
        }
        libc::SYS_fcntl | libc::SYS_ioctl | libc::SYS_fsconfig => call.args[1],
        libc::SYS_prlimit64 => u64::from(call.args[2] != 0),
        _ => 0,
    };
    (call.number, what)
}

/// Whether the kernel ever says that it failed.
pub fn can_fail(call: &Call) -> bool {
    ![
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_getppid,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_umask,
    ]
    .contains(&call.number)
}

/// Which argument of a call is the length that may be cut.
pub fn length_argument(call: &Call) -> Option<usize> {
    match call.number {
        libc::SYS_read | libc::SYS_write | libc::SYS_pread64 | libc::SYS_pwrite64 if call.args[2] > 1 => {
            Some(2)
        }
        libc::SYS_getrandom if call.args[1] > 1 => Some(1),
        _ => None,
    }
}

/// Whether the call builds a wall, or is part of one: a false success has to be noticed.
pub fn is_wall(call: &Call) -> bool {
    match call.number {
        libc::SYS_mount_setattr
        | libc::SYS_move_mount
        | libc::SYS_pivot_root
        | libc::SYS_umount2
        | libc::SYS_capset
        | libc::SYS_setresuid
        | libc::SYS_setresgid
        | libc::SYS_setgroups
        | libc::SYS_landlock_restrict_self
        | libc::SYS_landlock_add_rule
        | libc::SYS_seccomp
        | libc::SYS_setsid
        | libc::SYS_setrlimit
        | libc::SYS_sethostname
        | libc::SYS_setdomainname
        | libc::SYS_close_range
        | libc::SYS_umask
        | libc::SYS_chdir
        | libc::SYS_fchdir
        | libc::SYS_dup2
        | libc::SYS_dup3
        | libc::SYS_timerfd_settime
        | libc::SYS_fsconfig
        | libc::SYS_mkdirat
        | libc::SYS_symlinkat
        | libc::SYS_rt_sigaction
        | libc::SYS_rt_sigprocmask => true,
        libc::SYS_prlimit64 => call.args[2] != 0,
        libc::SYS_fcntl => [libc::F_SETFD, libc::F_ADD_SEALS].contains(&(call.args[1] as i32)),
        libc::SYS_prctl => [
            libc::PR_SET_NO_NEW_PRIVS,
            libc::PR_CAPBSET_DROP,
            libc::PR_SET_SECUREBITS,
            libc::PR_CAP_AMBIENT,
            libc::PR_SET_DUMPABLE,
            libc::PR_SET_PDEATHSIG,
            libc::PR_SET_CHILD_SUBREAPER,
        ]
        .contains(&(call.args[0] as i32)),
        // Numbers, id maps, small files; a plan or a report is no wall.
        libc::SYS_write | libc::SYS_pwrite64 => call.args[2] < 256,
        _ => false,
    }
}

/// Whether each such call is about another thing (a mount, an id map, a limit): then each is faked, not only
/// the first.
pub fn is_each_another(call: &Call) -> bool {
    [
        libc::SYS_mount_setattr,
        libc::SYS_move_mount,
        libc::SYS_umount2,
        libc::SYS_fsconfig,
        libc::SYS_fchdir,
        libc::SYS_chdir,
        libc::SYS_write,
        libc::SYS_pwrite64,
    ]
    .contains(&call.number)
}

/// What the call would have returned.
pub fn success(call: &Call) -> i64 {
    match call.number {
        libc::SYS_write | libc::SYS_pwrite64 => call.args[2] as i64,
        libc::SYS_dup2 | libc::SYS_dup3 => call.args[1] as i64,
        libc::SYS_setsid => 1,
        _ => 0,
    }
}

pub fn kind(change: &Change) -> &'static str {
    match change {
        Change::Fail(_) => "error",
        Change::Fake(_) => "fake",
        Change::Short(_) => "short",
        Change::Kill(_) => "kill",
    }
}

pub fn show_change(change: &Change) -> String {
    match change {
        Change::Fail(errno) => format!("fails with {:?}", nix::errno::Errno::from_raw(*errno)),
        Change::Fake(value) => format!("pretends to return {value}"),
        Change::Short(_) => "is cut to one byte".to_owned(),
        Change::Kill(places) => format!("kill {places:?}"),
    }
}

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

const NAMES: &[(i64, &str)] = names!(
    SYS_read SYS_write SYS_open SYS_close SYS_stat SYS_fstat SYS_lstat SYS_poll SYS_lseek SYS_mmap SYS_mprotect SYS_munmap SYS_brk
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_ioctl SYS_pread64 SYS_pwrite64 SYS_readv SYS_writev SYS_access SYS_pipe SYS_dup SYS_dup2
    SYS_getpid SYS_socket SYS_sendmsg SYS_recvmsg SYS_sendto SYS_recvfrom SYS_bind SYS_socketpair SYS_getsockopt SYS_clone SYS_fork SYS_vfork SYS_execve
    SYS_wait4 SYS_kill SYS_uname SYS_fcntl SYS_ftruncate SYS_getcwd SYS_chdir SYS_fchdir SYS_readlink SYS_umask SYS_getuid SYS_getgid
    SYS_setgroups SYS_getgroups SYS_setresuid SYS_getresuid SYS_setresgid SYS_getresgid SYS_setsid SYS_getsid SYS_capget SYS_capset
    SYS_sigaltstack SYS_statfs SYS_fstatfs SYS_pivot_root SYS_prctl SYS_arch_prctl SYS_setrlimit SYS_sethostname SYS_setdomainname
    SYS_gettid SYS_futex SYS_sched_getaffinity SYS_set_tid_address SYS_umount2 SYS_clock_gettime SYS_clock_nanosleep SYS_exit_group SYS_waitid
    SYS_openat SYS_mkdirat SYS_newfstatat SYS_symlinkat SYS_readlinkat SYS_fchmodat SYS_set_robust_list SYS_timerfd_create SYS_timerfd_settime
    SYS_timerfd_gettime SYS_signalfd4 SYS_dup3 SYS_pipe2 SYS_prlimit64 SYS_getrandom SYS_memfd_create SYS_execveat SYS_statx SYS_rseq SYS_pidfd_send_signal
    SYS_open_tree SYS_move_mount SYS_fsopen SYS_fsconfig SYS_fsmount SYS_pidfd_open SYS_clone3 SYS_close_range SYS_openat2
    SYS_faccessat2 SYS_mount_setattr SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self SYS_seccomp
    SYS_shutdown SYS_getdents64 SYS_timer_create SYS_timer_settime SYS_timer_delete SYS_rt_sigtimedwait SYS_tgkill SYS_getppid SYS_getrlimit SYS_alarm SYS_setitimer
    SYS_getegid SYS_geteuid SYS_clock_getres
);
