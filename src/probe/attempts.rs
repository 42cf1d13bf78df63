//! What untrusted code would try first. Everything here is harmless where it is allowed: files are opened and
//! not written, states are set to what they are, and calls that would do something get arguments that are
//! wrong on purpose, so that the errno tells whether they were reached.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;

use libc::{c_int, c_uint, c_ulong};
use nix::errno::Errno;

use super::attempt::{Attempt, attempt};

/// A system call by number, in an attempt's child.
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        // SAFETY: each use passes what its manual page asks for: numbers, null, or pointers to what lives
        // through the call.
        Errno::result(unsafe { libc::syscall($number $(, $argument)*) }).map(drop)
    };
}

const NONE: *const u8 = std::ptr::null();

/// All attempts, in the order of the page.
pub(super) fn all() -> Vec<Attempt> {
    [files(), privileges(), kernel(), processes(), terminal(), foreign()].concat()
}

fn files() -> Vec<Attempt> {
    let mut attempts = vec![
        reading("/etc/shadow"),
        reading("/root/.ssh"),
        reading("/proc/1/environ"),
        reading("/proc/1/root"),
        reading("/proc/kcore"),
        reading("/dev/mem"),
        reading("/dev/kmsg"),
        reading("/sys/kernel"),
        writing("/usr", libc::O_TMPFILE),
        writing("/etc", libc::O_TMPFILE),
        writing("/proc/sysrq-trigger", 0),
        writing("/proc/sys/kernel/core_pattern", 0),
        writing("/sys/kernel/uevent_helper", 0),
    ];
    if let Some(home) = std::env::var_os("HOME") {
        let mut keys = reading(std::path::Path::new(&home).join(".ssh"));
        keys.name = "read ~/.ssh".to_owned();
        attempts.insert(1, keys);
    }
    attempts
}

fn reading(path: impl AsRef<std::path::Path>) -> Attempt {
    let path = path.as_ref();
    attempt(format!("read {}", path.display()), &[], || open(File::options().read(true), path))
}

fn writing(path: &str, flags: c_int) -> Attempt {
    attempt(format!("write {path}"), &[], || {
        open(File::options().write(true).custom_flags(flags), path.as_ref())
    })
}

