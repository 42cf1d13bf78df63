//! The configuration of installed programs: directories of the host's `/etc`, found by a rule that needs no
//! list of programs and no package manager's data.
//!
//! `/etc/NAME` is shown, read-only, where
//!
//! * the profile asks for it (`root.etcPrograms`), by NAME without its version (`java` for `java-17-openjdk`)
//!   or by `*`;
//! * the rest of the program is installed: `/usr/share/NAME`, `/usr/bin/NAME`, `/usr/bin/NAME` without the
//!   version, or NAME among the libraries of this architecture;
//! * it is a directory, not a symlink, that belongs to root and that all users may read and only root may
//!   change;
//! * so does all that is directly in it: where one file is not for everybody, the others are not for a
//!   sandbox;
//! * there is more in it than a README;
//! * it does not configure the machine or a service of the machine's: it is not one of [`MACHINE`], and there
//!   is no unit and no init script of its name, with or without what follows the name's first hyphen or
//!   digit.
//!
//! What an administrator wrote there for everybody to read is shown with it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::view::missing;
use crate::host::{FileKind, Files, Stat};
use crate::plan::error::PlanError;
use crate::plan::show::note::Note;

/// More than any `/etc` has, and more than a program's directory there: one that has more is not looked at.
const MAX_ENTRIES: usize = 1024;
/// More directories than are shown.
const MAX_SHOWN: usize = 64;

/// How the machine itself is set up, who may do what on it, and whom it trusts, though everybody may read
/// most of it.
const MACHINE: [&str; 24] = [
    "NetworkManager",
    "PackageKit",
    "ansible",
    "apt",
    "ca-certificates", // what programs need of it has a mount of its own
    "cloud",
    "containers",
    "dbus-1",
    "dnf",
    "docker",
    "dpkg",
    "kubernetes",
    "letsencrypt",
    "libvirt",
    "opt", // the configuration of /opt; LLVM has a program of that name
    "pki",
    "polkit-1",
    "rpm",
    "security",
    "skel",
    "ssh",
    "ssl", // as ca-certificates
    "systemd",
    "wireguard",
];

/// The directories of `/etc` to show.
pub(crate) fn directories(
    asked: &BTreeSet<String>,
    files: &dyn Files,
    notes: &mut Vec<Note>,
) -> Result<Vec<PathBuf>, PlanError> {
    let etc = Path::new("/etc");
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let entries = match files.list(etc, MAX_ENTRIES) {
        Ok(entries) => entries,
        Err(error) if missing(&error) => return Ok(Vec::new()),
        Err(source) => return Err(PlanError::Read { path: etc.to_owned(), source }),
    };
    let mut names: Vec<_> = entries
        .into_iter()
        .filter(|(name, kind)| *kind == FileKind::Directory && wanted(asked, name.as_bytes()))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    let mut shown = Vec::new();
    for name in names {
        if shown.len() == MAX_SHOWN {
            break;
        }
        if !installed(&name, files) || service(&name, files) {
            continue;
        }
        let path = etc.join(&name);
        match look(&path, files) {
            Ok(Content::Public) => shown.push(path),
            Ok(Content::Nothing) => {}
            Ok(Content::Private(because)) => notes.push(Note::Private { path, because }),
            // It went away meanwhile.
            Err(error) if missing(&error) => {}
            // Not even the caller may read it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                notes.push(Note::Private { because: path.clone(), path });
            }
            Err(source) => return Err(PlanError::Read { path, source }),
        }
    }
    Ok(shown)
}

/// Whether a profile asks for `/etc/NAME`.
fn wanted(asked: &BTreeSet<String>, name: &[u8]) -> bool {
    let asked_for = |word: &String| word == "*" || word.as_bytes() == stem(name);
    !name.starts_with(b".")
        && !MACHINE.iter().any(|machine| machine.as_bytes() == name)
        && asked.iter().any(asked_for)
}

/// A name without its version: `java` of `java-17-openjdk`, `python` of `python3.11`.
fn stem(name: &[u8]) -> &[u8] {
    let end = name.iter().position(|byte| byte.is_ascii_digit() || *byte == b'-');
    &name[..end.unwrap_or(name.len())]
}

