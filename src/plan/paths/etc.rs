//! The synthetic `/etc`: what programs expect to read there, with nothing of the host's accounts in it.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::candidate::{Candidate, Rank};
use super::convert::c_path;
use super::places::Places;
use super::view::{Found, RootBase, View, missing};
use crate::host::plain::PlainPath;
use crate::host::{FileKind, Files, Stat};
use crate::plan::error::PlanError;
use crate::plan::model::{Identity, Node};
use crate::plan::show::note::Note;

/// More than any sensible `resolv.conf` or time zone has.
const MAX_COPY: usize = 64 << 10;
/// What a copy of the host's `hosts` may take of the root's tmpfs: lists of advertisers are larger.
const MAX_HOSTS: usize = 256 << 10;
const NOBODY: u32 = 65534;
const NOLOGIN: &str = "/usr/sbin/nologin";

/// What the files depend on.
pub(crate) struct Setting<'a> {
    pub identity: &'a Identity,
    /// `HOME` inside.
    pub home: Option<&'a [u8]>,
    pub hostname: Option<&'a str>,
    /// Whether the sandbox shares the host's network.
    pub host_network: bool,
}

/// The files. `localtime` is its own function: it depends on what else is mounted.
pub(crate) fn etc(
    setting: &Setting<'_>,
    files: &dyn Files,
    notes: &mut Vec<Note>,
) -> Result<Vec<Candidate>, PlanError> {
    let mut candidates = Vec::new();
    let mut add = |path, node| candidates.push(Candidate::new(path, node, Rank::Synthetic));
    add(PathBuf::from("/etc"), Node::Directory { mode: 0o755 });
    let mut file = |name: &str, content: Vec<u8>| {
        add(Path::new("/etc").join(name), Node::File { mode: 0o644, content });
    };
    file("passwd", passwd(setting));
    file("group", group(setting.identity.gid));
    let shared = if setting.host_network { host_hosts(setting.hostname, files, notes)? } else { None };
    file("hosts", shared.unwrap_or_else(|| hosts(setting.hostname)));
    if let Some(name) = setting.hostname {
        file("hostname", format!("{name}\n").into_bytes());
    }
    let resolvers = if setting.host_network { "files dns" } else { "files" };
    file(
        "nsswitch.conf",
        format!("passwd: files\ngroup: files\nshadow: files\nhosts: {resolvers}\n").into_bytes(),
    );
    let resolv =
        if setting.host_network { copy(Path::new("/etc/resolv.conf"), MAX_COPY, files)? } else { None };
    file("resolv.conf", resolv.unwrap_or_default());
    Ok(candidates)
}

/// `passwd(5)`: root, the user of the sandbox and nobody, once each.
fn passwd(setting: &Setting<'_>) -> Vec<u8> {
    let Identity { uid, gid, .. } = *setting.identity;
    // A colon or a line break would be a field or a line of its own.
    let home =
        setting.home.filter(|home| home.starts_with(b"/") && !home.iter().any(|b| matches!(b, b':' | b'\n')));
    let home = home.unwrap_or(b"/");
    let mut out = Vec::new();
    let mut line = |name: &str, id: (u32, u32), home: &[u8], shell: &str| {
        out.extend_from_slice(format!("{name}:x:{}:{}:{name}:", id.0, id.1).as_bytes());
        out.extend_from_slice(home);
        out.extend_from_slice(format!(":{shell}\n").as_bytes());
    };
    if uid == 0 {
        line("root", (0, gid), home, "/bin/sh")
    } else {
        line("root", (0, 0), b"/", NOLOGIN)
    }
    if uid != 0 && uid != NOBODY {
        line("user", (uid, gid), home, "/bin/sh");
    }
    if uid == NOBODY {
        line("nobody", (uid, gid), home, "/bin/sh")
    } else {
        line("nobody", (NOBODY, NOBODY), b"/", NOLOGIN)
    }
    out
}

/// `group(5)`.
fn group(gid: u32) -> Vec<u8> {
    let user = if gid == 0 || gid == NOBODY { String::new() } else { format!("user:x:{gid}:\n") };
    format!("root:x:0:\n{user}nogroup:x:{NOBODY}:\n").into_bytes()
}

