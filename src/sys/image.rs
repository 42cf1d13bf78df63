//! The memory of this process's own image.

use std::ffi::c_void;

use nix::errno::Errno;

use super::check;

/// `DT_NULL`, `DT_TEXTREL`, `DT_FLAGS`, `DF_TEXTREL` of elf(5).
const END: i64 = 0;
const TEXTREL: i64 = 22;
const FLAGS: i64 = 30;
const FLAG_TEXTREL: u64 = 4;

/// `madvise(2)`, `MADV_DONTNEED`, on all that is mapped from the program's file and never written: what is
/// used again comes back from the page cache. A process that only waits need not keep mapped what it started
/// with.
pub(crate) fn drop_clean_pages() -> Result<(), Errno> {
    // SAFETY (of a call): `data` is this function's result, `info` is libc's: dl_iterate_phdr(3) below, the
    // only one to call it.
    unsafe extern "C" fn visit(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        data: *mut c_void,
    ) -> libc::c_int {
        // SAFETY: dl_iterate_phdr hands us a valid record and our own pointer back.
        let (info, result) = unsafe { (&*info, &mut *data.cast::<Result<(), Errno>>()) };
        // SAFETY: the program headers of a loaded object.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        // What was relocated in its read-only segments would be lost.
        let dynamic = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC);
        // SAFETY: the dynamic section of a loaded object.
        if dynamic.is_some_and(|header| unsafe { relocates_text(info.dlpi_addr + header.p_vaddr) }) {
            return 1;
        }
        for header in headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0) {
            *result = result.and(forget(info.dlpi_addr + header.p_vaddr, header.p_memsz));
        }
        // The first object is the program itself; the libraries' pages are everybody's.
        1
    }

    let mut result = Ok(());
    // SAFETY: `visit` fits, and `result` lives over the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut result).cast()) };
    result
}

/// Whether the object was linked with relocations of its read-only segments.
///
/// # Safety
/// `section` is the address of a loaded object's dynamic section.
unsafe fn relocates_text(section: u64) -> bool {
    let mut entry = section as *const (i64, u64);
    loop {
        // SAFETY: within the section, which ends with an entry of DT_NULL.
        match unsafe { *entry } {
            (END, _) => return false,
            (TEXTREL, _) => return true,
            (FLAGS, flags) if flags & FLAG_TEXTREL != 0 => return true,
            // SAFETY: there is another entry behind one that is not DT_NULL.
            _ => entry = unsafe { entry.add(1) },
        }
    }
}

/// Unmaps the pages of a part of a file's private, never written mapping.
fn forget(start: u64, length: u64) -> Result<(), Errno> {
    let page = u64::try_from(nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.unwrap_or(4096))
        .map_err(|_| Errno::EINVAL)?;
    let (first, end) = (start & !(page - 1), (start + length).next_multiple_of(page));
    // SAFETY: whole pages of a mapping that is read again from its file when it is touched, with the same
    // content.
    check(unsafe { libc::syscall(libc::SYS_madvise, first, end - first, libc::MADV_DONTNEED) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    static TEXT: [u8; 1 << 16] = [7; 1 << 16];

    /// Pages of `TEXT` that are mapped here (proc_pid_smaps(5)).
    fn resident() -> u64 {
        let address = TEXT.as_ptr() as u64;
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let mut inside = false;
        for line in smaps.lines() {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            let range = range.and_then(|(start, end)| {
                Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
            });
            if let Some(range) = range {
                inside = range.contains(&address);
            } else if inside && let Some(size) = line.strip_prefix("Rss:") {
                return size.trim().trim_end_matches(" kB").parse().expect("a number");
            }
        }
        panic!("no mapping at {address:#x}");
    }

    #[test]
    fn what_is_let_go_comes_back() {
        let sum = || TEXT.iter().map(|&byte| u64::from(std::hint::black_box(byte))).sum::<u64>();
        let expected = 7 << 16;
        assert_eq!(sum(), expected);
        let before = resident();
        drop_clean_pages().expect("madvise");
        // Other tests run beside this one, and what they read comes back at once.
        assert!(resident() < before, "{before}");
        assert_eq!(sum(), expected);
    }
}
