//! What makes a process a re-executed child: a sealed memfd on descriptor 3 that says which role to run.
//!
//! `argv[0]` is for `ps` only and proves nothing. The seals (memfd_create(2), fcntl(2) `F_ADD_SEALS`) make
//! sure that what was checked is what is used.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::sys::memory;

/// Where the child finds its credential, its end of the channel, and the first of the extra descriptors.
pub(crate) const CREDENTIAL_FD: i32 = 3;
pub(crate) const CHANNEL_FD: i32 = 4;
pub(crate) const FIRST_EXTRA_FD: i32 = 5;

/// The largest payload of a role, in bytes.
pub const MAX_PAYLOAD: usize = 16 * 1024 * 1024;
/// The longest name of a role, in bytes.
pub const MAX_ROLE_NAME: usize = 255;
/// The most extra descriptors.
pub(crate) const MAX_EXTRA: usize = 256;

pub(super) const MAGIC: [u8; 16] = *b"belljar reexec\r\n";
const VERSION: u32 = 1;
const HEADER: usize = 56;

const SEALS: i32 = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// Names the launch: sent back in the child's hello.
pub(super) type Nonce = [u8; 16];

/// The launcher is in another user or pid namespace, so that the child cannot check who it is.
pub(super) const FLAG_OTHER_NAMESPACE: u32 = 1;
/// As above, and the child is the first process of a new pid namespace.
pub(super) const FLAG_PID_NAMESPACE: u32 = 2;
/// The child ends when the launcher does.
pub(super) const FLAG_DEATH_WATCH: u32 = 4;
/// A descriptor of the image follows after the extra ones, for a child without `/proc`.
pub(super) const FLAG_IMAGE: u32 = 8;
const KNOWN_FLAGS: u32 = FLAG_OTHER_NAMESPACE | FLAG_PID_NAMESPACE | FLAG_DEATH_WATCH | FLAG_IMAGE;

/// The contents of the memfd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) flags: u32,
    pub(super) nonce: Nonce,
    /// How many descriptors follow from [`FIRST_EXTRA_FD`] on.
    pub(super) extra: u32,
    pub(super) role: String,
    pub(super) payload: Vec<u8>,
}

/// What is wrong with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defect {
    Malformed,
    Version,
}

/// A fresh nonce from the kernel (getrandom(2)).
pub(super) fn nonce() -> io::Result<Nonce> {
    let mut nonce = Nonce::default();
    // SAFETY: a buffer of the length that is given; 16 bytes are never returned in part.
    let got = unsafe { libc::getrandom(nonce.as_mut_ptr().cast(), nonce.len(), 0) };
    if got != nonce.len() as isize {
        return Err(io::Error::last_os_error());
    }
    Ok(nonce)
}

/// The bytes in front of role and payload.
pub(super) fn header(flags: u32, nonce: &Nonce, extra: u32, role: &str, payload: &[u8]) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..16].copy_from_slice(&MAGIC);
    bytes[16..20].copy_from_slice(&VERSION.to_le_bytes());
    bytes[20..24].copy_from_slice(&flags.to_le_bytes());
    bytes[24..40].copy_from_slice(nonce);
    bytes[40..44].copy_from_slice(&extra.to_le_bytes());
    bytes[44..48].copy_from_slice(&(role.len() as u32).to_le_bytes());
    bytes[48..56].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes
}

/// Writes a credential into a new memfd and seals it. The lengths were checked by the caller.
pub(super) fn seal(flags: u32, nonce: &Nonce, extra: u32, role: &str, payload: &[u8]) -> io::Result<OwnedFd> {
    let head = header(flags, nonce, extra, role, payload);
    let file = memory::filled(c"belljar-credential", &[&head, role.as_bytes(), payload])?;
    // SAFETY: our own memfd.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // As the child will ask: one that it did not take for a credential would have it run `main`, with what
    // the clone gave it.
    if !is_present(file.as_raw_fd()) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(file.into())
}

/// Is there a sealed memfd with our magic on the descriptor. Three system calls at most, one for an ordinary
/// program.
pub(super) fn is_present(fd: i32) -> bool {
    // SAFETY: any number may be asked about.
    let seals = unsafe { libc::fcntl(fd, libc::F_GET_SEALS) };
    if seals < 0 || seals & SEALS != SEALS {
        return false;
    }
    let mut start = [0u8; MAGIC.len()];
    // SAFETY: a buffer of the length that is given; the file's position stays.
    let got = unsafe { libc::pread(fd, start.as_mut_ptr().cast(), start.len(), 0) };
    got == start.len() as isize && start == MAGIC
}

