//! Entries for the fuzzers: one function for each kind of bytes that come from outside. Each says what
//! must hold for any bytes, and panics where it does not. For `fuzz/` and `tests/fuzzing.rs`; no
//! part of the interface.

mod decoders;
mod filters;
mod profiles;
mod programs;
#[cfg(test)]
mod seeds;
mod values;

/// An entry.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs)]
pub struct Entry {
    /// Its name: that of the fuzz target and of the directories with its seeds and its corpus.
    pub name: &'static str,
    /// Takes the bytes. Whether they were accepted as what they should have been.
    pub check: fn(&[u8]) -> bool,
    /// Bytes from which on every input is refused unseen: fuzzers need not try longer ones.
    pub max_len: usize,
}

/// All of them.
pub const ENTRIES: &[Entry] = &[
    Entry { name: "call_reply", check: decoders::call_reply, max_len: 1 << 16 },
    Entry { name: "credential", check: decoders::credential, max_len: 1 << 12 },
    Entry { name: "mount_spec", check: values::mount_spec, max_len: 1 << 12 },
    Entry { name: "override", check: profiles::setting, max_len: 1 << 12 },
    Entry { name: "plan", check: decoders::plan, max_len: 1 << 16 },
    Entry { name: "profile", check: profiles::toml, max_len: 1 << 14 },
    Entry { name: "program", check: programs::program, max_len: 1 << 13 },
    Entry { name: "seccomp_json", check: filters::json, max_len: 1 << 14 },
    Entry { name: "status", check: decoders::status, max_len: 1 << 14 },
    Entry { name: "units", check: profiles::units, max_len: 1 << 8 },
];

/// Runs the entry of a name.
///
/// # Panics
/// Where there is none, or where something does not hold.
pub fn check(name: &str, bytes: &[u8]) -> bool {
    let entry = ENTRIES.iter().find(|entry| entry.name == name);
    (entry.unwrap_or_else(|| panic!("no entry {name:?}")).check)(bytes)
}

/// Whether these bytes of a sandbox's stand for a value of this type.
pub fn is_value<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> bool {
    crate::sandbox::call::decode_reply::<T>(bytes).is_ok()
}

/// What a call that returned this value sends.
///
/// # Panics
/// Where the type cannot be encoded.
pub fn value_bytes<T: serde::Serialize>(value: &T) -> Vec<u8> {
    crate::sandbox::call::encode_reply(value).expect("a type that can be encoded")
}

/// A message for people: one line, nothing that a terminal obeys, of a bounded length.
fn assert_tame(text: &str) {
    assert!(text.len() < 1 << 16, "a message of {} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "control characters in {text:?}");
}
