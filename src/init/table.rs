//! The mount table as the kernel shows it, against what was made: each mount is in its place with all its
//! attributes, what is mounted below a bind mount has the same ones, and nothing propagates.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fstatat};

use crate::profile::Propagation;
use crate::protocol::{Fault, shown};
use crate::sys;
use crate::sys::mount::{
    ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY,
    ATTR_STRICTATIME,
};
use crate::text::unescape_octal;

/// The attributes and their words in the table.
const WORDS: [(&[u8], u64); 8] = [
    (b"ro", ATTR_RDONLY),
    (b"nosuid", ATTR_NOSUID),
    (b"nodev", ATTR_NODEV),
    (b"noexec", ATTR_NOEXEC),
    (b"noatime", ATTR_NOATIME),
    (b"relatime", RELATIME),
    (b"nodiratime", ATTR_NODIRATIME),
    (b"nosymfollow", ATTR_NOSYMFOLLOW),
];

/// `relatime`, for which the kernel's attributes have no bit; it is none of theirs.
pub(super) const RELATIME: u64 = 1 << 63;

const IN_PLACE: &str = "in its place";

/// The mounts that were made.
#[derive(Debug, Default)]
pub(super) struct Made(BTreeMap<u64, Mount>);

#[derive(Debug)]
struct Mount {
    path: Vec<u8>,
    attributes: u64,
    /// Device and inode that the path must show.
    shows: Option<(u64, u64)>,
    propagation: Propagation,
}

impl Made {
    /// `tree` is mounted at `path`, with at least these attributes: those that came with it from the host
    /// have them too. `shows` is the device and inode of its root, where the Plan or the host says which.
    pub(super) fn add(
        &mut self,
        tree: &impl AsFd,
        path: &CStr,
        attributes: u64,
        shows: Option<(u64, u64)>,
        propagation: Propagation,
    ) -> Result<(), Fault> {
        let path = path.to_bytes();
        let id = sys::mount::mount_id(tree.as_fd()).map_err(Fault::on("statx", path))?;
        self.insert(id, Mount { path: path.to_vec(), attributes, shows, propagation })
    }

    /// What is mounted at and below `path` is hidden on purpose from now on.
    pub(super) fn cover(&mut self, path: &CStr) {
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        for mount in self.0.values_mut().filter(|mount| mount.path().starts_with(path)) {
            mount.shows = None;
        }
    }

    /// Looks at each path as the task will: what is on top there is what was mounted, and nothing that came with a
    /// tree.
    pub(super) fn verify_shown(&self) -> Result<(), Fault> {
        for mount in self.0.values() {
            let Some(expected) = mount.shows else { continue };
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_NO_AUTOMOUNT;
            let found = fstatat(AT_FDCWD, mount.path(), flags).map_err(Fault::on("fstatat", &mount.path))?;
            let found = (found.st_dev, found.st_ino);
            if found != expected {
                let what = format!("what {} shows", shown(&mount.path));
                return Err(Fault::mismatch(&what, format!("{expected:?}"), format!("{found:?}")));
            }
        }
        Ok(())
    }

    /// The kernel gives the number of a mount that is gone to another.
    fn insert(&mut self, id: u64, mount: Mount) -> Result<(), Fault> {
        match self.0.insert(id, mount) {
            None => Ok(()),
            Some(gone) => Err(Fault::mismatch(&named(&gone.path), IN_PLACE, "gone")),
        }
    }

