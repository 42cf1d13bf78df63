//! The AppArmor profile that lets one program create user namespaces where the distribution reserves them
//! (Ubuntu 23.10 and later, `kernel.apparmor_restrict_unprivileged_userns`).

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where the profile is to be installed, for a program at `program`.
pub fn path(program: &Path) -> String {
    format!("/etc/apparmor.d/{}", name(program))
}

/// The whole profile for the program at this absolute path. It confines nothing: it only grants `userns`, as
/// Ubuntu's own profiles for browsers do.
pub fn profile(program: &Path) -> String {
    let name = name(program);
    let attachment = attachment(program);
    format!(
        "# Lets {name} create user namespaces, in which it has capabilities.\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         \n\
         profile {name} \"{attachment}\" flags=(unconfined) {{\n\
         \x20 userns,\n\
         \n\
         \x20 include if exists <local/{name}>\n\
         }}\n"
    )
}

/// A name that is fit for a profile, a file and a shell.
fn name(program: &Path) -> String {
    let file = program.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let name: String = file
        .iter()
        .map(|&byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte),
            _ => '_',
        })
        .collect();
    if name.is_empty() { "belljar".to_owned() } else { name }
}

/// The path with everything escaped that apparmor.d(5) gives a meaning to. A byte that cannot be written
/// becomes `?`, which stands for any one character.
fn attachment(program: &Path) -> String {
    let mut out = String::new();
    let text = program.to_string_lossy();
    for c in text.chars() {
        match c {
            '*' | '?' | '[' | ']' | '{' | '}' | '^' | '"' | '\\' | '@' | ',' => {
                let _infallible = write!(out, "\\{c}");
            }
            c if c.is_control() || c == char::REPLACEMENT_CHARACTER => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_names_the_program_and_grants_user_namespaces() {
        let text = profile(Path::new("/usr/local/bin/belljar"));
        assert_eq!(
            text,
            "# Lets belljar create user namespaces, in which it has capabilities.\nabi <abi/4.0>,\n\
             include <tunables/global>\n\nprofile belljar \"/usr/local/bin/belljar\" flags=(unconfined) {\n  userns,\n\n  \
             include if exists <local/belljar>\n}\n"
        );
        assert_eq!(path(Path::new("/usr/local/bin/belljar")), "/etc/apparmor.d/belljar");
    }

    #[test]
    fn it_is_the_profile_that_the_guests_load() {
        let loaded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vm/apparmor/granted");
        assert_eq!(
            std::fs::read_to_string(loaded).expect("tests/vm"),
            profile(Path::new("/usr/bin/belljar"))
        );
    }

    #[test]
    fn a_strange_path_neither_matches_others_nor_leaves_its_quotes() {
        let text = profile(Path::new("/opt/a\"b*{x}\n/my tool"));
        assert!(text.contains("profile my_tool \"/opt/a\\\"b\\*\\{x\\}?/my tool\" flags"), "{text}");
        assert_eq!(path(Path::new("/")), "/etc/apparmor.d/belljar");
        assert_eq!(path(Path::new("/x/..a;rm")), "/etc/apparmor.d/__a_rm");
    }
}