/// Is there anything on the descriptor that could be one: asked before anything else, as a child that takes
/// itself for the ordinary program would run its `main` again. Only the kernel's word that there is no such
/// thing counts.
pub(super) fn may_be_present(fd: i32) -> bool {
    // SAFETY: any number may be asked about.
    let seals = unsafe { libc::fcntl(fd, libc::F_GET_SEALS) };
    let errno = io::Error::last_os_error().raw_os_error();
    match seals {
        // Not open; open, but no memfd.
        ..0 => !matches!(errno, Some(libc::EBADF | libc::EINVAL)),
        _ if seals & SEALS != SEALS => false,
        _ => {
            let mut start = [0u8; MAGIC.len()];
            // SAFETY: a buffer of the length that is given; the file's position stays.
            let got = unsafe { libc::pread(fd, start.as_mut_ptr().cast(), start.len(), 0) };
            got < 0 || start == MAGIC
        }
    }
}

/// Reads a credential that [`is_present`].
pub(super) fn read(fd: BorrowedFd<'_>) -> Result<Credential, Defect> {
    let bytes = contents(fd).ok_or(Defect::Malformed)?;
    parse(&bytes)
}

/// The whole file, if it is within the bounds.
fn contents(fd: BorrowedFd<'_>) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let file = File::from(fd.try_clone_to_owned().ok()?);
    let size = file.metadata().ok()?.len();
    if size > (HEADER + MAX_ROLE_NAME + MAX_PAYLOAD) as u64 {
        return None;
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some(bytes)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Credential, Defect> {
    let (head, rest) = bytes.split_first_chunk::<HEADER>().ok_or(Defect::Malformed)?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if head[..16] != MAGIC {
        return Err(Defect::Malformed);
    }
    if word(16) != VERSION {
        return Err(Defect::Version);
    }
    let flags = word(20);
    let mut nonce = Nonce::default();
    nonce.copy_from_slice(&head[24..40]);
    let extra = word(40);
    let role_length = word(44) as usize;
    let payload_length = u64::from(word(48)) | u64::from(word(52)) << 32;
    let (role, payload) = rest.split_at_checked(role_length).ok_or(Defect::Malformed)?;
    if flags & !KNOWN_FLAGS != 0
        || extra as usize > MAX_EXTRA
        || role_length > MAX_ROLE_NAME
        || payload.len() as u64 != payload_length
        || payload.len() > MAX_PAYLOAD
    {
        return Err(Defect::Malformed);
    }
    let role = std::str::from_utf8(role).map_err(|_| Defect::Malformed)?.to_owned();
    Ok(Credential { flags, nonce, extra, role, payload: payload.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no memfd_create")]
    fn a_sealed_credential_reads_back_and_cannot_be_changed() {
        let fd = seal(FLAG_DEATH_WATCH, &[7; 16], 2, "role", b"payload").unwrap();
        assert!(is_present(fd.as_raw_fd()));
        let read = read(fd.as_fd()).unwrap();
        assert_eq!(
            read,
            Credential {
                flags: FLAG_DEATH_WATCH,
                nonce: [7; 16],
                extra: 2,
                role: "role".into(),
                payload: b"payload".to_vec()
            }
        );
        let mut file = File::from(fd);
        assert_eq!(file.write(b"x").unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert!(file.set_len(1).is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no memfd_create")]
    fn other_files_are_not_credentials() {
        let unsealed = memory::file(c"unsealed").unwrap();
        File::from(unsealed.try_clone().unwrap()).write_all(&MAGIC).unwrap();
        assert!(!is_present(unsealed.as_raw_fd()));
        let junk = memory::file(c"junk").unwrap();
        File::from(junk.try_clone().unwrap()).write_all(b"something else, sealed").unwrap();
        // SAFETY: our own memfd.
        assert_eq!(unsafe { libc::fcntl(junk.as_raw_fd(), libc::F_ADD_SEALS, SEALS) }, 0);
        assert!(!is_present(junk.as_raw_fd()));
        let regular = tempfile::tempfile().unwrap();
        assert!(!is_present(regular.as_raw_fd()));
        assert!(!is_present(-1));
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(nonce().unwrap(), nonce().unwrap());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let mut with_magic = MAGIC.to_vec();
            with_magic.extend(1u32.to_le_bytes());
            with_magic.extend(&bytes);
            let _ = parse(&with_magic);
        }

        #[test]
        fn every_shortened_or_lengthened_credential_is_malformed(
            role in "[a-z:]{1,20}", payload in proptest::collection::vec(any::<u8>(), 0..64), cut in 1usize..40,
        ) {
            let mut bytes = header(0, &[1; 16], 0, &role, &payload).to_vec();
            bytes.extend(role.as_bytes());
            bytes.extend(&payload);
            prop_assert_eq!(&parse(&bytes).unwrap().role, &role);
            prop_assert_eq!(parse(&bytes[..bytes.len() - cut.min(bytes.len())]), Err(Defect::Malformed));
            bytes.push(0);
            prop_assert_eq!(parse(&bytes), Err(Defect::Malformed));
        }
    }
}
