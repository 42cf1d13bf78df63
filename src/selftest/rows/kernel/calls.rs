//! Calls that reach into the kernel (K7, K19, K21, K22), and those that hold up or spy on the host (K33, K35,
//! K36).

use nix::errno::Errno;

use super::{NULL, also, fresh, in_child, probe, told_of};
use crate::selftest::answer::{call, errno_of};
use crate::selftest::row::{NAMESPACED, nothing, without_inner};
use crate::selftest::{Answer, Claim, Removal, Row, Scene, SelfTestError, Setup};

/// Held by the filter in the two profiles that have the fewest calls.
const STRICT: Claim =
    Claim { profiles: &["strict", "nested", "lite"], walls: &["seccomp"], removal: super::NO_FILTER };

pub(super) const ROWS: &[Row] = &[
    probe(
        "K7",
        "io_uring, whose work no filter sees",
        "CVE-2022-29582",
        |scene| {
            // struct io_uring_params is 120 bytes.
            let mut parameters = [0_u64; 15];
            let result = call!(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr());
            also(scene, Answer::of("io_uring_setup(1)", result.map(drop)))
        },
        |setup| {
            told_of(setup, "kernel.io_uring_disabled", 1..);
            Ok(())
        },
        &[super::FILTER],
    ),
    probe(
        "K19a",
        "programs in the kernel: bpf",
        "CVE-2021-3490",
        |scene| {
            // The first fields of union bpf_attr: BPF_MAP_TYPE_ARRAY, key, value, entries.
            let map: [u32; 5] = [2, 4, 4, 1, 0];
            let result = call!(libc::SYS_bpf, 0, map.as_ptr(), size_of_val(&map));
            also(scene, Answer::of("bpf(BPF_MAP_CREATE)", result.map(drop)))
        },
        |setup| {
            told_of(setup, "kernel.unprivileged_bpf_disabled", 1..);
            Ok(())
        },
        &[super::FILTER],
    ),
    probe(
        "K19b",
        "performance counters",
        "CVE-2013-2094",
        |scene| {
            // PERF_TYPE_SOFTWARE and the size, PERF_COUNT_SW_TASK_CLOCK; byte 40: disabled, exclude_kernel,
            // exclude_hv.
            let mut attributes = [0_u64; 8];
            attributes[0] = 1 | (size_of_val(&attributes) as u64) << 32;
            attributes[1] = 1;
            attributes[5] = 1 | 1 << 5 | 1 << 6;
            let result = call!(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0);
            also(scene, Answer::of("perf_event_open(own task clock)", result.map(drop)))
        },
        |setup| {
            told_of(setup, "kernel.perf_event_paranoid", 3..);
            Ok(())
        },
        &[super::FILTER],
    ),
    probe(
        "K19c",
        "page faults handled by the attacker: userfaultfd",
        "CVE-2016-6516",
        |_| {
            // UFFD_USER_MODE_ONLY, which needs no privilege (Linux 5.11).
            let result = call!(libc::SYS_userfaultfd, libc::O_CLOEXEC | 1);
            Answer::of("userfaultfd(UFFD_USER_MODE_ONLY)", result.map(drop))
        },
        nothing,
        &[super::FILTER],
    ),
    #[cfg(target_arch = "x86_64")]
    probe(
        "K19d",
        "segment tables: modify_ldt",
        "CVE-2015-3290, CVE-2017-17053",
        |_| {
            let mut table = [0_u64; 8];
            let result = call!(libc::SYS_modify_ldt, 0, table.as_mut_ptr(), size_of_val(&table));
            Answer::of("modify_ldt(read)", result.map(drop))
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K19e",
        "a process without address randomisation: personality",
        "personality(2)",
        |_| {
            // ADDR_NO_RANDOMIZE
            in_child("personality(ADDR_NO_RANDOMIZE)", &[], || {
                call!(libc::SYS_personality, 0x4_0000).map(drop)
            })
        },
        nothing,
        &[Claim {
            profiles: &["strict", "nested", "standard", "network", "container", "lite"],
            walls: &["seccomp"],
            removal: super::NO_FILTER,
        }],
    ),
    probe(
        "K19f",
        "memory policy and page migration",
        "CVE-2018-10675, move_pages(2)",
        |_| {
            Answer::any([
                Answer::of(
                    "set_mempolicy(MPOL_DEFAULT)",
                    call!(libc::SYS_set_mempolicy, 0, NULL, 0).map(drop),
                ),
                Answer::of("move_pages(self, 0)", {
                    call!(libc::SYS_move_pages, 0, 0, NULL, NULL, NULL, 0).map(drop)
                }),
            ])
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K19g",
        "files watched by fanotify",
        "fanotify_init(2)",
        |_| {
            // FAN_CLASS_NOTIF with FAN_REPORT_FID, which needs no privilege (Linux 5.13).
            Answer::of("fanotify_init(FAN_REPORT_FID)", call!(libc::SYS_fanotify_init, 0x200, 0).map(drop))
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K19h",
        "the kernel's log",
        "syslog(2)",
        // SYSLOG_ACTION_SIZE_BUFFER
        |scene| also(scene, Answer::of("syslog(size)", call!(libc::SYS_syslog, 10, NULL, 0).map(drop))),
        |setup| {
            told_of(setup, "kernel.dmesg_restrict", 1..);
            Ok(())
        },
        &[super::FILTER],
    ),
    probe(
        "K19i",
        "advice about, and descriptors of, processes by pidfd",
        "process_madvise(2), pidfd_getfd(2)",
        |_| {
            let own = std::process::id();
            let pidfd = call!(libc::SYS_pidfd_open, own, 0);
            let get = pidfd.and_then(|pidfd| call!(libc::SYS_pidfd_getfd, pidfd, 0, 0));
            let advise = pidfd.and_then(|pidfd| {
                // MADV_COLD of nothing.
                call!(libc::SYS_process_madvise, pidfd, NULL, 0_usize, libc::MADV_COLD, 0)
            });
            Answer::any([
                Answer::of("pidfd_getfd(self, 0)", get.map(drop)),
                Answer::of("process_madvise(self, nothing)", advise.map(drop)),
            ])
        },
        nothing,
        &[super::FILTER],
    ),
    Row::tests(
        "K19j",
        "calls that only the host's root may make: modules, kexec, swap, acct, quotas, ports, reboot, vhangup",
        "capabilities(7)",
        &[
            "tests/golden.rs: filters_are_the_ones_that_were_read",
            "tests/seccomp/policies.rs: never_allowed",
            "tests/seccomp/kernel.rs: samples_agree_with_the_kernel",
        ],
    ),
    fresh(
        "K19k",
        "the machine restarted: reboot",
        "reboot(2)",
        |_| {
            // Magic numbers that are none: said after the permission is checked.
            let result = call!(libc::SYS_reboot, 0, 0, 0, NULL);
            Answer::of_reached("reboot(0, 0, 0)", result.map(drop), &[Errno::EINVAL])
        },
        &[Claim {
            profiles: NAMESPACED,
            walls: &[
                "seccomp",
                "no CAP_SYS_BOOT over the pid namespace: none, or in an inner user namespace",
            ],
            removal: Removal::Plan(
                &["seccomp.mode=off", "process.capabilities=[\"CAP_SYS_BOOT\"]"],
                without_inner,
            ),
        }],
    ),
    fresh(
        "K21",
        "the host's clock",
        "CAP_SYS_TIME, capabilities(7)",
        |_| {
            // A time that is none: said before the permission is checked, and so outside too. It can never
            // set a clock.
            let never = libc::timespec { tv_sec: 0, tv_nsec: -1 };
            let set = call!(libc::SYS_clock_settime, libc::CLOCK_REALTIME, &raw const never);
            // What asks, and may be asked by everybody.
            // SAFETY: all zeros are a struct timex: mode 0 asks.
            let mut asked: libc::timex = unsafe { std::mem::zeroed() };
            let ask = call!(libc::SYS_adjtimex, &raw mut asked);
            Answer::any([
                Answer::of_reached("clock_settime(no time)", set.map(drop), &[Errno::EINVAL]),
                Answer::of("adjtimex(asking)", ask.map(drop)),
            ])
        },
        &[super::FILTER],
    ),
    fresh(
        "K22",
        "the host's name",
        "sethostname(2)",
        |_| {
            // To what it is.
            let Ok(names) = nix::sys::utsname::uname().map(|names| names.nodename().to_owned()) else {
                return Answer::na("uname");
            };
            let name = std::os::unix::ffi::OsStrExt::as_bytes(names.as_os_str());
            let set = call!(libc::SYS_sethostname, name.as_ptr(), name.len());
            // A name that is too long is said after the permission is checked.
            let domain = call!(libc::SYS_setdomainname, NULL, 4096_usize);
            Answer::any([
                Answer::of("sethostname(what it is)", set.map(drop)),
                Answer::of_reached("setdomainname(4096)", domain.map(drop), &[Errno::EINVAL]),
            ])
        },
        &[Claim {
            profiles: NAMESPACED,
            walls: &["seccomp", "no CAP_SYS_ADMIN", "namespaces: uts, which makes it one's own name"],
            removal: Removal::Set(&["seccomp.mode=off", "process.capabilities=+CAP_SYS_ADMIN"]),
        }],
    ),
    probe(
        "K33",
        "modes, times and attributes of the caller's files, which Landlock does not know",
        "landlock(7)",
        attributes,
        own_file,
        &[
            Claim {
                profiles: NAMESPACED,
                walls: &["namespaces: mount, with a root of its own"],
                removal: Removal::Fixed("every profile with namespaces has one"),
            },
            Claim {
                profiles: &["lite"],
                walls: &["seccomp: @attributes-keep"],
                removal: Removal::UserOnly(
                    &super::NO_FILTER,
                    "the id of a sandbox that root starts owns none of the caller's files",
                ),
            },
        ],
    ),
    probe(
        "K38",
        "a file with a set-user-ID bit",
        "chmod(2), RestrictSUIDSGID= of systemd.exec(5)",
        |_| {
            let made = call!(libc::SYS_memfd_create, c"set-id".as_ptr(), libc::MFD_CLOEXEC)
                .and_then(|fd| call!(libc::SYS_fchmod, fd, 0o4755));
            Answer::of("fchmod(memfd, 4755)", made.map(drop))
        },
        nothing,
        &[Claim {
            profiles: &["strict", "nested", "standard", "build", "network", "lite"],
            walls: &["seccomp: @no-set-id"],
            removal: super::NO_FILTER,
        }],
    ),
    Row::tests(
        "K38b",
        "set-user-ID bits and capabilities on the host's files, by every call and in every profile",
        "CVE-2023-0386",
        &[
            "tests/end_to_end/traces.rs: leaves_none",
            "src/plan/tests/walls.rs: set_id_bits_are_for_what_nobody_else_reaches",
        ],
    ),
    probe(
        "K39",
        "a file's flags by a descriptor that was opened for reading",
        "FS_IOC_SETFLAGS(2const), file_setattr(2)",
        |_| {
            let set = call!(libc::SYS_memfd_create, c"flags".as_ptr(), libc::MFD_CLOEXEC).and_then(|fd| {
                let mut flags = 0_i64;
                call!(libc::SYS_ioctl, fd, 0x8008_6601_u64, &raw mut flags)?;
                call!(libc::SYS_ioctl, fd, 0x4008_6602_u64, &raw const flags)
            });
            Answer::of("ioctl(memfd, FS_IOC_SETFLAGS): what they are", set.map(drop))
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K40",
        "huge pages, which no memory limit counts",
        "mmap(2), MAP_HUGETLB",
        |_| {
            // Nothing is taken from the pool before it is mapped.
            let made = call!(libc::SYS_memfd_create, c"huge".as_ptr(), libc::MFD_HUGETLB);
            Answer::of("memfd_create(MFD_HUGETLB)", made.map(drop))
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K41",
        "all contexts of asynchronous I/O that the host has",
        "io_setup(2), fs.aio-max-nr",
        |_| {
            let mut context = 0_u64;
            Answer::of("io_setup(1)", call!(libc::SYS_io_setup, 1, &raw mut context).map(drop))
        },
        nothing,
        &[Claim {
            profiles: &["strict", "nested", "standard", "build", "network", "lite"],
            walls: &["seccomp"],
            removal: super::NO_FILTER,
        }],
    ),
    probe(
        "K35",
        "the whole host's files written back: sync and syncfs",
        "sync(2)",
        |_| {
            // Of a file system in memory: quick.
            let synced = call!(libc::SYS_memfd_create, c"sync".as_ptr(), libc::MFD_CLOEXEC)
                .and_then(|fd| call!(libc::SYS_syncfs, fd));
            Answer::of("syncfs(memfd)", synced.map(drop))
        },
        nothing,
        &[STRICT],
    ),
    probe(
        "K36",
        "which pages of shared files are in memory: mincore, cachestat",
        "CVE-2019-5489",
        |_| {
            let mut page = [0_u8; 1];
            let own = (&raw const page as usize) & !0xfff;
            let result = call!(libc::SYS_mincore, own, 1_usize, page.as_mut_ptr());
            Answer::of("mincore(own page)", result.map(drop))
        },
        nothing,
        &[STRICT],
    ),
    probe(
        "K37",
        "more memory locked than is good for the host",
        "mlock(2)",
        |_| {
            let memory = vec![1_u8; 4 << 20];
            let result = call!(libc::SYS_mlock, memory.as_ptr(), memory.len());
            Answer::of("mlock(4 MiB)", result.map(drop))
        },
        nothing,
        &[Claim {
            profiles: &["strict", "nested", "lite"],
            walls: &["process.rlimits.memlock"],
            removal: Removal::Set(&["process.rlimits.memlock=8MiB"]),
        }],
    ),
];

/// A file of the caller's, that nothing shows inside.
fn own_file(setup: &mut Setup) -> Result<(), SelfTestError> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = setup.file("private", "marker")?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))
        .map_err(SelfTestError::setup("close a file to others"))?;
    setup.value("file", file.display());
    setup.effect(move || {
        let mode = std::fs::metadata(&file).ok()?.permissions().mode() & 0o777;
        (mode != 0o600).then(|| format!("its mode is {mode:o}"))
    });
    Ok(())
}

fn attributes(scene: &Scene) -> Answer {
    use std::os::unix::fs::PermissionsExt as _;
    let path = scene.text("file");
    let changed = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640));
    Answer::of("chmod(a file of the caller's)", changed.map_err(|error| errno_of(&error)))
}
