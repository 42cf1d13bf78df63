//! What a source may lead through, and what it may hold.

use std::path::{Path, PathBuf};

use super::fixtures::*;
use crate::host::{Facts, FileKind, MemoryFiles};
use crate::plan::error::SocketsFound;
use crate::plan::{Call, Note, Plan, PlanError, resolve_with_notes};
use crate::profile::{Profile, Root, Sockets, Symlinks, Workdir};

fn planned(profile: &Profile, facts: &Facts, files: &MemoryFiles) -> Result<(Plan, Vec<Note>), PlanError> {
    let mut call = Call::program(["sh"]);
    call.caller_env = [("HOME", "/home/me"), ("XDG_RUNTIME_DIR", "/srv/run-me")]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    resolve_with_notes(profile, facts, files, &call)
}

/// Symlinks that lead to `/opt`, and whether they are the system's.
fn links() -> (MemoryFiles, Vec<(&'static str, bool)>) {
    let mut files = files();
    let mut cases = Vec::new();
    for (link, is_systems) in [
        ("/link", true),
        ("/var/link", true),
        ("/home/link", true),
        ("/run/link", true),
        ("/etc/alternatives/link", true),
        ("/usr/share/deep/down/link", true),
        ("/nix/store/link", true),
        // A sandbox of root's can have been given these, and what it made there is root's.
        ("/srv/link", false),
        ("/var/lib/link", false),
        ("/home/you/link", false),
        ("/opt/link", false),
        ("/usrlocal/link", false),
        ("/tmp/link", false),
    ] {
        files = files.symlink(link, "/opt");
        cases.push((link, is_systems));
    }
    // Another user's link, and directories in which another user can exchange root's.
    for (link, uid, above, mode) in [
        ("/etc/a/link", 1000, 0, 0o755),
        ("/etc/b/link", 0, 1000, 0o755),
        ("/etc/c/link", 0, 0, 0o775),
        ("/etc/d/link", 0, 0, 0o757),
        ("/etc/e/link", 0, 0, 0o1777),
    ] {
        let parent = Path::new(link).parent().unwrap().to_owned();
        files = files.symlink(link, "/opt").owned(link, uid, uid, 0o777).owned(parent, above, above, mode);
        cases.push((link, false));
    }
    (files, cases)
}

#[test]
fn only_the_systems_symlinks_are_followed() {
    let (files, cases) = links();
    for (link, is_systems) in cases {
        // At the end of the path and on its way, for a mount and for the root.
        let below = format!("{link}/tool");
        let rootfs = Profile { root: Root { path: Some(link.into()), ..profile().root }, ..profile() };
        let rootfs =
            Profile { mounts: vec![bind("/usr", "/usr", true), bind("/usr/bin", "/bin", true)], ..rootfs };
        for (asked, leads_to, profile) in [
            (link, "/opt", with([bind(link, "/x", false)])),
            (&below, "/opt/tool", with([bind(&below, "/x", true)])),
            (
                link,
                "/opt",
                Profile {
                    mounts: [&rootfs.mounts[..], &[bind("/usr/lib64", "/lib64", true)]].concat(),
                    ..rootfs
                },
            ),
        ] {
            for facts in [facts(), root_facts()] {
                let result = planned(&profile, &facts, &files);
                match result {
                    Ok(_) => assert!(is_systems, "{asked}"),
                    Err(PlanError::SourceLink { link: found, path, .. }) => {
                        assert!(!is_systems, "{asked}");
                        assert_eq!((found, path), (PathBuf::from(link), PathBuf::from(leads_to)));
                    }
                    Err(error) => panic!("{asked}: {error:?}"),
                }
                let follow = Profile { symlinks: Symlinks::Follow, ..profile.clone() };
                assert!(planned(&follow, &facts, &files).is_ok(), "{asked}");
            }
        }
    }
}

#[test]
fn lite_follows_no_more() {
    let (files, cases) = links();
    for (link, is_systems) in cases {
        let mut profile = lite();
        profile.mounts.push(bind(link, link, true));
        let result = planned(&profile, &facts(), &files);
        assert_eq!(result.is_ok(), is_systems, "{link}: {result:?}");
    }
}

#[test]
fn the_hint_names_what_the_link_leads_to() {
    let error = planned(&with([bind("/home/me/link", "/x", true)]), &facts(), &files()).unwrap_err();
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("give \"/home/me/project\" itself") && hint.contains("--follow-symlinks"),
        "{hint}"
    );
    assert!(planned(&with([bind("/home/me/project", "/x", true)]), &facts(), &files()).is_ok());
}

