//! Namespaces within the sandbox (K1 to K6).

use nix::errno::Errno;

use super::{NULL, fresh, in_child, probe};
use crate::selftest::answer::call;
use crate::selftest::row::{NAMESPACED, WALLED, WITH_PROC, nothing};
use crate::selftest::under::is_other;
use crate::selftest::{Answer, Claim, Removal, Row, Scene};

/// Root of a namespace of one's own, with no filter.
const FILTER_AND_ADMIN: Removal = Removal::Set(&["seccomp.mode=off", "process.capabilities=+CAP_SYS_ADMIN"]);

const PRIVILEGED: &[Claim] =
    &[Claim { profiles: NAMESPACED, walls: &["seccomp", "no CAP_SYS_ADMIN"], removal: FILTER_AND_ADMIN }];

pub(super) const ROWS: &[Row] = &[
    probe(
        "K1",
        "setgroups drops a group that has fewer rights than others",
        "CVE-2014-8989",
        |_| in_child("setgroups(0, NULL)", &[], || call!(libc::SYS_setgroups, 0, NULL).map(drop)),
        nothing,
        &[Claim {
            profiles: WALLED,
            walls: &["seccomp", "no CAP_SETGID"],
            removal: Removal::Set(&["seccomp.mode=off", "process.capabilities=+CAP_SETGID"]),
        }],
    ),
    probe(
        "K2",
        "ids of the host in the id maps",
        "CVE-2018-18955",
        id_maps,
        |setup| {
            setup.value("caller", if nix::unistd::geteuid().is_root() { "root" } else { "user" });
            Ok(())
        },
        &[Claim {
            profiles: WITH_PROC,
            walls: &["one id in each map, never root's"],
            removal: Removal::Fixed("every map is made for one id"),
        }],
    ),
    Row::open(
        "K3",
        "CLONE_NEWUSER with CLONE_FS",
        "CVE-2013-1858",
        "every kernel since 3.9 refuses it, outside too; the filter refuses CLONE_NEWUSER with any other flag",
    ),
    probe(
        "K4a",
        "a user namespace within: unshare",
        "CVE-2022-0185, CVE-2024-1086",
        |_| {
            in_child("unshare(CLONE_NEWUSER)", &[], || {
                call!(libc::SYS_unshare, libc::CLONE_NEWUSER).map(drop)
            })
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K4b",
        "a user namespace within: clone",
        "CVE-2022-0185, CVE-2024-1086",
        clone_user_namespace,
        nothing,
        &[super::FILTER],
    ),
    fresh(
        "K4c",
        "other namespaces within, without a user namespace",
        "unshare(2)",
        |_| {
            let all = [
                ("CLONE_NEWNS", libc::CLONE_NEWNS),
                ("CLONE_NEWNET", libc::CLONE_NEWNET),
                ("CLONE_NEWPID", libc::CLONE_NEWPID),
                ("CLONE_NEWIPC", libc::CLONE_NEWIPC),
                ("CLONE_NEWUTS", libc::CLONE_NEWUTS),
                ("CLONE_NEWCGROUP", libc::CLONE_NEWCGROUP),
            ];
            Answer::any(all.map(|(name, flag)| {
                in_child(&format!("unshare({name})"), &[], || call!(libc::SYS_unshare, flag).map(drop))
            }))
        },
        PRIVILEGED,
    ),
    fresh(
        "K4d",
        "another namespace entered: setns",
        "setns(2)",
        |_| {
            in_child("setns(own uts namespace)", &[], || {
                let fd = call!(
                    libc::SYS_openat,
                    libc::AT_FDCWD,
                    c"/proc/self/ns/uts".as_ptr(),
                    libc::O_RDONLY | libc::O_CLOEXEC
                )?;
                call!(libc::SYS_setns, fd, libc::CLONE_NEWUTS).map(drop)
            })
        },
        &[Claim { profiles: WITH_PROC, walls: &["seccomp", "no CAP_SYS_ADMIN"], removal: FILTER_AND_ADMIN }],
    ),
    probe(
        "K5",
        "clone3, whose flags a filter cannot see",
        "CVE-2021-41133",
        clone3,
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K6a",
        "the new mount calls: open_tree",
        "CVE-2021-41133",
        |_| {
            let tried = "open_tree(AT_FDCWD, \"/\", OPEN_TREE_CLOEXEC)";
            Answer::of(
                tried,
                call!(libc::SYS_open_tree, libc::AT_FDCWD, c"/".as_ptr(), libc::O_CLOEXEC).map(drop),
            )
        },
        nothing,
        &[super::FILTER],
    ),
    fresh("K6b", "the new mount calls that need privileges", "CVE-2021-41133", new_mounts, PRIVILEGED),
    fresh(
        "K6c",
        "the old mount calls",
        "mount(2), CVE-2022-0492",
        |_| {
            Answer::any([
                in_child("mount(tmpfs, /tmp)", &[], || {
                    call!(libc::SYS_mount, NULL, c"/tmp".as_ptr(), c"tmpfs".as_ptr(), 0, NULL).map(drop)
                }),
                // Both flags exclude each other, which is said after the permission is checked.
                in_child("umount2(/)", &[Errno::EINVAL], || {
                    call!(libc::SYS_umount2, c"/".as_ptr(), libc::MNT_EXPIRE | libc::MNT_FORCE).map(drop)
                }),
                in_child("pivot_root(\"\", \"\")", &[Errno::ENOENT], || {
                    call!(libc::SYS_pivot_root, c"".as_ptr(), c"".as_ptr()).map(drop)
                }),
            ])
        },
        PRIVILEGED,
    ),
    probe(
        "K6d",
        "mounts seen by statmount and listmount",
        "statmount(2)",
        |_| {
            // struct mnt_id_req: its size, mnt_id (LSMT_ROOT), param, mnt_ns_id.
            let request: [u64; 4] = [24, u64::MAX, 0, 0];
            let mut ids = [0_u64; 8];
            let result = call!(LISTMOUNT, request.as_ptr(), ids.as_mut_ptr(), ids.len(), 0);
            Answer::of("listmount", result.map(drop))
        },
        nothing,
        &[Claim { profiles: &["strict", "nested", "lite"], walls: &["seccomp"], removal: super::NO_FILTER }],
    ),
];

/// `listmount`: the same number on every architecture.
const LISTMOUNT: libc::c_long = 458;

/// Whether more than one id of the outside, or root's, is mapped. The kernel lets no ordinary user map the
/// host's root: a 0 is then that of a namespace in between.
fn id_maps(scene: &Scene) -> Answer {
    let user = is_other(scene) && scene.stage() != "control" && scene.text("caller") == "user";
    let single = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let mut lines = text.lines();
        let fields: Vec<u64> =
            lines.next()?.split_whitespace().map_while(|field| field.parse().ok()).collect();
        let one = lines.next().is_none() && matches!(fields[..], [_, outside, 1] if user || outside != 0);
        Some((one, text.trim().to_owned()))
    };
    let (Some(uids), Some(gids)) = (single("/proc/self/uid_map"), single("/proc/self/gid_map")) else {
        return Answer::na("/proc/self/uid_map cannot be read");
    };
    let seen = format!("uid_map {:?}, gid_map {:?}", uids.1, gids.1);
    if uids.0 && gids.0 { Answer::blocked(seen) } else { Answer::allowed(seen) }
}

