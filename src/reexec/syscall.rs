//! The system call instruction itself.
//!
//! Between `clone3(CLONE_VM | CLONE_VFORK)` and `execve` the child shares the launcher's memory, `errno` and
//! thread-local storage included, so nothing of libc may be called there: a libc wrapper writes `errno`, and
//! may take a lock that another thread holds for ever.

use std::arch::asm;

/// One raw system call; the kernel's answer as it is (`-errno` on failure).
///
/// # Safety
/// As for the system call that is named by `number`.
#[inline(always)]
pub(crate) unsafe fn syscall(number: libc::c_long, args: [usize; 5]) -> isize {
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel's calling convention: it changes rax, rcx and r11 and touches no stack of ours. The
    // caller answers for what the call itself does.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2], in("r10") args[3], in("r8") args[4],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above; only x0 is changed.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4],
            options(nostack),
        );
    }
    result
}

/// A `clone`-like system call whose child starts `entry(argument)` on the stack that the arguments name.
///
/// Returns in the launcher only: the child's id, or `-errno`. The child never comes back to this function,
/// which is why it must be assembly and not `libc::syscall`: that would return on a stack it shares with the
/// launcher.
///
/// # Safety
/// `number` and `args` are a `clone`/`clone3` call with a new, 16-byte aligned stack; `entry` never returns
/// or unwinds; `argument` is valid for it until the child has called `execve` or ended (`CLONE_VFORK` holds
/// the launcher until then).
#[inline(never)]
pub(super) unsafe fn clone_call(
    number: libc::c_long,
    args: [usize; 5],
    entry: extern "C" fn(*mut libc::c_void) -> !,
    argument: *mut libc::c_void,
) -> isize {
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: in the launcher this is one system call (rcx and r11 change). The child has the registers of
    // the launcher and its own stack, calls `entry`, and never passes the label.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2], in("r10") args[3], in("r8") args[4],
            in("r12") argument, in("r13") entry,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") number,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4],
            in("x20") argument, in("x21") entry,
            lateout("x30") _,
        );
    }
    result
}
