//! What the child does between the clone and the exec.
//!
//! It runs in the launcher's memory, so: system calls only, no allocation, no libc, nothing that could panic.
//! All that it needs was made ready by the launcher; the first failure is written to the plan and ends it.

use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::clone::sigprocmask;
use super::syscall::syscall;

/// A step of the child; what failed when a launch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum Step {
    /// `setsid(2)`
    Session = 1,
    /// `prctl(PR_SET_PDEATHSIG)`
    DeathSignal,
    /// The launcher ended before the child could tie itself to it.
    LauncherGone,
    /// `fcntl(F_DUPFD_CLOEXEC)` of a descriptor that the child is to have.
    Duplicate,
    /// `dup3(2)` to the number that the child is to have it under.
    Place,
    /// `close_range(CLOSE_RANGE_CLOEXEC)` of everything else (Linux 5.11).
    CloseOthers,
    /// `capset(2)` of the inheritable set.
    Capabilities,
    /// `prctl(PR_CAP_AMBIENT_RAISE)`
    Ambient,
    /// `chdir(2)` to the working directory.
    WorkingDirectory,
    /// `rt_sigaction(2)`
    Signals,
    /// `execve(2)` or `execveat(2)` of the own image.
    Exec,
}

impl Step {
    pub(super) fn from_raw(raw: u32) -> Option<Step> {
        use Step::*;
        [
            Session,
            DeathSignal,
            LauncherGone,
            Duplicate,
            Place,
            CloseOthers,
            Capabilities,
            Ambient,
            WorkingDirectory,
            Signals,
            Exec,
        ]
        .into_iter()
        .find(|step| *step as u32 == raw)
    }

    pub(super) fn describe(self) -> &'static str {
        match self {
            Step::Session => "start a session (setsid)",
            Step::DeathSignal => "set the parent-death signal (prctl)",
            Step::LauncherGone => "tie itself to its parent, which has ended",
            Step::Duplicate => "duplicate a descriptor (fcntl F_DUPFD_CLOEXEC)",
            Step::Place => "put a descriptor in its place (dup3)",
            Step::CloseOthers => "mark the other descriptors (close_range)",
            Step::Capabilities => "make its capabilities inheritable (capset)",
            Step::Ambient => "raise its ambient capabilities (prctl)",
            Step::WorkingDirectory => "enter the working directory (chdir)",
            Step::Signals => "reset a signal (rt_sigaction)",
            Step::Exec => "execute its own image (execve)",
        }
    }
}

