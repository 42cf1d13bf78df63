//! Identity and privileges (K11 to K14, K28 to K30).

use std::path::Path;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::{NULL, in_child, probe};
use crate::selftest::answer::call;
use crate::selftest::row::{ALL, NAMESPACED, WALLED, nothing};
use crate::selftest::{Answer, Claim, Removal, Row, Scene, SelfTestError, Setup};

pub(super) const ROWS: &[Row] = &[
    probe(
        "K11",
        "capabilities that are kept, or could come alive",
        "CVE-2022-24769, CVE-2022-29162",
        capabilities,
        nothing,
        &[Claim {
            profiles: WALLED,
            walls: &["process.capabilities: none"],
            removal: Removal::Set(&["process.capabilities=+CAP_NET_RAW"]),
        }],
    ),
    probe(
        "K11b",
        "becoming root",
        "setresuid(2)",
        |_| in_child("setresuid(0, 0, 0)", &[], || call!(libc::SYS_setresuid, 0, 0, 0).map(drop)),
        nothing,
        &[Claim {
            profiles: WALLED,
            walls: &["no id but one is mapped", "no CAP_SETUID"],
            removal: Removal::Fixed("every map is made for one id"),
        }],
    ),
    Row::tests(
        "K12",
        "a user's name that is read as root",
        "CVE-2026-30892",
        &["src/profile/units_tests.rs: users"],
    ),
    probe(
        "K13",
        "groups of the caller's that are kept",
        "setgroups(2)",
        |scene| {
            let result = call!(libc::SYS_getgroups, 0, NULL);
            let tried = format!("getgroups: {result:?}");
            match result {
                Ok(0) => Answer::blocked(tried),
                Ok(_) if scene.stage() != "control" && scene.text("caller") == "user" => {
                    let why = "the kernel lets no unprivileged user namespace give up groups (SECURITY.md)";
                    Answer::na(format!("{tried}: {why}"))
                }
                Ok(_) => Answer::allowed(tried),
                Err(errno) => Answer::of(tried, Err(errno)),
            }
        },
        |setup| {
            setup.value("caller", if nix::unistd::geteuid().is_root() { "root" } else { "user" });
            Ok(())
        },
        &[Claim {
            profiles: NAMESPACED,
            walls: &["setgroups by init, where the kernel lets it"],
            removal: Removal::Fixed("init always gives them up"),
        }],
    ),
    probe(
        "K14",
        "privileges gained by executing a file",
        "PR_SET_NO_NEW_PRIVS(2const)",
        |_| {
            let result = call!(libc::SYS_prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
            let tried = format!("PR_GET_NO_NEW_PRIVS: {result:?}");
            if result == Ok(1) { Answer::blocked(tried) } else { Answer::allowed(tried) }
        },
        nothing,
        &[
            Claim {
                profiles: NAMESPACED,
                walls: &["process.noNewPrivileges"],
                // Neither Landlock nor the filter can be had without it.
                removal: Removal::Edit(|profile, _| {
                    profile.process.no_new_privileges = false;
                    profile.seccomp = None;
                    super::no_landlock(profile);
                    Ok(())
                }),
            },
            Claim {
                profiles: &["lite"],
                walls: &["process.noNewPrivileges"],
                removal: Removal::Fixed("without namespaces belljar refuses to do without it"),
            },
        ],
    ),
    Row::tests(
        "K28",
        "the tie to its parent undone by the task: PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE",
        "prctl(2)",
        &["tests/escape/lifecycle.rs: undone_ties_hold_nobody_back", "tests/end_to_end/leftovers.rs: killed"],
    ),
    probe(
        "K29",
        "a crash that leaves a core dump, or starts the host's crash handler",
        "core(5), CVE-2025-4598",
        core_dump,
        place_for_core,
        &[Claim {
            profiles: ALL,
            walls: &["process.rlimits.core=1"],
            removal: Removal::Set(&["process.rlimits.core=unlimited"]),
        }],
    ),
    probe(
        "K29c",
        "the limit of core files lowered to 0, which starts the host's crash handler",
        "core(5)",
        |_| {
            in_child("setrlimit(RLIMIT_CORE, 0), and it is", &[], || {
                let (before, hard) = getrlimit(Resource::RLIMIT_CORE)?;
                let wanted = u64::from(before == 0).min(hard);
                setrlimit(Resource::RLIMIT_CORE, wanted, hard)?;
                let changed = getrlimit(Resource::RLIMIT_CORE)?.0 != before;
                if changed { Ok(()) } else { Err(Errno::EPERM) }
            })
        },
        nothing,
        &[Claim { profiles: ALL, walls: &["seccomp: @core-limit-keep"], removal: super::NO_FILTER }],
    ),
    probe(
        "K29b",
        "mode bits of the process that forge /proc, or use the memory reserves: PR_SET_MM, PR_SET_IO_FLUSHER",
        "prctl(2)",
        |_| {
            // PR_SET_MM_MAP_SIZE asks for a size, and needs no capability.
            let mut size = 0_u32;
            let result = call!(libc::SYS_prctl, libc::PR_SET_MM, 15, &raw mut size, 0, 0);
            Answer::of("prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE)", result.map(drop))
        },
        nothing,
        &[super::FILTER],
    ),
    Row::open(
        "K30",
        "side channels between threads of one processor core",
        "PR_SCHED_CORE(2const)",
        "no profile claims it: the kernel's own mitigations are what there is",
    ),
];

/// Whether any of the five sets has anything in it.
fn capabilities(_: &Scene) -> Answer {
    // struct __user_cap_header_struct (version 3) and two __user_cap_data_struct: effective, permitted,
    // inheritable.
    let header: [u32; 2] = [0x2008_0522, 0];
    let mut data = [0_u32; 6];
    if let Err(errno) = call!(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) {
        return Answer::na(format!("capget: {errno}"));
    }
    let ask =
        |option: i32, first: u64, second: u64| call!(libc::SYS_prctl, option, first, second, 0, 0) == Ok(1);
    let bounding: Vec<u64> = (0..64).filter(|&number| ask(libc::PR_CAPBSET_READ, number, 0)).collect();
    let is_set = libc::PR_CAP_AMBIENT_IS_SET as u64;
    let ambient: Vec<u64> = (0..64).filter(|&number| ask(libc::PR_CAP_AMBIENT, is_set, number)).collect();
    let seen = format!("capget {data:x?}, bounding {bounding:?}, ambient {ambient:?}");
    if data == [0; 6] && bounding.is_empty() && ambient.is_empty() {
        Answer::blocked(seen)
    } else {
        Answer::allowed(seen)
    }
}

/// A directory that everybody can write a core file to.
fn place_for_core(setup: &mut Setup) -> Result<(), SelfTestError> {
    use std::os::unix::fs::PermissionsExt as _;
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern")
        .map_err(SelfTestError::setup("read the host's core_pattern"))?;
    if pattern.starts_with(['|', '/', '@']) {
        setup.value("handler", pattern.trim());
    }
    let directory = setup.directory()?.join("core");
    std::fs::create_dir(&directory)
        .and_then(|()| std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)))
        .map_err(SelfTestError::setup("make a directory for a core file"))?;
    setup.value("directory", directory.display());
    if setup.run != crate::selftest::setup::Run::Control {
        let destination = directory.to_string_lossy().into_owned();
        setup.bind(&directory, &destination, false);
    }
    Ok(())
}

/// Raises what it may, makes itself dumpable, and crashes.
fn core_dump(scene: &Scene) -> Answer {
    let tried = "abort with RLIMIT_CORE raised to its hard limit";
    if scene.stage() != "inside" && !scene.text("handler").is_empty() {
        return Answer::na(format!("a crash would go to the host's {}", scene.text("handler")));
    }
    // SAFETY: a probe's process has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let crash = || {
                std::env::set_current_dir(Path::new(scene.text("directory"))).ok();
                let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
                setrlimit(Resource::RLIMIT_CORE, hard, hard)?;
                call!(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0)
            };
            let code = crash().err().map_or(0, |errno: Errno| errno as i32);
            if code == 0 {
                std::process::abort();
            }
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(code) }
        }
        Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
            Ok(WaitStatus::Signaled(_, _, true)) => Answer::allowed(format!("{tried}: core dumped")),
            Ok(WaitStatus::Signaled(_, _, false)) => Answer::blocked(format!("{tried}: no core")),
            other => Answer::na(format!("{tried}: {other:?}")),
        },
        Err(errno) => Answer::na(format!("fork: {errno}")),
    }
}