/// Whether `/usr` has the program or the library that `/etc/NAME` configures.
fn installed(name: &OsStr, files: &dyn Files) -> bool {
    const LIBRARIES: [&str; 2] = [
        if cfg!(target_arch = "aarch64") {
            "/usr/lib/aarch64-linux-gnu"
        } else {
            "/usr/lib/x86_64-linux-gnu"
        },
        "/usr/lib64",
    ];
    let there = |directory: &str, name: &OsStr| files.lstat(&Path::new(directory).join(name)).is_ok();
    let stem = OsStr::from_bytes(stem(name.as_bytes()));
    there("/usr/share", name)
        || there("/usr/bin", name)
        || (!stem.is_empty() && stem != name && there("/usr/bin", stem))
        || LIBRARIES.iter().any(|directory| there(directory, name))
}

/// Whether `/etc/NAME` configures a service of the machine's.
fn service(name: &OsStr, files: &dyn Files) -> bool {
    let has_unit = |name: &OsStr| {
        let mut unit = name.to_owned();
        unit.push(".service");
        files.lstat(&Path::new("/usr/lib/systemd/system").join(unit)).is_ok()
            || files.lstat(&Path::new("/etc/init.d").join(name)).is_ok()
    };
    let stem = OsStr::from_bytes(stem(name.as_bytes()));
    has_unit(name) || (!stem.is_empty() && stem != name && has_unit(stem))
}

/// What is in a directory.
enum Content {
    /// Nothing that a program would read.
    Nothing,
    /// What belongs to root and everybody may read.
    Public,
    /// This, which does not.
    Private(PathBuf),
}

/// Looks at a directory and directly into it.
fn look(path: &Path, files: &dyn Files) -> io::Result<Content> {
    if !public(&files.lstat(path)?) {
        return Ok(Content::Private(path.to_owned()));
    }
    let entries = files.list(path, MAX_ENTRIES)?;
    if entries.len() == MAX_ENTRIES {
        return Ok(Content::Private(path.to_owned()));
    }
    let mut content = Content::Nothing;
    for (name, _) in entries {
        let entry = path.join(&name);
        if !public(&files.lstat(&entry)?) {
            return Ok(Content::Private(entry));
        }
        if name != "README" {
            content = Content::Public;
        }
    }
    Ok(content)
}

