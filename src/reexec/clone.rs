//! A child that shares the launcher's memory until it has replaced its own (`CLONE_VM | CLONE_VFORK`): safe
//! with any number of threads, and its price does not grow with the launcher's memory.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};

use super::syscall::{clone_call, syscall};

/// Room for the few system calls of the child, with an unmapped page below.
const STACK_SIZE: usize = 64 * 1024;
const GUARD_SIZE: usize = 64 * 1024;

/// `CLONE_CLEAR_SIGHAND` and `CLONE_INTO_CGROUP` (Linux 5.5 and 5.7) exist for `clone3` only.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The low byte is the exit signal for `clone`; `CLONE_NEWTIME` lies in it and so needs `clone3`.
const CSIGNAL: u64 = 0xff;

/// How the child came to be.
pub(super) struct Cloned {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
}

/// A stack for the child.
#[derive(Debug)]
struct Stack(*mut c_void);

// SAFETY: a mapping that is used by the owner of the value.
unsafe impl Send for Stack {}

/// One that is not used at the moment. Most callers start one child after the other, and to unmap memory that
/// has been on two processors takes as long as a small wall.
static SPARE: Mutex<Option<Stack>> = Mutex::new(None);

impl Stack {
    fn new() -> io::Result<Stack> {
        if let Some(spare) = SPARE.try_lock().ok().and_then(|mut spare| spare.take()) {
            return Ok(spare);
        }
        // SAFETY: a fresh anonymous mapping, placed by the kernel.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                GUARD_SIZE + STACK_SIZE,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack(base);
        // SAFETY: the upper part of the mapping that was just made.
        let done = unsafe { libc::mprotect(stack.usable(), STACK_SIZE, libc::PROT_READ | libc::PROT_WRITE) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    fn usable(&self) -> *mut c_void {
        // SAFETY: within the mapping.
        unsafe { self.0.byte_add(GUARD_SIZE) }
    }
}

impl Drop for Stack {
    /// The child that ran on it has another memory by now, or has ended.
    fn drop(&mut self) {
        match SPARE.try_lock() {
            Ok(mut spare) if spare.is_none() => *spare = Some(Stack(self.0)),
            // SAFETY: our own mapping, and no thread runs on it.
            _ => drop(unsafe { libc::munmap(self.0, GUARD_SIZE + STACK_SIZE) }),
        }
    }
}

/// All signals held back in this thread for as long as the value lives.
struct SignalsHeld(u64);

impl SignalsHeld {
    fn new() -> SignalsHeld {
        let all = u64::MAX;
        let mut old = 0u64;
        // SAFETY: two masks of the kernel's size; libc's own function would leave its internal signals out.
        unsafe { sigprocmask(libc::SIG_BLOCK, &all, &mut old) };
        SignalsHeld(old)
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { sigprocmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}

/// `rt_sigprocmask(2)`, which cannot fail with valid arguments.
///
/// # Safety
/// `new` is readable; `old` is null or writable.
#[inline(always)]
pub(super) unsafe fn sigprocmask(how: i32, new: *const u64, old: *mut u64) -> isize {
    // SAFETY: the caller's.
    unsafe {
        syscall(libc::SYS_rt_sigprocmask, [how as usize, new as usize, old as usize, size_of::<u64>(), 0])
    }
}

/// Starts `entry(argument)` in a child that shares this memory; returns when it has called `execve` or ended,
/// which `CLONE_VFORK` sees to. What signal its end is told by until it has executed (0: none) tells whether
/// it has: `execve` makes it `SIGCHLD`.
///
/// # Safety
/// `entry` calls nothing of libc, does not return, unwind or allocate, and `argument` is what it expects.
/// With the old `clone` call (kernels and containers whose `clone3` is `ENOSYS`) `entry` itself must clear
/// the signal handlers: see `must_clear_handlers`, which is called before the clone.
pub(super) unsafe fn clone_into(
    flags: u64,
    exit_signal: libc::c_int,
    cgroup: Option<BorrowedFd<'_>>,
    entry: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
    must_clear_handlers: impl FnOnce(),
) -> io::Result<Cloned> {
    let stack = Stack::new()?;
    let flags = flags | libc::CLONE_VFORK as u64;
    // SAFETY: the caller's promise. The stack lives until the child has another memory or has ended.
    unsafe { clone_on(&stack, flags, exit_signal, cgroup, entry, argument, must_clear_handlers) }
}

/// Runs `entry(argument)` in another thread of this process while this one does `work`, and returns once that
/// thread is gone. From the end of `work` on this thread makes no system call.
///
/// # Safety
/// `entry` makes system calls only, uses nothing of libc, does not return or unwind, and ends its thread by
/// itself once `work` is done. `argument` is what it expects.
pub(crate) unsafe fn with_helper_thread<R>(
    entry: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
    work: impl FnOnce() -> R,
) -> io::Result<R> {
    const FLAGS: c_int = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_CHILD_CLEARTID;
    let stack = Stack::new()?;
    // 0 once the thread is gone (CLONE_CHILD_CLEARTID).
    let there = AtomicI32::new(1);
    let top = stack.usable().addr() + STACK_SIZE;
    let address = ptr::from_ref(&there).addr();
    // SAFETY: clone(flags, stack, parent_tid, child_tid and tls, in either order): without CLONE_SETTLS the
    // kernel uses one of the two. The stack is the thread's alone until it is gone; the rest is the caller's
    // promise.
    let pid =
        unsafe { clone_call(libc::SYS_clone, [FLAGS as usize, top, 0, address, address], entry, argument) };
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(-pid as i32));
    }
    let result = work();
    while there.load(Ordering::Acquire) != 0 {
        std::hint::spin_loop();
    }
    // The stack becomes the spare one, whose place is free since `Stack::new`: no call.
    Ok(result)
}

/// A child of [`clone_helper`]: ended and reaped when the value is dropped.
#[derive(Debug)]
pub(crate) struct HelperProcess {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    stack: ManuallyDrop<Stack>,
}

impl Drop for HelperProcess {
    fn drop(&mut self) {
        // It is ours and has not been waited for, so its number is its own, where a pidfd is refused.
        let by_pidfd = crate::sys::process::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL).is_ok();
        // SAFETY: numbers only.
        if !by_pidfd && unsafe { libc::kill(self.pid, libc::SIGKILL) } != 0 {
            // It goes on, on its stack, until the thread that made it ends.
            return;
        }
        // In doubt the stack stays as it is: another child may get it.
        if crate::sys::process::wait_pidfd(self.pidfd.as_fd(), libc::__WALL).is_ok() {
            // SAFETY: dropped once, and no thread is left to run on it.
            unsafe { ManuallyDrop::drop(&mut self.stack) };
        }
    }
}

/// Starts a child in new namespaces, in this memory, that does nothing but be there: it costs no execution.
/// It blocks all signals, ends with the thread that starts it, and raises no `SIGCHLD` at its end.
pub(crate) fn clone_helper(flags: u64) -> io::Result<HelperProcess> {
    let stack = Stack::new()?;
    // SAFETY: no preconditions.
    let parent = unsafe { libc::getpid() } as usize;
    // SAFETY: `idle` keeps to system calls, never returns, takes a number for its argument, and has no
    // handlers to clear as it blocks all signals (they are held while it is cloned). The stack goes after the
    // child.
    let cloned =
        unsafe { clone_on(&stack, flags, 0, None, idle, ptr::without_provenance_mut(parent), || ()) }?;
    Ok(HelperProcess { pid: cloned.pid, pidfd: cloned.pidfd, stack: ManuallyDrop::new(stack) })
}

/// The body of [`clone_helper`]'s child.
extern "C" fn idle(parent: *mut c_void) -> ! {
    let sigkill = libc::SIGKILL as usize;
    // SAFETY: numbers only.
    let tied = unsafe {
        syscall(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, sigkill, 0, 0, 0]) == 0
            && syscall(libc::SYS_getppid, [0; 5]) == parent.addr() as isize
    };
    // Waits for a signal, of which none but SIGKILL comes (ppoll(2) of no descriptors, for ever, is on every
    // machine); or ends.
    let call = if tied { libc::SYS_ppoll } else { libc::SYS_exit };
    loop {
        // SAFETY: no pointers.
        unsafe { syscall(call, [0; 5]) };
    }
}

