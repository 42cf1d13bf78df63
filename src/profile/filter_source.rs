//! Where a filter's names come from: the kernel's tables, belljar's groups, OCI JSON profiles.

use std::path::PathBuf;

use super::reader::Spanned;
use super::{Origin, ProfileError, ValueError, find, units};
use crate::capability::CapabilitySet;
use crate::seccomp::names::{self, Known};
use crate::seccomp::oci::{self, Context};
use crate::seccomp::{Arch, Policy, Unknown};

/// A system call's or a group's name, by its form.
pub(crate) fn well_formed(text: &str) -> Result<&str, ValueError> {
    let bare = text.strip_prefix('@').unwrap_or(text);
    let form = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if bare.is_empty() || text.len() > 64 || !bare.bytes().all(form) {
        return Err(ValueError::Malformed {
            text: text.to_owned(),
            expected: "a system call (read) or a group (@file-system)",
        });
    }
    Ok(text)
}

/// The names without those that no kernel known to belljar has.
pub(crate) fn known(names: &[String], unknown: Unknown) -> Result<Vec<&str>, ValueError> {
    let mut known = Vec::new();
    for name in names {
        if name.starts_with('@') || names::lookup(name, Arch::NATIVE) != Known::Nowhere {
            known.push(name.as_str());
        } else if unknown == Unknown::Skip {
            log::info!("seccomp: unknown system call {name} is left out");
        } else {
            let all = names::all(Arch::NATIVE).map(|(name, _)| name);
            return Err(ValueError::unknown(name, "system call", all));
        }
    }
    Ok(known)
}

/// `SECCOMP_RET_DATA` for a tracer: 16 bits.
pub(crate) fn trace_data(text: &str) -> Result<u16, ValueError> {
    if text == "0" {
        return Ok(0);
    }
    let number = units::count(text)?;
    let range = || ValueError::range(text, 0, u16::MAX);
    u16::try_from(number).map_err(|_| range())
}

/// Reads an OCI JSON profile. Where it is not said what happens with unknown names, they are left out, as
/// container engines do.
pub(crate) fn oci(
    file: &Spanned<PathBuf>,
    capabilities: CapabilitySet,
    unknown: Option<Unknown>,
) -> Result<Policy, ProfileError> {
    let found = find::read_path(&file.value)
        .map_err(|error| ProfileError::OciFile { place: file.place.clone(), source: Box::new(error) })?;
    let context = Context {
        capabilities,
        kernel: kernel()?,
        arch: Arch::NATIVE,
        unknown: unknown.unwrap_or(Unknown::Skip),
    };
    oci::parse(found.text.as_bytes(), &context).map_err(|source| ProfileError::Oci {
        place: file.place.clone(),
        path: match found.origin {
            Origin::File(path) => path,
            _ => file.value.clone(),
        },
        source: Box::new(source),
    })
}

/// Major and minor version of the running kernel.
fn kernel() -> Result<(u32, u32), ProfileError> {
    let uname = nix::sys::utsname::uname().map_err(|_| ProfileError::Kernel { release: String::new() })?;
    let release = uname.release().to_string_lossy();
    version(&release).ok_or_else(|| ProfileError::Kernel { release: release.clone().into_owned() })
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        assert_eq!(version("6.18.0-rc1+"), Some((6, 18)));
        assert_eq!(version("5.4-generic"), Some((5, 4)));
        assert_eq!(version("6"), None);
        assert_eq!(version(""), None);
        assert_eq!(version("a.b"), None);
        assert!(kernel().is_ok());
    }

    #[test]
    fn names_by_form() {
        for good in ["read", "@file-system", "@file-system.1", "_llseek"] {
            assert!(well_formed(good).is_ok(), "{good}");
        }
        for bad in ["", "@", "a b", "re\x1bad", "@@x", "é", &"a".repeat(65)] {
            assert!(well_formed(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn unknown_names() {
        let names = ["read".to_owned(), "raed".to_owned()];
        assert_eq!(known(&names, Unknown::Skip), Ok(vec!["read"]));
        assert!(
            matches!(known(&names, Unknown::Refuse), Err(ValueError::Unknown { word, nearest: Some(_), .. }) if word == "raed")
        );
    }
}
