//! A filter that notifies of system calls (seccomp_unotify(2)): its listener is with the caller before the
//! program is executed.
//!
//! The process that loads the filter cannot send the listener: the filter may stop every call that this
//! takes. A thread that was made before is not below the filter and has the same descriptors: it sends the
//! listener, and closes it. The process itself makes no call until the thread is gone.

use std::ffi::c_void;
use std::os::fd::{IntoRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;

use crate::plan::Seccomp;
use crate::protocol::{Fault, Message};
use crate::{reexec, sys};

/// How long the thread sleeps before it looks again for what it sends.
const PAUSE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 20_000 };

/// What stands for a listener that is not there yet, and for one that does not come.
const AWAITED: RawFd = -1;
const NONE: RawFd = -2;

/// What both threads use.
struct Shared {
    listener: AtomicI32,
    /// The channel to the caller; the thread closes it, too.
    channel: RawFd,
    message: Vec<u8>,
    /// The errno of sending and closing; 0: both went well.
    errno: AtomicI32,
}

/// Loads a filter and has its listener sent. On an error the filter may be loaded all the same.
pub(super) fn load(plan: &Seccomp, channel: RawFd) -> Result<(), Fault> {
    let message = postcard::to_stdvec(&Message::Listener)
        .map_err(|_| Fault::Protocol { what: "the listener".to_owned() })?;
    let shared =
        Shared { listener: AtomicI32::new(AWAITED), channel, message, errno: AtomicI32::new(libc::EPIPE) };
    let work = || {
        let loaded = sys::process::load_filter_with_listener(&plan.program.instructions, plan.flags);
        // The thread closes it.
        let loaded = loaded.map(IntoRawFd::into_raw_fd);
        shared.listener.store(*loaded.as_ref().unwrap_or(&NONE), Ordering::Release);
        loaded
    };
    // SAFETY: `send` makes system calls only and does not return; what it is given outlives it.
    let loaded = unsafe { reexec::with_helper_thread(send, ptr::from_ref(&shared).cast_mut().cast(), work) };
    loaded
        .map_err(|error| Fault::system("clone", b"", Errno::from_raw(error.raw_os_error().unwrap_or(0))))?
        .map_err(Fault::on("seccomp", b"SECCOMP_SET_MODE_FILTER"))?;
    match shared.errno.load(Ordering::Acquire) {
        0 => Ok(()),
        errno => Err(Fault::system("sendmsg", b"the listener", Errno::from_raw(errno))),
    }
}

/// A control message with one descriptor (cmsg(3)), aligned as the kernel wants it.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    descriptor: RawFd,
}

/// The thread: it waits for the listener, sends it, and closes it and the channel.
extern "C" fn send(argument: *mut c_void) -> ! {
    // SAFETY: `load` passes its Shared, and waits for the end of this thread.
    let shared = unsafe { &*argument.cast::<Shared>() };
    let listener = loop {
        match shared.listener.load(Ordering::Acquire) {
            // SAFETY: a time that lives through the call.
            AWAITED => unsafe { call(libc::SYS_nanosleep, [ptr::from_ref(&PAUSE).addr(), 0, 0]) },
            listener => break listener,
        };
    };
    if listener != NONE {
        let errno = send_one(shared, listener);
        shared.errno.store(errno, Ordering::Release);
    }
    loop {
        // SAFETY: ends this thread alone.
        unsafe { call(libc::SYS_exit, [0; 3]) };
    }
}

/// The errno of what failed, or 0.
fn send_one(shared: &Shared, listener: RawFd) -> i32 {
    // SAFETY: plain data for which all zeroes is a value; the header's fields differ between C libraries.
    let (mut message, mut control) = unsafe { std::mem::zeroed::<(libc::msghdr, Control)>() };
    control.header.cmsg_level = libc::SOL_SOCKET;
    control.header.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: arithmetic only.
    control.header.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<RawFd>() as u32) } as _;
    control.descriptor = listener;
    let mut part =
        libc::iovec { iov_base: shared.message.as_ptr().cast_mut().cast(), iov_len: shared.message.len() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    let arguments = [shared.channel as usize, (&raw const message).addr(), libc::MSG_NOSIGNAL as usize];
    // SAFETY: a complete msghdr; all that it leads to lives through the call.
    let sent = unsafe { call(libc::SYS_sendmsg, arguments) };
    // SAFETY: numbers only; nothing else uses them any more.
    let closed =
        [listener, shared.channel].map(|number| unsafe { call(libc::SYS_close, [number as usize, 0, 0]) });
    let failed = [sent].into_iter().chain(closed).find(|result| *result < 0);
    failed.map_or(0, |result| i32::try_from(-result).unwrap_or(libc::EIO))
}

/// # Safety
/// As for the system call.
unsafe fn call(number: libc::c_long, [one, two, three]: [usize; 3]) -> isize {
    // SAFETY: the caller's.
    unsafe { reexec::syscall(number, [one, two, three, 0, 0]) }
}
