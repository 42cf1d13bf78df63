//! What is shared by name or by file between processes that do not know each other (K23, K24).

use std::ffi::CString;

use nix::errno::Errno;

use super::probe;
use crate::selftest::answer::{call, errno_of};
use crate::selftest::row::nothing;
use crate::selftest::{Answer, Claim, Removal, Row, SelfTestError, Setup};

/// System V objects and queues: the ipc namespace. Queues are files too, which Landlock holds.
const SHARED: &[Claim] = &[
    Claim {
        profiles: &["strict", "nested"],
        walls: &["seccomp", "namespaces: ipc", "landlock (queues)"],
        removal: Removal::Edit(|profile, _| {
            profile.seccomp = None;
            without_ipc(profile);
            Ok(())
        }),
    },
    Claim {
        profiles: &["standard", "build", "network", "container"],
        walls: &["namespaces: ipc", "landlock (queues)"],
        removal: Removal::Edit(|profile, _| {
            without_ipc(profile);
            Ok(())
        }),
    },
    Claim {
        profiles: &["lite"],
        walls: &["seccomp", "landlock (queues)"],
        removal: super::NO_FILTER_NO_LANDLOCK,
    },
];

fn without_ipc(profile: &mut crate::profile::Profile) {
    super::no_landlock(profile);
    profile.namespaces.remove(&crate::profile::Namespace::Ipc);
    // It is the ipc namespace's own.
    profile.mounts.retain(|mount| mount.kind != crate::profile::MountKind::Mqueue);
}

pub(super) const ROWS: &[Row] = &[
    probe(
        "K23a",
        "shared memory of the host's by its key",
        "shmget(2), ipc_namespaces(7)",
        |scene| {
            Answer::of(
                "shmget(the caller's key)",
                call!(libc::SYS_shmget, scene.number("key"), 0, 0).map(drop),
            )
        },
        segment,
        SHARED,
    ),
    probe(
        "K23b",
        "a message queue of the host's by its name",
        "mq_open(3), ipc_namespaces(7)",
        |scene| {
            let Ok(name) = CString::new(scene.text("queue")) else { return Answer::na("no name") };
            Answer::of(
                "mq_open(the caller's)",
                call!(libc::SYS_mq_open, name.as_ptr(), libc::O_RDONLY, 0, 0).map(drop),
            )
        },
        queue,
        SHARED,
    ),
    probe(
        "K23c",
        "a file in the host's /dev/shm",
        "shm_open(3)",
        |scene| {
            let opened = std::fs::File::open(scene.text("file")).map(drop);
            Answer::of("open(/dev/shm/…)", opened.map_err(|error| errno_of(&error)))
        },
        shared_file,
        &[
            Claim {
                profiles: crate::selftest::row::NAMESPACED,
                walls: &["mounts: a /dev of its own"],
                removal: Removal::Fixed("the host's is never shown"),
            },
            Claim { profiles: &["lite"], walls: &["landlock"], removal: super::NO_LANDLOCK },
        ],
    ),
    probe(
        "K24a",
        "leases that block others who open a shared file",
        "F_SETLEASE(2const)",
        |_| {
            let lease = call!(libc::SYS_memfd_create, c"lease".as_ptr(), libc::MFD_CLOEXEC)
                .and_then(|fd| call!(libc::SYS_fcntl, fd, libc::F_SETLEASE, libc::F_RDLCK));
            // EAGAIN: it is open for writing, which the lease waits for.
            Answer::of_reached("fcntl(F_SETLEASE)", lease.map(drop), &[Errno::EAGAIN])
        },
        nothing,
        &[super::FILTER],
    ),
    Row::open(
        "K24b",
        "locks on a file that is shown inside, as a covert channel or to hold up the host",
        "flock(2), fcntl_locking(2)",
        "no profile claims it: databases and package managers need locks on the files that they are given",
    ),
];

/// A marker with a clean-up.
struct Cleanup(Box<dyn FnMut() -> Result<(), Errno>>);

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Err(errno) = (self.0)() {
            log::warn!("cannot take a marker of the self-test away: {errno}");
        }
    }
}

/// A segment that everybody may use, under a key of this process.
fn segment(setup: &mut Setup) -> Result<(), SelfTestError> {
    let key = 0x0be1_0000 | (std::process::id() & 0xffff);
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o666;
    let id = call!(libc::SYS_shmget, key, 4096, flags).map_err(SelfTestError::errno("make shared memory"))?;
    setup.keep(Cleanup(Box::new(move || call!(libc::SYS_shmctl, id, libc::IPC_RMID, 0).map(drop))));
    setup.value("key", key);
    Ok(())
}

fn queue(setup: &mut Setup) -> Result<(), SelfTestError> {
    let name = format!("belljar-selftest-{}", std::process::id());
    let path =
        CString::new(name.clone()).map_err(|error| SelfTestError::setup("name a queue")(error.into()))?;
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_CLOEXEC;
    let fd = call!(libc::SYS_mq_open, path.as_ptr(), flags, 0o644, 0)
        .map_err(SelfTestError::errno("make a message queue"))?;
    // Independent of the umask.
    call!(libc::SYS_fchmod, fd, 0o644).map_err(SelfTestError::errno("open a message queue to others"))?;
    setup.keep(Cleanup(Box::new(move || call!(libc::SYS_close, fd).map(drop))));
    setup.keep(Cleanup(Box::new(move || call!(libc::SYS_mq_unlink, path.as_ptr()).map(drop))));
    setup.value("queue", name);
    Ok(())
}

fn shared_file(setup: &mut Setup) -> Result<(), SelfTestError> {
    let path = std::path::PathBuf::from(format!("/dev/shm/belljar-selftest-{}", std::process::id()));
    std::fs::write(&path, "marker").map_err(SelfTestError::setup("write a marker to /dev/shm"))?;
    setup.value("file", path.display());
    setup.keep(Cleanup(Box::new(move || std::fs::remove_file(&path).map_err(|error| errno_of(&error)))));
    Ok(())
}
