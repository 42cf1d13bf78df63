//! The effective profile as TOML: what is left when everything that is inherited, overridden or left out is
//! written down.

use std::fmt::Write as _;

use super::Profile;
use super::form::Written;
use super::keys::{KEYS, Key};

impl Profile {
    /// The name it was asked for by, or the file's path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The profile as a TOML text that is complete in itself: no `extends`, no groups, no defaults. Read
    /// again, it makes the same profile (but for its name; a path that is not UTF-8 is shown, but can not be
    /// read again).
    #[must_use]
    pub fn to_toml(&self) -> String {
        write(self, |_| true)
    }
}

/// All but the description and the filter.
pub(super) fn without_filter(profile: &Profile) -> String {
    write(profile, |key| key.name != "description" && !is_of_filter(key))
}

/// The filter.
pub(super) fn filter(profile: &Profile) -> String {
    write(profile, is_of_filter)
}

fn is_of_filter(key: &Key) -> bool {
    key.name.starts_with("seccomp.")
}

fn write(profile: &Profile, wanted: impl Fn(&Key) -> bool) -> String {
    let lite = profile.namespaces.is_empty();
    // In lite nothing can be said of these.
    let hidden = |key: &Key| lite && (key.name.starts_with("root.") || key.name.ends_with("Mappings"));
    let (mut text, mut open) = (String::new(), "");
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a String can not fail.
        let _ = writeln!(text, "{line}");
    };
    for key in KEYS.iter().filter(|key| wanted(key) && !hidden(key)) {
        let (table, name) = key.name.split_once('.').unwrap_or(("", key.name));
        let written = (key.write)(profile);
        if table != open && !table.is_empty() {
            line(format_args!("\n[{table}]"));
        }
        open = table;
        match written {
            Written::Nothing => {}
            Written::Value(value) => line(format_args!("{name} = {value}")),
            Written::Table(rows) => {
                line(format_args!("\n[{}]", key.name));
                rows.iter().for_each(|(name, value)| line(format_args!("{name} = {value}")));
            }
            Written::Tables(entries) => {
                for rows in entries {
                    line(format_args!("\n[[{}]]", key.name));
                    rows.iter().for_each(|(name, value)| line(format_args!("{name} = {value}")));
                }
            }
        }
    }
    text
}