/// The raw call: `fork` with a flag, whose child ends at once.
fn clone_user_namespace(_: &Scene) -> Answer {
    in_child("clone(CLONE_NEWUSER | SIGCHLD)", &[], || {
        let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
        if call!(libc::SYS_clone, flags, 0, 0, 0, 0)? == 0 {
            // SAFETY: ends the new process.
            unsafe { libc::_exit(0) }
        }
        Ok(())
    })
}

/// The raw call with a structure of no size, which is said before anything is made; and threads, which have
/// to work.
fn clone3(_: &Scene) -> Answer {
    if std::thread::spawn(|| 1).join().ok() != Some(1) {
        return Answer::na("threads do not work");
    }
    Answer::of_reached("clone3(NULL, 0)", call!(libc::SYS_clone3, NULL, 0_usize).map(drop), &[Errno::EINVAL])
}

fn new_mounts(_: &Scene) -> Answer {
    let root = c"/".as_ptr();
    Answer::any([
        Answer::of("fsopen(tmpfs)", call!(libc::SYS_fsopen, c"tmpfs".as_ptr(), 1).map(drop)),
        Answer::of("fspick(/)", call!(libc::SYS_fspick, libc::AT_FDCWD, root, 1).map(drop)),
        // OPEN_TREE_CLONE
        Answer::of("open_tree(/, clone)", call!(libc::SYS_open_tree, libc::AT_FDCWD, root, 1).map(drop)),
        // The rest gets descriptors that are none, or a structure that is too small: said after the
        // permission is checked.
        Answer::of_reached(
            "move_mount(-1)",
            call!(libc::SYS_move_mount, -1, c"".as_ptr(), -1, c"".as_ptr(), 0x44).map(drop),
            &[Errno::EBADF],
        ),
        Answer::of_reached(
            "mount_setattr(/)",
            {
                // struct mount_attr: nothing to set, to clear, or to propagate.
                let attributes = [0_u64; 4];
                let size = size_of_val(&attributes);
                call!(libc::SYS_mount_setattr, libc::AT_FDCWD, root, 0, attributes.as_ptr(), size).map(drop)
            },
            &[],
        ),
        Answer::of_reached(
            "fsconfig(-1)",
            call!(libc::SYS_fsconfig, -1, 6, NULL, NULL, 0).map(drop),
            &[Errno::EBADF, Errno::EINVAL],
        ),
        Answer::of_reached("fsmount(-1)", call!(libc::SYS_fsmount, -1, 0, 0).map(drop), &[Errno::EBADF]),
    ])
}