/// `hosts(5)`.
fn hosts(hostname: Option<&str>) -> Vec<u8> {
    let name =
        hostname.filter(|name| *name != "localhost").map(|name| format!(" {name}")).unwrap_or_default();
    format!("127.0.0.1 localhost{name}\n::1 localhost ip6-localhost ip6-loopback{name}\n").into_bytes()
}

/// `/etc/localtime` depends on whether the host's time zones are visible.
pub(crate) fn add_localtime(
    nodes: &mut Places<Node>,
    root_base: &RootBase,
    files: &dyn Files,
) -> Result<(), PlanError> {
    let path = PlainPath::LOCALTIME;
    let view = View { files, root_base, nodes, masked: &[], except: None };
    // A mount over it, or over all of /etc, is what the profile wants there.
    if !matches!(view.cover(path), Some((_, Node::Directory { .. }))) {
        return Ok(());
    }
    let shown = |zone: &Path| match view.resolve(zone).map(|resolved| resolved.found) {
        Ok(Found::File(file)) => file.path == zone,
        _ => false,
    };
    if let Some(node) = localtime(files, shown)? {
        nodes.insert(path.to_buf(), node);
    }
    Ok(())
}

/// `/etc/localtime`: the host's link where the time zone that it names is `visible` inside, else a copy.
fn localtime(files: &dyn Files, visible: impl Fn(&Path) -> bool) -> Result<Option<Node>, PlanError> {
    let path = Path::new("/etc/localtime");
    if let Ok(Stat { kind: FileKind::Symlink, .. }) = files.lstat(path)
        && let Ok(target) = files.readlink(path)
        && let Ok(zone) = files.canonicalize(path)
        && !target.as_os_str().as_bytes().contains(&0)
        && visible(&zone)
    {
        // Absolute: the link's own text may lead through directories that are not there inside.
        return Ok(Some(Node::Symlink { target: c_path(&zone)? }));
    }
    Ok(copy(path, MAX_COPY, files)?.map(|content| Node::File { mode: 0o644, content }))
}

