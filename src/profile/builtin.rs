//! The profiles that are built in: `profiles/*.toml` of the source tree.

/// Their names, the default first.
pub(crate) const NAMES: [&str; 6] = ["strict", "standard", "build", "network", "container", "lite"];

/// The source text of a built-in profile.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    Some(match name {
        "strict" => include_str!("../../profiles/strict.toml"),
        "standard" => include_str!("../../profiles/standard.toml"),
        "build" => include_str!("../../profiles/build.toml"),
        "network" => include_str!("../../profiles/network.toml"),
        "container" => include_str!("../../profiles/container.toml"),
        "lite" => include_str!("../../profiles/lite.toml"),
        _ => return None,
    })
}

/// The names of the profiles that are built in, the default (`strict`) first.
#[must_use]
pub fn builtin_names() -> &'static [&'static str] {
    &NAMES
}
