//! Whether the file that the kernel executed is the one that holds our own code.
//!
//! `/proc/self/exe` is what execve(2) was given. Started as `ld.so PROGRAM`, under an emulator or by another
//! interpreter that is not the program: to execute it again would run a role's *arguments* as a program,
//! outside of every wall. In a shared library of another program (an extension of Python, say) it is that
//! program, which knows no roles.

use std::ffi::{CStr, OsStr, c_void};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::image::ImageError;

/// What the kernel says once does not change.
static BY_KERNEL: OnceLock<bool> = OnceLock::new();

/// An error unless our code is part of the program itself: the object that the dynamic loader has first in
/// its list.
pub(super) fn in_program() -> Result<(), ImageError> {
    struct Search {
        address: usize,
        first: bool,
        library: Option<PathBuf>,
    }

    // SAFETY (of a call): `data` is this function's Search, `info` is libc's: dl_iterate_phdr(3) below, the
    // only one to call it.
    unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, data: *mut c_void) -> libc::c_int {
        // SAFETY: dl_iterate_phdr hands us a valid record and our own pointer back.
        let (info, search) = unsafe { (&*info, &mut *data.cast::<Search>()) };
        // SAFETY: the program headers of a loaded object.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let ours = headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            search.address.wrapping_sub(start) < header.p_memsz as usize
        });
        if ours && !search.first && !info.dlpi_name.is_null() {
            // SAFETY: the object's name, which ends with NUL.
            let name = unsafe { CStr::from_ptr(info.dlpi_name) };
            search.library = Some(OsStr::from_bytes(name.to_bytes()).into());
        }
        search.first = false;
        libc::c_int::from(ours)
    }

    let mut search = Search { address: own_address(), first: true, library: None };
    // SAFETY: `visit` fits, and `search` lives over the call.
    let found = unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    match (found, search.library) {
        (1, None) => Ok(()),
        (_, library) => Err(ImageError::SharedLibrary { library: library.unwrap_or_default() }),
    }
}

/// An error unless the program that the kernel executed, and so `/proc/self/exe`, holds our code. `/proc` is
/// in reach.
pub(super) fn executed() -> Result<(), ImageError> {
    in_program()?;
    let ours = BY_KERNEL.get_or_init(|| {
        // One read: the line is shorter than this.
        let mut stat = [0; 1024];
        let read = File::open("/proc/self/stat").and_then(|mut file| file.read(&mut stat));
        let stat = stat.get(..read.unwrap_or(0)).unwrap_or_default();
        code(stat).is_some_and(|(start, end)| (start..end).contains(&own_address()))
    });
    match ours {
        true => Ok(()),
        false => Err(ImageError::Interpreter {
            executed: std::fs::read_link("/proc/self/exe").unwrap_or_default(),
        }),
    }
}

/// Where the executable segments of the file are that the kernel executed: `startcode` and `endcode` of
/// proc_pid_stat(5).
fn code(stat: &[u8]) -> Option<(usize, usize)> {
    // The name is in parentheses and may have any in it.
    let name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(name + 1..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace().skip(26 - 3);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Of a function of this crate.
fn own_address() -> usize {
    in_program as *const () as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_the_kernels() {
        let stat = b"7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 4096 8192 25 26\n";
        assert_eq!(code(stat), Some((4096, 8192)));
        for cut in [
            &b""[..],
            b"7 (x",
            b"7 (x) S 1 2",
            b"7 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 a b",
        ] {
            assert_eq!(code(cut), None);
        }
    }

    #[test]
    fn a_test_program_is_its_own_image() {
        in_program().expect("the test program has this code");
        executed().expect("and was executed by the kernel");
    }
}
