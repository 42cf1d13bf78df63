//! The built-in profiles as their texts make them, and their filters, made ahead: a start parses no text and
//! compiles no filter that is known before.
//!
//! `profiles/built/` is written by the test below (`BELLJAR_WRITE_BUILT=1 cargo test --lib built`), which
//! otherwise makes sure that it is what the texts of `profiles/` make. Where a text has changed since, the
//! texts are taken.

use serde::{Deserialize, Serialize};

use super::Profile;
use super::builtin::{self, PROFILES};
use crate::seccomp::{Action, Arch, Policy, Program, Rules};

/// Of all texts, when the files were written.
const TEXTS: [u8; 8] = *include_bytes!("../../profiles/built/texts.hash");
const FRESH: bool = u64::from_le_bytes(TEXTS) == fingerprint();

static FILTERS: &[u8] = include_bytes!("../../profiles/built/filters.postcard");

/// FNV-1a over all texts: no protection, it tells that one forgot to write the files again.
const fn fingerprint() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut index = 0;
    while index < PROFILES.len() {
        let text = PROFILES[index].text.as_bytes();
        let mut at = 0;
        while at < text.len() {
            hash = (hash ^ text[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            at += 1;
        }
        index += 1;
    }
    hash
}

/// A built-in profile; `None` where it has to be made from its text.
pub(super) fn profile(name: &str) -> Option<Profile> {
    if !FRESH {
        return None;
    }
    let Built { mut profile, filter } = postcard::from_bytes(builtin::find(name)?.encoded).ok()?;
    if let Some(at) = filter {
        profile.seccomp = Some(filters()?.get(usize::from(at))?.policy());
    }
    Some(profile)
}

/// A profile, encoded.
#[derive(Debug, Serialize, Deserialize)]
struct Built {
    /// Without its filter,
    profile: Profile,
    /// which is one of all filters.
    filter: Option<u8>,
}

/// A policy, its rules encoded, and what it is compiled to, encoded, too.
#[derive(Debug, Serialize, Deserialize)]
struct Filter<'a> {
    default: Action,
    flags: u64,
    /// SHA-256 of its text in a profile.
    text: [u8; 32],
    rules: &'a [u8],
    x86_64: Programs<'a>,
    aarch64: Programs<'a>,
}

/// Programs, encoded.
#[derive(Debug, Serialize, Deserialize)]
struct Programs<'a> {
    /// What the policy is compiled to,
    asked: &'a [u8],
    /// and with `@no-set-id` before it, where that is another.
    without_set_id: Option<&'a [u8]>,
}

fn filters() -> Option<Vec<Filter<'static>>> {
    postcard::from_bytes(FILTERS).ok()
}

impl Filter<'static> {
    fn policy(&self) -> Policy {
        Policy { default: self.default, rules: Rules::built_in(self.rules), flags: self.flags }
    }
}

/// The filter that a policy is exactly, if it is that of a built-in profile.
fn find(policy: &Policy) -> Option<Filter<'static>> {
    if !FRESH {
        return None;
    }
    let rules = policy.rules.encoded()?;
    // Those that are built in are the same bytes.
    let same = |filter: &Filter<'_>| std::ptr::eq(filter.rules, &*rules) || filter.rules == &*rules;
    filters()?
        .into_iter()
        .find(|filter| (filter.default, filter.flags) == (policy.default, policy.flags) && same(filter))
}

/// The compiled filter of a policy that is exactly that of a built-in profile; with `@no-set-id` before it,
/// if asked for, and whether that makes a difference.
pub(crate) fn filter(policy: &Policy, arch: Arch, without_set_id: bool) -> Option<(Program, bool)> {
    let filter = find(policy)?;
    let programs = match arch {
        Arch::X86_64 => filter.x86_64,
        Arch::Aarch64 => filter.aarch64,
    };
    let other = programs.without_set_id.filter(|_| without_set_id);
    Some((postcard::from_bytes(other.unwrap_or(programs.asked)).ok()?, other.is_some()))
}

