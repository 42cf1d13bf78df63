//! The profiles that are built in: `profiles/*.toml` of the source tree.

/// Their names, the default first.
pub(crate) const NAMES: [&str; 7] = ["strict", "standard", "build", "network", "container", "nested", "lite"];

/// The source text of a built-in profile.
pub(crate) const fn text(name: &str) -> Option<&'static str> {
    // (A `const fn` compares bytes, not strings.)
    Some(match name.as_bytes() {
        b"strict" => include_str!("../../profiles/strict.toml"),
        b"standard" => include_str!("../../profiles/standard.toml"),
        b"build" => include_str!("../../profiles/build.toml"),
        b"network" => include_str!("../../profiles/network.toml"),
        b"container" => include_str!("../../profiles/container.toml"),
        b"nested" => include_str!("../../profiles/nested.toml"),
        b"lite" => include_str!("../../profiles/lite.toml"),
        _ => return None,
    })
}

/// The names of the profiles that are built in, the default (`strict`) first.
#[must_use]
pub fn builtin_names() -> &'static [&'static str] {
    &NAMES
}
