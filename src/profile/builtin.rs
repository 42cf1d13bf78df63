//! The profiles that are built in: `profiles/*.toml` of the source tree, and what `profiles/built/` has of them.

/// A profile that is built in.
pub(super) struct BuiltIn {
    pub(super) name: &'static str,
    /// Its source.
    pub(super) text: &'static str,
    /// What the source makes, encoded.
    pub(super) encoded: &'static [u8],
}

macro_rules! built_in {
    ($($name:literal)*) => {
        /// Their names, the default first.
        pub(super) const NAMES: &[&str] = &[$($name),*];

        pub(super) const PROFILES: &[BuiltIn] = &[$(BuiltIn {
            name: $name,
            text: include_str!(concat!("../../profiles/", $name, ".toml")),
            encoded: include_bytes!(concat!("../../profiles/built/", $name, ".postcard")),
        }),*];
    };
}

built_in!("strict" "standard" "build" "network" "container" "nested" "lite");

/// A built-in profile.
pub(super) fn find(name: &str) -> Option<&'static BuiltIn> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// The names of the profiles that are built in, the default (`strict`) first.
#[must_use]
pub fn builtin_names() -> &'static [&'static str] {
    NAMES
}
