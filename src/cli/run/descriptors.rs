//! `--keep-fd`: descriptors that the caller left open for the program.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::cli::error::Error;

/// Takes a duplicate of each, before belljar opens anything that could come to have the same number.
pub fn take(numbers: &[i32]) -> Result<Vec<(OwnedFd, i32)>, Error> {
    let mut kept: Vec<(OwnedFd, i32)> = Vec::with_capacity(numbers.len());
    for &number in numbers {
        if kept.iter().any(|(_, taken)| *taken == number) {
            return Err(Error::DescriptorTwice { number });
        }
        kept.push((duplicate("--keep-fd", number)?, number));
    }
    Ok(kept)
}

/// A duplicate of a descriptor that the caller left open, for an option that names it.
pub(in crate::cli) fn duplicate(option: &'static str, number: i32) -> Result<OwnedFd, Error> {
    // SAFETY: F_GETFD takes no pointer and changes nothing.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    // What came over the exec has no close-on-exec flag; what has one is belljar's own, and not the caller's
    // to pass.
    if flags == -1 || flags & libc::FD_CLOEXEC != 0 {
        return Err(Error::DescriptorClosed { option, number });
    }
    // SAFETY: F_DUPFD_CLOEXEC takes a number; that of `number` itself stays as it is.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy == -1 {
        return Err(Error::Descriptor { option, number, source: io::Error::last_os_error() });
    }
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_descriptor_that_is_not_the_callers_is_refused() {
        assert!(matches!(take(&[i32::MAX]), Err(Error::DescriptorClosed { number: i32::MAX, .. })));
        // std opens with close-on-exec, as belljar does.
        let own = std::fs::File::open("/dev/null").expect("open");
        let number = own.as_raw_fd();
        assert!(matches!(take(&[number]), Err(Error::DescriptorClosed { .. })));
    }

    #[test]
    fn a_descriptor_that_came_over_the_exec_is_duplicated_once() {
        // Standard error stands in for it: the harness's own, inherited.
        let kept = take(&[2]).expect("taken");
        assert_eq!(kept[0].1, 2);
        assert_ne!(kept[0].0.as_raw_fd(), 2);
        assert!(matches!(take(&[2, 2]), Err(Error::DescriptorTwice { number: 2 })));
    }
}