/// SHA-256 of the text of a policy that is exactly that of a built-in profile.
pub(super) fn text_hash(policy: &Policy) -> Option<[u8; 32]> {
    find(policy).map(|filter| filter.text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sha2::{Digest as _, Sha256};

    use super::super::builtin::NAMES;
    use super::super::load::build;
    use super::super::{find, print};
    use super::*;
    use crate::seccomp::{Unknown, compile};

    fn of_text(name: &str) -> Profile {
        build::<&str>(find::find(name, None, None).unwrap(), name, &[], None).unwrap().0
    }

    fn check(file: &str, expected: &[u8]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/built").join(file);
        if std::env::var_os("BELLJAR_WRITE_BUILT").is_some() {
            std::fs::write(&path, expected).unwrap();
        }
        let same = std::fs::read(&path).unwrap() == expected;
        assert!(
            same,
            "{} is not what the texts make: BELLJAR_WRITE_BUILT=1 cargo test --lib built",
            path.display()
        );
    }

    #[test]
    fn what_is_built_in_is_what_the_texts_make() {
        check("texts.hash", &fingerprint().to_le_bytes());
        let mut filters: Vec<(Policy, Encoded)> = Vec::new();
        for &name in NAMES {
            let mut profile = of_text(name);
            let filter = profile.seccomp.take().map(|policy| {
                let known = filters.iter().position(|(known, _)| *known == policy);
                let at = known.unwrap_or_else(|| {
                    let encoded = encoded(name, &policy);
                    filters.push((policy, encoded));
                    filters.len() - 1
                });
                u8::try_from(at).unwrap()
            });
            check(&format!("{name}.postcard"), &postcard::to_stdvec(&Built { profile, filter }).unwrap());
        }
        let filters: Vec<_> = filters
            .iter()
            .map(|(policy, Encoded { rules, x86_64, aarch64 })| {
                let (default, flags) = (policy.default, policy.flags);
                let [x86_64, aarch64] = [x86_64, aarch64]
                    .map(|(asked, other)| Programs { asked, without_set_id: other.as_deref() });
                Filter { default, flags, text: hash(policy), rules, x86_64, aarch64 }
            })
            .collect();
        check("filters.postcard", &postcard::to_stdvec(&filters).unwrap());
    }

    fn hash(policy: &Policy) -> [u8; 32] {
        Sha256::digest(print::filter(&Profile { seccomp: Some(policy.clone()), ..Profile::empty() })).into()
    }

    /// A policy's rules and its programs.
    struct Encoded {
        rules: Vec<u8>,
        x86_64: (Vec<u8>, Option<Vec<u8>>),
        aarch64: (Vec<u8>, Option<Vec<u8>>),
    }

    fn encoded(name: &str, policy: &Policy) -> Encoded {
        let unknown = match policy.default {
            Action::Allow | Action::Log => Unknown::Refuse,
            _ => Unknown::Skip,
        };
        let [x86_64, aarch64] = [Arch::X86_64, Arch::Aarch64].map(|arch| {
            let [asked, other] = [policy, &policy.without_set_id()].map(|policy| {
                let compiled = compile(policy, arch, unknown).unwrap();
                // Else there would be a note about them.
                assert!(compiled.skipped.is_empty(), "{name}: {:?}", compiled.skipped);
                compiled.program
            });
            let encode = |program: &Program| postcard::to_stdvec(program).unwrap();
            (encode(&asked), (other != asked).then(|| encode(&other)))
        });
        Encoded { rules: policy.rules.encoded().unwrap().into_owned(), x86_64, aarch64 }
    }

    #[test]
    fn what_is_loaded_is_what_the_texts_make() {
        let written = u64::from_le_bytes(TEXTS);
        assert_eq!(written, fingerprint(), "profiles/built/ is older than the texts");
        for &name in NAMES {
            let expected = of_text(name);
            assert_eq!(profile(name).as_ref(), Some(&expected), "{name}");
            assert_eq!(Profile::load(name).unwrap(), expected, "{name}");
            let Some(policy) = &expected.seccomp else { continue };
            for &arch in Arch::ALL {
                let [asked, other] = [policy, &policy.without_set_id()]
                    .map(|policy| compile(policy, arch, Unknown::Skip).unwrap().program);
                let differs = other != asked;
                // Only a container may have files with set-user-ID bits, where no other user can reach them.
                assert_eq!(differs, name == "container", "{name}");
                assert_eq!(filter(policy, arch, false), Some((asked, false)), "{name}");
                assert_eq!(filter(policy, arch, true), Some((other, differs)), "{name}");
            }
            for policy in [policy, profile(name).unwrap().seccomp.as_ref().unwrap()] {
                assert_eq!(text_hash(policy), Some(hash(policy)), "{name}");
            }
            // Any other policy is compiled.
            let mut other = policy.clone();
            other.flags ^= 1;
            assert_eq!(filter(&other, Arch::NATIVE, false), None);
            assert_eq!(text_hash(&other), None);
            let mut other = policy.clone();
            other.rules.pop();
            assert_eq!(filter(&other, Arch::NATIVE, false), None);
        }
    }
}