/// The host's `hosts(5)`, whose network it is, and the sandbox's own name. `None` where there is none, or
/// where it is too large.
fn host_hosts(
    hostname: Option<&str>,
    files: &dyn Files,
    notes: &mut Vec<Note>,
) -> Result<Option<Vec<u8>>, PlanError> {
    let path = Path::new("/etc/hosts");
    let mut content = match copy(path, MAX_HOSTS, files) {
        Ok(None) => return Ok(None),
        Ok(Some(content)) => content,
        Err(PlanError::Read { source, .. }) if source.kind() == ErrorKind::FileTooLarge => {
            notes.push(Note::TooLarge { path: path.to_owned(), limit: MAX_HOSTS });
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if let Some(name) = hostname {
        content.extend_from_slice(format!("\n127.0.0.1 {name}\n::1 {name}\n").as_bytes());
    }
    Ok(Some(content))
}

/// The content of a file of the host, `None` where there is none.
fn copy(path: &Path, most: usize, files: &dyn Files) -> Result<Option<Vec<u8>>, PlanError> {
    let fail = |source| PlanError::Read { path: path.to_owned(), source };
    match files.read_at(path, 0, most + 1) {
        Ok(content) if content.len() > most => {
            let problem = format!("more than {} KiB", most >> 10);
            Err(fail(std::io::Error::new(ErrorKind::FileTooLarge, problem)))
        }
        Ok(content) => Ok(Some(content)),
        Err(e) if missing(&e) => Ok(None),
        Err(source) => Err(fail(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryFiles;
    use crate::plan::model::HostIdentity;

    fn setting(uid: u32, gid: u32) -> Setting<'static> {
        let identity = Identity { uid, gid, host: HostIdentity::Unique };
        // For as long as the tests run.
        let identity = Box::leak(Box::new(identity));
        Setting { identity, home: Some(b"/tmp"), hostname: Some("glass"), host_network: false }
    }

    #[test]
    fn each_id_has_one_name() {
        let text = |uid| String::from_utf8(passwd(&setting(uid, uid))).unwrap();
        assert_eq!(
            text(1000),
            "root:x:0:0:root:/:/usr/sbin/nologin\nuser:x:1000:1000:user:/tmp:/bin/sh\n\
             nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
        );
        assert!(text(0).starts_with("root:x:0:0:root:/tmp:/bin/sh\nnobody"));
        assert!(text(65534).ends_with("nobody:x:65534:65534:nobody:/tmp:/bin/sh\n"));
        assert_eq!(group(0), b"root:x:0:\nnogroup:x:65534:\n");
        assert_eq!(group(5), b"root:x:0:\nuser:x:5:\nnogroup:x:65534:\n");
    }

    #[test]
    fn home_cannot_add_a_line() {
        let mut setting = setting(1000, 1000);
        setting.home = Some(b"/x\nevil:x:0:0::/:/bin/sh");
        assert!(!passwd(&setting).windows(4).any(|w| w == b"evil"));
    }

    #[test]
    fn resolvers_follow_the_network() {
        let files = MemoryFiles::new()
            .file("/run/resolv.conf", 0o644, "nameserver 192.0.2.1\n")
            .symlink("/etc/resolv.conf", "../run/resolv.conf");
        let content = |host_network, name: &str| {
            let nodes = etc(&Setting { host_network, ..setting(1, 1) }, &files, &mut Vec::new()).unwrap();
            let found = nodes.into_iter().find(|c| c.asked.path().ends_with(name)).unwrap();
            let Node::File { content, .. } = found.node else { panic!("{name} is not a file") };
            String::from_utf8(content).unwrap()
        };
        assert_eq!(content(false, "resolv.conf"), "");
        assert_eq!(content(true, "resolv.conf"), "nameserver 192.0.2.1\n");
        assert!(content(false, "nsswitch.conf").ends_with("hosts: files\n"));
        assert!(content(true, "nsswitch.conf").ends_with("hosts: files dns\n"));
    }

    #[test]
    fn names_of_the_hosts_network_are_the_hosts() {
        let files = |text: &str| MemoryFiles::new().file("/etc/hosts", 0o644, text);
        let content = |host_network, files: &MemoryFiles| {
            let mut notes = Vec::new();
            let nodes = etc(&Setting { host_network, ..setting(1, 1) }, files, &mut notes).expect("a plan");
            let found = nodes.into_iter().find(|c| c.asked.path().ends_with("hosts")).expect("hosts");
            let Node::File { content, .. } = found.node else { panic!("hosts is not a file") };
            (String::from_utf8(content).expect("text"), notes)
        };
        let own = hosts(Some("glass"));
        let own = (String::from_utf8(own).expect("text"), Vec::new());
        let there = files("192.0.2.7 registry");
        assert_eq!(content(true, &there).0, "192.0.2.7 registry\n127.0.0.1 glass\n::1 glass\n");
        assert_eq!(content(false, &there), own);
        assert_eq!(content(true, &MemoryFiles::new()), own);
        let (path, limit) = ("/etc/hosts".into(), MAX_HOSTS);
        let large = files(&"#".repeat(MAX_HOSTS + 1));
        assert_eq!(content(true, &large), (own.0, vec![Note::TooLarge { path, limit }]));
        assert_eq!(content(true, &files(&"#".repeat(MAX_HOSTS))).1, []);
    }

    #[test]
    fn localtime_is_a_link_or_a_copy() {
        let files = MemoryFiles::new()
            .file("/usr/share/zoneinfo/Etc/UTC", 0o644, "TZif")
            .symlink("/etc/localtime", "../usr/share/zoneinfo/Etc/UTC");
        let seen = localtime(&files, |_| true).unwrap();
        assert_eq!(seen, Some(Node::Symlink { target: c"/usr/share/zoneinfo/Etc/UTC".into() }));
        let unseen = localtime(&files, |_| false).unwrap();
        assert_eq!(unseen, Some(Node::File { mode: 0o644, content: b"TZif".to_vec() }));
        assert_eq!(localtime(&MemoryFiles::new(), |_| true).unwrap(), None);
    }
}