    /// What the mount that shows `path` was given: one that is mounted onto what it shows has it, too.
    pub(super) fn attributes_at(&self, path: &[u8]) -> u64 {
        let holds = |mount: &&Mount| {
            mount.path == b"/"
                || path
                    .strip_prefix(&mount.path[..])
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.0.values().filter(holds).max_by_key(|mount| mount.path.len()).map_or(0, |mount| mount.attributes)
    }

    /// Compares them with a table.
    fn compare(&self, table: &[u8]) -> Result<(), Fault> {
        let lines = table.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let lines: BTreeMap<u64, Line<'_>> = lines
            .map(|line| Line::read(line).ok_or_else(|| Fault::Protocol { what: shown(line) }))
            .collect::<Result<_, _>>()?;
        self.propagation(&lines)?;
        for (id, mount) in &self.0 {
            let found = lines.get(id).map(Line::path).unwrap_or_default();
            if found != mount.path {
                return Err(Fault::mismatch(&named(&mount.path), IN_PLACE, shown(&found)));
            }
        }
        // A tree may bring a mount along that covers its own root.
        let covered = lines
            .iter()
            .filter(|(id, _)| !self.0.contains_key(id))
            .find(|(_, line)| self.0.get(&line.parent).is_some_and(|below| below.path == line.path()));
        if let Some((_, line)) = covered {
            return Err(Fault::mismatch(&named(&line.path()), "on top", "covered"));
        }
        // What was not made came with the host's trees; of the old root's mounts, where they are still there,
        // nothing is expected.
        for line in lines.values() {
            if let Some(expected) = self.above(line, &lines).map(|mount| mount.attributes)
                && line.attributes & expected != expected
            {
                let (expected, found) = (format!("{expected:#x}"), format!("{:#x}", line.attributes));
                return Err(Fault::mismatch(&named(&line.path()), expected, found));
            }
        }
        Ok(())
    }

    /// Nothing propagates out, and nothing in but where that was asked for. Without a slave the old root's
    /// mounts have none either.
    fn propagation(&self, lines: &BTreeMap<u64, Line<'_>>) -> Result<(), Fault> {
        let slaves = self.0.values().any(|mount| mount.propagation == Propagation::Slave);
        for line in lines.values() {
            let mount = self.above(line, lines);
            let asked = mount.map(|mount| mount.propagation);
            let may_be_slave = asked.map_or(slaves, |asked| asked == Propagation::Slave);
            if line.shared || (line.slave && !may_be_slave) {
                return Err(Fault::mismatch(&named(&line.path()), "without propagation", "with propagation"));
            }
            if asked == Some(Propagation::Unbindable) && !line.unbindable {
                return Err(Fault::mismatch(&named(&line.path()), "unbindable", "not"));
            }
        }
        Ok(())
    }

    /// The mount itself if it was made, else the nearest one that was made and that it is mounted in.
    fn above(&self, line: &Line<'_>, lines: &BTreeMap<u64, Line<'_>>) -> Option<&Mount> {
        let up = std::iter::successors(Some(line), |line| lines.get(&line.parent)).take(lines.len());
        up.filter_map(|line| self.0.get(&line.id)).next()
    }
}

impl Mount {
    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}

/// For messages.
fn named(path: &[u8]) -> String {
    format!("the mount at {}", shown(path))
}

/// A line of mountinfo (proc_pid_mountinfo(5)).
struct Line<'a> {
    id: u64,
    parent: u64,
    path: &'a [u8],
    attributes: u64,
    /// What is mounted below propagates to its peers.
    shared: bool,
    /// What is mounted below its master appears below it.
    slave: bool,
    unbindable: bool,
}

impl<'a> Line<'a> {
    fn read(line: &'a [u8]) -> Option<(u64, Self)> {
        let mut fields = line.split(|&byte| byte == b' ');
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
        let (id, parent) = (number()?, number()?);
        let (path, options) = (fields.nth(2)?, fields.next()?);
        let attributes = options
            .split(|&byte| byte == b',')
            .filter_map(|option| WORDS.iter().find(|(word, _)| *word == option))
            .fold(0, |attributes, (_, attribute)| attributes | attribute);
        // The table has no word for it.
        let strict = if attributes & (ATTR_NOATIME | RELATIME) == 0 { ATTR_STRICTATIME } else { 0 };
        let attributes = attributes | strict;
        let (mut shared, mut slave, mut unbindable) = (false, false, false);
        for field in fields.take_while(|field| *field != b"-") {
            shared |= field.starts_with(b"shared:");
            slave |= field.starts_with(b"master:");
            unbindable |= field == b"unbindable";
        }
        Some((id, Self { id, parent, path, attributes, shared, slave, unbindable }))
    }

    fn path(&self) -> Vec<u8> {
        unescape_octal(self.path)
    }
}

/// The procfs of the host, by which the table is read: the sandbox need not have one.
#[derive(Debug)]
pub(super) struct Procfs(OwnedFd);