/// Everything the child needs, in the launcher's memory.
pub(super) struct ChildPlan {
    /// Source descriptors; the index is the number the child has them under.
    pub(super) fds: *const c_int,
    /// As many, for the child's own use.
    pub(super) scratch: *mut c_int,
    pub(super) fd_count: usize,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    /// Null: stay.
    pub(super) cwd: *const c_char,
    /// May the literal `/proc/self/exe` be executed.
    pub(super) by_path: bool,
    /// The image by descriptor, -1 if there is none.
    pub(super) image: c_int,
    /// Where the image's file should be in the child's own mounts, null if it is not to be looked for there,
    pub(super) named: *const c_char,
    /// and which file it has to be: device and inode.
    pub(super) identity: (u64, u64),
    pub(super) new_session: bool,
    pub(super) death_signal: bool,
    pub(super) parent: i32,
    pub(super) raise_capabilities: u64,
    pub(super) clear_handlers: bool,
    /// Out: the step that failed (0: none), and its errno.
    pub(super) step: AtomicU32,
    pub(super) errno: AtomicI32,
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// The kernel's own `struct sigaction` (not libc's); all zero is `SIG_DFL`.
#[repr(C)]
struct KernelSigaction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// The child's body.
pub(super) extern "C" fn run(plan: *mut c_void) -> ! {
    // SAFETY: the launcher passes its ChildPlan, which outlives us: it is held until we have executed or
    // ended.
    let plan = unsafe { &*plan.cast::<ChildPlan>() };
    // SAFETY: the plan's pointers are valid as its fields say, and we are the child of a CLONE_VM clone.
    let (step, errno) = unsafe { attempt(plan) };
    plan.errno.store(errno, Ordering::Relaxed);
    plan.step.store(step as u32, Ordering::Release);
    loop {
        // SAFETY: ends this process; 127 is never seen, the launcher reads the plan instead.
        unsafe { syscall(libc::SYS_exit_group, [127, 0, 0, 0, 0]) };
    }
}

/// A step that failed, with its errno.
type Failed = (Step, i32);

macro_rules! call {
    ($n:expr, $a:expr) => { syscall($n, [$a as usize, 0, 0, 0, 0]) };
    ($n:expr, $a:expr, $b:expr) => { syscall($n, [$a as usize, $b as usize, 0, 0, 0]) };
    ($n:expr, $a:expr, $b:expr, $c:expr) => { syscall($n, [$a as usize, $b as usize, $c as usize, 0, 0]) };
    ($n:expr, $a:expr, $b:expr, $c:expr, $d:expr) => {
        syscall($n, [$a as usize, $b as usize, $c as usize, $d as usize, 0])
    };
    ($n:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr) => {
        syscall($n, [$a as usize, $b as usize, $c as usize, $d as usize, $e as usize])
    };
}

/// A call whose failure ends the step.
macro_rules! check {
    ($step:expr, $number:expr, $($arg:expr),* $(,)?) => {{
        // SAFETY: a system call on values of the plan; see each call.
        let result = unsafe { call!($number, $($arg),*) };
        if result < 0 {
            return Err(($step, (result as i32).wrapping_neg()));
        }
        result
    }};
}

/// Returns only on failure.
///
/// # Safety
/// The child of a `CLONE_VM | CLONE_VFORK` clone, with a valid plan.
#[inline(always)]
unsafe fn attempt(plan: &ChildPlan) -> Failed {
    // SAFETY: the caller's promise.
    match unsafe { prepare(plan) } {
        // SAFETY: the same.
        Ok(image) => unsafe { execute(plan, image) },
        Err(failed) => failed,
    }
}

/// All but the execution; gives the image's descriptor, or -1.
///
/// # Safety
/// As [`attempt`].
#[inline(always)]
unsafe fn prepare(plan: &ChildPlan) -> Result<c_int, Failed> {
    if plan.new_session {
        check!(Step::Session, libc::SYS_setsid, 0);
    }
    if plan.death_signal {
        check!(Step::DeathSignal, libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // 0: the launcher is outside of our pid namespace and cannot be named.
        let parent = check!(Step::DeathSignal, libc::SYS_getppid, 0) as i32;
        if parent != plan.parent && parent != 0 {
            return Err((Step::LauncherGone, libc::ESRCH));
        }
    }
    // SAFETY: the caller's promise.
    let image = unsafe { place_descriptors(plan) }?;
    if plan.raise_capabilities != 0 {
        raise_capabilities(plan.raise_capabilities)?;
    }
    if !plan.cwd.is_null() {
        check!(Step::WorkingDirectory, libc::SYS_chdir, plan.cwd);
    }
    reset_signals(plan.clear_handlers)?;
    Ok(image)
}

/// First everything out of the way of the numbers that are to be given, then into place.
///
/// # Safety
/// As [`attempt`].
#[inline(always)]
unsafe fn place_descriptors(plan: &ChildPlan) -> Result<c_int, Failed> {
    let mut index = 0;
    while index < plan.fd_count {
        // SAFETY: both arrays have fd_count elements.
        let source = unsafe { *plan.fds.add(index) };
        let high = check!(Step::Duplicate, libc::SYS_fcntl, source, libc::F_DUPFD_CLOEXEC, plan.fd_count);
        // SAFETY: as above, and nothing else uses the scratch space.
        unsafe { *plan.scratch.add(index) = high as c_int };
        index = index.wrapping_add(1);
    }
    let image = if plan.image >= 0 {
        check!(Step::Duplicate, libc::SYS_fcntl, plan.image, libc::F_DUPFD_CLOEXEC, plan.fd_count) as c_int
    } else {
        -1
    };
    index = 0;
    while index < plan.fd_count {
        // SAFETY: as above.
        let high = unsafe { *plan.scratch.add(index) };
        check!(Step::Place, libc::SYS_dup3, high, index, 0);
        index = index.wrapping_add(1);
    }
    check!(Step::CloseOthers, libc::SYS_close_range, plan.fd_count, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    Ok(image)
}

/// Makes those of `wanted` that are permitted inheritable, and raises them as ambient.
#[inline(always)]
fn raise_capabilities(wanted: u64) -> Result<(), Failed> {
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let mut data = [CapabilityData { effective: 0, permitted: 0, inheritable: 0 }; 2];
    check!(Step::Capabilities, libc::SYS_capget, &raw mut header, &raw mut data);
    let [low, high] = &mut data;
    low.inheritable = low.permitted & wanted as u32;
    high.inheritable = high.permitted & (wanted >> 32) as u32;
    let mut left = u64::from(low.inheritable) | u64::from(high.inheritable) << 32;
    check!(Step::Capabilities, libc::SYS_capset, &raw mut header, &raw const data);
    while left != 0 {
        let capability = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        check!(
            Step::Ambient,
            libc::SYS_prctl,
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_RAISE,
            capability,
            0,
            0
        );
    }
    Ok(())
}

/// SIGPIPE back to its default and no signal blocked, as std's Command does; SIGCHLD too, as a child that
/// inherits it ignored can wait for nothing that it starts. Handlers were cleared by the clone, or are here.
#[inline(always)]
fn reset_signals(clear_handlers: bool) -> Result<(), Failed> {
    const SIZE: usize = size_of::<u64>();
    let default = KernelSigaction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    let mut signal = 1i32;
    while clear_handlers && signal <= 64 {
        let mut old = KernelSigaction { handler: 0, flags: 0, restorer: 0, mask: 0 };
        check!(Step::Signals, libc::SYS_rt_sigaction, signal, 0, &raw mut old, SIZE);
        if old.handler != libc::SIG_DFL && old.handler != libc::SIG_IGN {
            check!(Step::Signals, libc::SYS_rt_sigaction, signal, &raw const default, 0, SIZE);
        }
        signal = signal.wrapping_add(1);
    }
    check!(Step::Signals, libc::SYS_rt_sigaction, libc::SIGPIPE, &raw const default, 0, SIZE);
    check!(Step::Signals, libc::SYS_rt_sigaction, libc::SIGCHLD, &raw const default, 0, SIZE);
    let none = 0u64;
    // SAFETY: a mask of the kernel's size.
    unsafe { sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut()) };
    Ok(())
}

/// Executes the image: by its name, by the path of procfs, by its descriptor.
///
/// # Safety
/// As [`attempt`].
#[inline(always)]
unsafe fn execute(plan: &ChildPlan, image: c_int) -> Failed {
    let mut errno = libc::ENOENT;
    if !plan.named.is_null() {
        // SAFETY: the caller's promise.
        unsafe { execute_named(plan) };
    }
    if plan.by_path {
        // SAFETY: a literal path, and two arrays that end with a null pointer.
        let result = unsafe { call!(libc::SYS_execve, c"/proc/self/exe".as_ptr(), plan.argv, plan.envp) };
        errno = (result as i32).wrapping_neg();
        let out_of_reach =
            errno == libc::ENOENT || errno == libc::ENOTDIR || errno == libc::EACCES || errno == libc::ELOOP;
        if !out_of_reach {
            return (Step::Exec, errno);
        }
    }
    if image >= 0 {
        // SAFETY: as above, with an empty path relative to the image's descriptor.
        let result = unsafe {
            call!(libc::SYS_execveat, image, c"".as_ptr(), plan.argv, plan.envp, libc::AT_EMPTY_PATH)
        };
        errno = (result as i32).wrapping_neg();
    }
    (Step::Exec, errno)
}

/// In a mount namespace of its own, the image by its name there (see `image::Named`). Where that is another
/// file by now, or cannot be had, it returns: the other ways lead to the image for sure.
///
/// # Safety
/// As [`attempt`]; there is a name.
#[inline(always)]
unsafe fn execute_named(plan: &ChildPlan) {
    let flags = libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: a path that ends with NUL.
    let found = unsafe { call!(libc::SYS_openat, libc::AT_FDCWD, plan.named, flags) };
    if found < 0 {
        return;
    }
    let mut file = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: an open descriptor, and room for what the kernel writes.
    let result = unsafe { call!(libc::SYS_fstat, found, file.as_mut_ptr()) };
    // SAFETY: written, if the call says so.
    if result == 0 && unsafe { ((*file.as_ptr()).st_dev, (*file.as_ptr()).st_ino) } == plan.identity {
        // SAFETY: an empty path relative to the descriptor, and two arrays that end with a null pointer.
        unsafe { call!(libc::SYS_execveat, found, c"".as_ptr(), plan.argv, plan.envp, libc::AT_EMPTY_PATH) };
    }
}