/// Opens it, without waiting for the other end of a pipe and without taking a terminal.
fn open(options: &mut std::fs::OpenOptions, path: &std::path::Path) -> Result<(), Errno> {
    let tmpfile = |error: &std::io::Error| error.raw_os_error() == Some(libc::EOPNOTSUPP);
    match options.open(path) {
        Ok(_) => Ok(()),
        // Without unnamed files, the permissions decide.
        Err(error) if tmpfile(&error) => nix::unistd::access(path, nix::unistd::AccessFlags::W_OK),
        Err(error) => Err(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
    }
}

fn privileges() -> Vec<Attempt> {
    vec![
        attempt("become root (setresuid 0)", &[], || call!(libc::SYS_setresuid, 0, 0, 0)),
        attempt("chroot", &[], || call!(libc::SYS_chroot, c"/".as_ptr())),
        attempt("new user namespace", &[], || call!(libc::SYS_unshare, libc::CLONE_NEWUSER)),
        attempt("new mount namespace", &[], || call!(libc::SYS_unshare, libc::CLONE_NEWNS)),
        // Size 0 is no clone_args: the kernel says so before it makes anything.
        attempt("clone3", &[Errno::EINVAL], || call!(libc::SYS_clone3, NONE, 0_usize)),
        // Two propagation types at once are refused after the permission is checked.
        attempt("mount", &[Errno::EINVAL], || {
            call!(libc::SYS_mount, NONE, c"/".as_ptr(), NONE, libc::MS_PRIVATE | libc::MS_SHARED, NONE)
        }),
        attempt("umount", &[Errno::EINVAL, Errno::ENOENT], || {
            // MNT_EXPIRE and MNT_FORCE exclude each other.
            call!(libc::SYS_umount2, c"/".as_ptr(), libc::MNT_EXPIRE | libc::MNT_FORCE)
        }),
        attempt("fsopen", &[], || call!(libc::SYS_fsopen, c"tmpfs".as_ptr(), 1 as c_uint)),
        attempt("pivot_root", &[Errno::ENOENT], || call!(libc::SYS_pivot_root, c"".as_ptr(), c"".as_ptr())),
        attempt("mknod (a device)", &[], make_device),
        // A name that is too long is looked at after the permission.
        attempt("sethostname", &[Errno::EINVAL], || call!(libc::SYS_sethostname, NONE, 4096_usize)),
    ]
}

/// `/dev/null` by another name; only the attempt sees it, and takes it away.
fn make_device() -> Result<(), Errno> {
    let path = std::ffi::CString::new(format!("/tmp/.belljar-probe-{}", std::process::id()))
        .map_err(|_| Errno::EINVAL)?;
    call!(libc::SYS_mknodat, libc::AT_FDCWD, path.as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(1, 3))?;
    call!(libc::SYS_unlinkat, libc::AT_FDCWD, path.as_ptr(), 0)
}

fn kernel() -> Vec<Attempt> {
    vec![
        attempt("bpf (a map of one entry)", &[], || {
            // The first fields of union bpf_attr: BPF_MAP_TYPE_ARRAY, key, value, entries.
            let map: [u32; 5] = [2, 4, 4, 1, 0];
            call!(libc::SYS_bpf, 0, map.as_ptr(), size_of_val(&map))
        }),
        attempt("perf_event_open", &[], perf_event),
        attempt("io_uring_setup", &[], || {
            // struct io_uring_params is 120 bytes.
            let mut parameters = [0_u64; 15];
            call!(libc::SYS_io_uring_setup, 1 as c_uint, parameters.as_mut_ptr())
        }),
        attempt("userfaultfd", &[], || call!(libc::SYS_userfaultfd, libc::O_CLOEXEC)),
        attempt("keyctl", &[Errno::ENOKEY], || {
            // KEYCTL_GET_KEYRING_ID of the session's, without making one.
            call!(libc::SYS_keyctl, 0, -3 as libc::c_long, 0)
        }),
        attempt("add_key", &[Errno::EINVAL, Errno::EFAULT], || {
            call!(libc::SYS_add_key, NONE, NONE, NONE, 0_usize, 0)
        }),
        // No descriptor and no image.
        attempt("finit_module", &[Errno::EBADF], || call!(libc::SYS_finit_module, -1, c"".as_ptr(), 0)),
        // SYSLOG_ACTION_SIZE_BUFFER
        attempt("syslog", &[], || call!(libc::SYS_syslog, 10, NONE, 0)),
        attempt("quotactl", &[Errno::EINVAL, Errno::ENOENT, Errno::ENODEV, Errno::ENOTBLK], || {
            call!(libc::SYS_quotactl, -1, NONE, 0, NONE)
        }),
    ]
}

/// Counts this process's own CPU clock, user side only.
fn perf_event() -> Result<(), Errno> {
    // PERF_ATTR_SIZE_VER0: type (PERF_TYPE_SOFTWARE) and size, config (PERF_COUNT_SW_TASK_CLOCK), …, flags at
    // byte 40: disabled, exclude_kernel, exclude_hv.
    let mut attributes = [0_u64; 8];
    let size = size_of_val(&attributes) as u64;
    attributes[0] = 1 | size << 32;
    attributes[1] = 1;
    attributes[5] = 1 | 1 << 5 | 1 << 6;
    call!(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0 as c_ulong)
}

fn processes() -> Vec<Attempt> {
    let (own, parent) = (nix::unistd::getpid().as_raw(), nix::unistd::getppid().as_raw());
    vec![
        attempt("ptrace (be traced)", &[], || call!(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0)),
        reads_memory("read the memory of the parent", parent),
        reads_memory("read the memory of a process of its own", own),
        // The null signal only checks.
        attempt("signal pid 1", &[], || call!(libc::SYS_kill, 1, 0)),
        attempt("pidfd_getfd of the parent", &[], move || {
            let pidfd = Errno::result(
                // SAFETY: takes numbers.
                unsafe { libc::syscall(libc::SYS_pidfd_open, parent, 0 as c_uint) },
            )?;
            call!(libc::SYS_pidfd_getfd, pidfd, 0, 0 as c_uint)
        }),
    ]
}

/// One byte at address 0, where no process has memory.
fn reads_memory(name: &str, pid: c_int) -> Attempt {
    attempt(name, &[Errno::EFAULT], move || {
        let mut byte = 0_u8;
        let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let remote = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 1 };
        call!(
            libc::SYS_process_vm_readv,
            pid,
            &raw const local,
            1 as c_ulong,
            &raw const remote,
            1 as c_ulong,
            0 as c_ulong
        )
    })
}

/// On a pipe, never on a terminal: a filter answers before the kernel sees that it is none.
fn terminal() -> Vec<Attempt> {
    // The C libraries give it types of different width and sign.
    const TIOCSTI: u64 = libc::TIOCSTI as u32 as u64;
    let on_pipe = |name, request: u64| {
        attempt(name, &[Errno::ENOTTY], move || {
            let (reader, _writer) = nix::unistd::pipe()?;
            call!(libc::SYS_ioctl, std::os::fd::AsRawFd::as_raw_fd(&reader), request, c"x".as_ptr())
        })
    };
    vec![
        on_pipe("TIOCSTI", TIOCSTI),
        on_pipe("TIOCSTI with high bits", TIOCSTI | 1 << 32),
        on_pipe("TIOCLINUX", 0x541C),
        attempt("open /dev/tty", &[], || open(File::options().read(true), "/dev/tty".as_ref())),
    ]
}

/// Calls by another architecture's door.
#[cfg(target_arch = "x86_64")]
fn foreign() -> Vec<Attempt> {
    /// `__X32_SYSCALL_BIT`
    const X32: libc::c_long = 0x4000_0000;
    vec![
        attempt("x32 getpid", &[], || call!(libc::SYS_getpid | X32)),
        attempt("i386 getpid (int 0x80)", &[], || {
            let result: i64;
            // SAFETY: call 20 of the 32-bit table takes nothing and touches no memory; the kernel clears r8
            // to r11.
            unsafe {
                std::arch::asm!(
                    "int 0x80",
                    inlateout("rax") 20_i64 => result,
                    out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                    options(nostack),
                );
            }
            match result {
                1.. => Ok(()),
                error => Err(Errno::from_raw(i32::try_from(-error).unwrap_or(libc::EIO))),
            }
        }),
    ]
}

/// Calls by another architecture's door: a 64-bit process has none here.
#[cfg(not(target_arch = "x86_64"))]
fn foreign() -> Vec<Attempt> {
    Vec::new()
}