/// # Safety
/// As [`clone_into`], and the stack is the child's alone until it has called `execve` or ended.
unsafe fn clone_on(
    stack: &Stack,
    flags: u64,
    exit_signal: libc::c_int,
    cgroup: Option<BorrowedFd<'_>>,
    entry: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
    must_clear_handlers: impl FnOnce(),
) -> io::Result<Cloned> {
    let mut pidfd: libc::c_int = -1;
    let shared = (libc::CLONE_VM | libc::CLONE_PIDFD) as u64;
    let into_cgroup = if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    // SAFETY: all zero is a valid clone_args.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | shared | CLONE_CLEAR_SIGHAND | into_cgroup;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = exit_signal as u64;
    args.stack = stack.usable() as u64;
    args.stack_size = STACK_SIZE as u64;
    args.cgroup = cgroup.map_or(0, |fd| fd.as_raw_fd() as u64);

    let held = SignalsHeld::new();
    let address = &raw const args as usize;
    // SAFETY: a complete clone_args with a stack of its own; the rest is the caller's promise.
    let mut pid = unsafe {
        clone_call(libc::SYS_clone3, [address, size_of::<libc::clone_args>(), 0, 0, 0], entry, argument)
    };
    if pid == -(libc::ENOSYS as isize) && cgroup.is_none() && flags & CSIGNAL == 0 {
        must_clear_handlers();
        let top = args.stack as usize + STACK_SIZE;
        let old_style = (flags | shared) as usize | exit_signal as usize;
        // SAFETY: clone(flags, stack, parent_tid = where the pidfd goes, 0, 0); the unused ones are zero on
        // both architectures, so that their different order does not matter.
        pid = unsafe {
            clone_call(libc::SYS_clone, [old_style, top, &raw mut pidfd as usize, 0, 0], entry, argument)
        };
    }
    drop(held);
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(-pid as i32));
    }
    // SAFETY: the kernel made this descriptor for us (CLONE_PIDFD), close-on-exec.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned { pid: pid as i32, pidfd })
}