fn public(stat: &Stat) -> bool {
    let readable = match stat.kind {
        FileKind::Directory => stat.mode & 0o005 == 0o005,
        FileKind::File => stat.mode & 0o004 == 0o004,
        // Its own mode says nothing, and where it leads is judged there.
        FileKind::Symlink => return stat.uid == 0,
        // A socket or a FIFO is not configuration.
        _ => false,
    };
    readable && stat.uid == 0 && stat.gid == 0 && stat.mode & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryFiles;

    /// A host with java, php, fonts, gtk and python, and with what is none of a sandbox's business.
    fn host() -> MemoryFiles {
        MemoryFiles::new()
            .file("/usr/bin/java", 0o755, "")
            .file("/etc/java-17-openjdk/security/java.security", 0o644, "x")
            .file("/usr/bin/php", 0o755, "")
            .file("/etc/php/8.2/cli/php.ini", 0o644, "x")
            .directory("/usr/share/fonts")
            .file("/etc/fonts/fonts.conf", 0o644, "x")
            .symlink("/etc/fonts/link", "/usr/share/fonts")
            .directory("/usr/lib/x86_64-linux-gnu/gtk-3.0")
            .directory("/usr/lib/aarch64-linux-gnu/gtk-3.0")
            .file("/etc/gtk-3.0/settings.ini", 0o644, "x")
            .file("/usr/bin/python3.11", 0o755, "")
            .file("/etc/python3.11/sitecustomize.py", 0o644, "x")
            // No program of this name.
            .file("/etc/cron.d/job", 0o644, "x")
            .file("/etc/planted/token", 0o644, "SECRET")
            // Everybody may read it, but it is the machine's.
            .directory("/usr/share/apt")
            .file("/etc/apt/sources.list", 0o644, "x")
            .file("/usr/bin/ssh", 0o755, "")
            .file("/etc/ssh/ssh_config", 0o644, "x")
            // Services.
            .directory("/usr/share/nginx")
            .file("/usr/lib/systemd/system/nginx.service", 0o644, "x")
            .file("/etc/nginx/nginx.conf", 0o644, "x")
            .file("/usr/bin/redis", 0o755, "x")
            .file("/etc/init.d/redis", 0o755, "x")
            .file("/etc/redis/redis.conf", 0o644, "x")
            .directory("/usr/share/nginx-common")
            .file("/etc/nginx-common/list", 0o644, "x")
            // Nothing to read.
            .directory("/usr/share/terminfo")
            .file("/etc/terminfo/README", 0o644, "x")
            .directory("/usr/share/glvnd")
            .directory("/etc/glvnd")
            // Not a directory.
            .file("/usr/bin/git", 0o755, "")
            .file("/etc/git", 0o644, "x")
            .file("/usr/bin/vim", 0o755, "")
            .symlink("/etc/vim", "/root")
    }

    fn found(files: &MemoryFiles, asked: &[&str]) -> (Vec<String>, Vec<Note>) {
        let asked: BTreeSet<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        let mut notes = Vec::new();
        let found = directories(&asked, files, &mut notes).unwrap();
        (found.iter().map(|path| path.to_str().unwrap()["/etc/".len()..].to_owned()).collect(), notes)
    }

    #[test]
    fn programs_are_found_and_the_machine_is_not() {
        let all = ["fonts", "gtk-3.0", "java-17-openjdk", "php", "python3.11"].map(str::to_owned).to_vec();
        assert_eq!(found(&host(), &["*"]), (all, Vec::new()));
        assert_eq!(found(&host(), &["java", "php"]).0, ["java-17-openjdk", "php"]);
        assert_eq!(found(&host(), &["jav", "apt", "ssh", "17"]).0, [""; 0]);
        assert_eq!(found(&host(), &[]).0, [""; 0]);
        assert_eq!(found(&MemoryFiles::new(), &["*"]).0, [""; 0]);
    }

    #[test]
    fn one_private_file_keeps_the_whole_directory_out() {
        let own = || host().file("/etc/php/secret", 0o644, "x");
        let shown = |files: MemoryFiles| found(&files, &["php"]);
        assert_eq!(shown(own()).0, ["php"]);
        let php = Path::new("/etc/php");
        for (at, uid, gid, mode) in [
            ("/etc/php/secret", 0, 0, 0o640),
            ("/etc/php/secret", 0, 0, 0o600),
            ("/etc/php/secret", 33, 0, 0o644),
            ("/etc/php/secret", 0, 33, 0o644),
            ("/etc/php/secret", 0, 0, 0o646),
            ("/etc/php/8.2", 0, 0, 0o750),
            ("/etc/php", 0, 0, 0o775),
            ("/etc/php", 33, 33, 0o755),
            ("/etc/php", 0, 0, 0o711),
        ] {
            let (shown, notes) = shown(own().owned(at, uid, gid, mode));
            assert_eq!(shown, [""; 0], "{at} {uid}:{gid} {mode:o}");
            assert_eq!(notes, [Note::Private { path: php.to_owned(), because: at.into() }]);
        }
        let socket = own().special("/etc/php/socket", FileKind::Socket);
        assert_eq!(shown(socket).0, [""; 0]);
    }

    #[test]
    fn what_is_looked_at_is_bounded() {
        let full =
            (0..MAX_ENTRIES).fold(host(), |files, n| files.file(format!("/etc/php/file-{n}"), 0o644, "x"));
        assert_eq!(found(&full, &["php"]).0, [""; 0]);
        let many = (0..MAX_SHOWN + 9).fold(MemoryFiles::new(), |files, n| {
            files.file(format!("/etc/program{n}/x"), 0o644, "x").directory(format!("/usr/share/program{n}"))
        });
        assert_eq!(found(&many, &["*"]).0.len(), MAX_SHOWN);
    }

    #[test]
    fn a_version_is_not_the_name() {
        for (name, expected) in [
            ("java-17-openjdk", "java"),
            ("java17-openjdk", "java"),
            ("ImageMagick-6", "ImageMagick"),
            ("php83", "php"),
            ("R", "R"),
        ] {
            assert_eq!(stem(name.as_bytes()), expected.as_bytes());
        }
    }
}