impl Procfs {
    /// While it is in reach.
    pub(super) fn open() -> Result<Self, Fault> {
        open("/proc", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map(Self)
            .map_err(Fault::on("open", b"/proc"))
    }

    /// Compares the table with what was made. What is not below this process's root is not in it.
    pub(super) fn verify(&self, made: &Made) -> Result<(), Fault> {
        made.compare(&read(self.0.as_fd())?)
    }
}

fn read(procfs: BorrowedFd<'_>) -> Result<Vec<u8>, Fault> {
    const TABLE: &str = "self/mountinfo";
    const ROOM: usize = 32 << 10;
    let file = openat(procfs, TABLE, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(Fault::on("openat", TABLE.as_bytes()))?;
    // Room for most tables: std::fs::read would feel its way, in a dozen reads.
    let mut table = Vec::with_capacity(ROOM);
    File::from(file).read_to_end(&mut table).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        Fault::system("read", TABLE.as_bytes(), errno)
    })?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
        20 1 0:20 / / ro,nosuid,nodev,relatime - tmpfs tmpfs rw,size=1024k\n\
        21 20 8:1 /usr /usr ro,nosuid,nodev,relatime - ext4 /dev/root rw\n\
        22 21 8:2 / /usr/local ro,nosuid,nodev,noexec - ext4 /dev/other rw\n\
        23 20 0:21 / /a\\040b rw,nosuid,nodev,noexec - tmpfs tmpfs rw\n\
        9 1 8:1 / /old rw - ext4 /dev/root rw\n";

    fn made() -> Made {
        let base = ATTR_NOSUID | ATTR_NODEV;
        let mounts = [
            (20, "/", base | ATTR_RDONLY),
            (21, "/usr", base | ATTR_RDONLY),
            (23, "/a b", base | ATTR_NOEXEC),
        ];
        let mounts = mounts.map(|(id, path, attributes)| {
            (
                id,
                Mount {
                    path: path.as_bytes().to_vec(),
                    attributes,
                    shows: None,
                    propagation: Propagation::Private,
                },
            )
        });
        Made(mounts.into())
    }

    fn found(from: &str, to: &str) -> String {
        assert!(TABLE.contains(from), "{from}");
        made().compare(TABLE.replacen(from, to, 1).as_bytes()).expect_err(from).to_string()
    }

    #[test]
    fn what_was_made_is_found_and_the_old_root_is_not_asked_for() {
        made().compare(TABLE.as_bytes()).unwrap();
    }

    #[test]
    fn what_is_not_as_it_was_made_is_a_fault() {
        for (from, to, place) in [
            ("/usr ro,nosuid", "/usr rw,nosuid", "/usr"),
            ("/ / ro,nosuid,nodev", "/ / ro,nosuid", "/"),
            (",noexec - tmpfs", " - tmpfs", "/a b"),
            // Mounted in what was made read-only, by the host.
            ("/usr/local ro", "/usr/local rw", "/usr/local"),
            ("nodev,relatime - ext4", "nodev,relatime shared:7 - ext4", "/usr"),
            ("nodev,noexec - ext4", "nodev,noexec master:7 - ext4", "/usr/local"),
            ("/a\\040b", "/a", "/a b"),
            ("23 20", "24 20", "/a b"),
            // Covered by what came with it.
            ("22 21 8:2 / /usr/local ro", "22 21 8:2 / /usr ro", "/usr"),
            ("22 21 8:2 / /usr/local", "22 23 8:2 / /a\\040b", "/a b"),
        ] {
            let fault = found(from, to);
            assert!(fault.contains(&format!("the mount at {place}")), "{from}: {fault}");
        }
        assert!(made().compare(b"20\n").is_err() && made().compare(b"").is_err());
    }

    #[test]
    fn a_number_that_comes_again_was_another_mount_s() {
        let propagation = Propagation::Private;
        let mount = Mount { path: b"/new".to_vec(), attributes: 0, shows: None, propagation };
        let fault = made().insert(21, mount).unwrap_err();
        assert!(fault.to_string().contains("the mount at /usr"), "{fault}");
    }

    #[test]
    fn propagation_is_seen_in_the_optional_fields_only() {
        for (line, expected) in [
            ("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw", true),
            ("36 35 98:0 / /mnt2 rw shared:7 - ext3 /dev/root rw", true),
            ("36 35 98:0 / /mnt2 rw - ext3 shared:1 rw", false),
            ("36 35 98:0 / /shared:1 rw unbindable - ext3 /dev/root rw", false),
        ] {
            let line = Line::read(line.as_bytes()).unwrap().1;
            assert_eq!(line.shared || line.slave, expected, "{:?}", shown(&line.path()));
        }
    }
}