fn with_sockets() -> MemoryFiles {
    files()
        .special("/srv/near/s", FileKind::Socket)
        .special("/srv/far/a/b/s", FileKind::Fifo)
        .special("/srv/too/far/down/to/be/found/s", FileKind::Socket)
        .directory("/srv/run-me/app")
        .directory("/run/app")
        .file("/srv/plain/file", 0o644, "")
}

#[test]
fn sockets_are_refused_told_or_allowed() {
    let files = with_sockets();
    let socket = |path: &str| SocketsFound::File { path: path.into(), kind: FileKind::Socket };
    let place = |path: &str| SocketsFound::Place(path.into());
    for (source, expected) in [
        ("/srv/near", Some(socket("/srv/near/s"))),
        ("/srv/far", Some(SocketsFound::File { path: "/srv/far/a/b/s".into(), kind: FileKind::Fifo })),
        ("/srv/too", None),
        ("/srv/plain", None),
        ("/srv/plain/file", None),
        ("/run/app", None),
        ("/home/me/project", None),
        // By name, though nothing is there just now.
        ("/run", Some(place("/run"))),
        ("/tmp", Some(place("/tmp"))),
        ("/home", Some(place("/home/me"))),
        ("/home/me", Some(place("/home/me"))),
        ("/srv/run-me", Some(place("/srv/run-me"))),
        ("/", Some(place("/run"))),
    ] {
        for readonly in [true, false] {
            let profile = |sockets| Profile { sockets, ..with([bind(source, "/x", readonly)]) };
            match (planned(&profile(Sockets::Refuse), &facts(), &files), &expected) {
                (Err(PlanError::Sockets { path, found, .. }), Some(expected)) => {
                    assert_eq!((&path, &found), (&PathBuf::from(source), expected));
                }
                (Ok((_, notes)), None) => assert_eq!(notes, []),
                (result, _) => panic!("{source}: {result:?}"),
            }
            let (_, notes) = planned(&profile(Sockets::Tell), &facts(), &files).unwrap();
            let told =
                expected.iter().map(|found| Note::Sockets { path: source.into(), found: found.clone() });
            assert_eq!(notes, told.collect::<Vec<_>>());
            assert_eq!(planned(&profile(Sockets::Allow), &facts(), &files).unwrap().1, []);
        }
    }
}

#[test]
fn nothing_is_looked_for_where_landlock_holds_sockets() {
    let mut profile = Profile { sockets: Sockets::Refuse, ..with([bind("/srv/near", "/x", false)]) };
    let at = |abi| Facts { landlock_abi: Some(abi), ..facts() };
    assert!(planned(&profile, &at(8), &with_sockets()).is_err());
    assert!(planned(&profile, &at(9), &with_sockets()).is_ok());
    profile.landlock.require = false;
    assert!(planned(&profile, &at(9), &with_sockets()).is_err());
}

#[test]
fn the_working_directory_and_the_root_are_looked_at() {
    let files = with_sockets();
    let facts = Facts { cwd: Some("/srv/near".into()), ..facts() };
    let work = Profile { workdir: Workdir::Readonly, sockets: Sockets::Refuse, ..profile() };
    assert!(matches!(planned(&work, &facts, &files), Err(PlanError::Sockets { .. })));
    let root = Root { path: Some("/srv/far".into()), ..profile().root };
    let mounts =
        ["/usr", "/usr/bin", "/usr/lib64"].map(|at| bind(at, &at.replace("/usr/", "/"), true)).into();
    let rootfs = Profile { root, mounts, workdir: Workdir::None, ..work };
    let result = planned(&rootfs, &facts, &files);
    assert!(matches!(result, Err(PlanError::Sockets { .. })), "{result:?}");
}

#[test]
fn the_look_is_bounded() {
    let mut files = files();
    for n in 0..2000 {
        files = files.file(format!("/srv/many/a/{n:04}"), 0o644, "");
    }
    // Behind more entries than are looked at: it is not found, and nothing is said of it.
    let files = files.special("/srv/many/a/z", FileKind::Socket);
    let profile = Profile { sockets: Sockets::Refuse, ..with([bind("/srv/many", "/x", true)]) };
    assert!(planned(&profile, &facts(), &files).is_ok());
}
