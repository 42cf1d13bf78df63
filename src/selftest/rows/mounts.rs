//! Mounts and files (M). Attacks on how a root is built are caller's-side tests; what can be tried from
//! inside is a probe.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use crate::profile::Sockets;
use crate::selftest::answer::{call, errno_of, in_child};
use crate::selftest::row::{ADMIN, ADMIN_OF_INIT, ALL, NAMESPACED, WITH_PROC, nothing, show};
use crate::selftest::{Answer, Check, Claim, Control, Probe, Removal, Row, Run, SelfTestError};

/// Without a right on the host's own user namespace the kernel refuses.
const HOST_ROOT_ONLY: &str =
    "it takes a capability in the host's own user namespace, which nothing inside has";
/// All with namespaces that show the kernel's part of /proc.
const WHOLE_PROC: &[&str] = &["standard", "build", "network", "container"];

mod tries;
use tries::*;

pub(super) const ROWS: &[Row] = &[
    Row::tests(
        "M1",
        "a mount's place exchanged for a symlink",
        "CVE-2021-30465",
        &["tests/escape/mounts.rs: racing_symlinks_lead_nowhere"],
    ),
    Row::tests(
        "M2",
        "a false /dev/null as mask",
        "CVE-2025-31133",
        &["tests/escape/mounts.rs: the_roots_own_devices_are_not_used"],
    ),
    Row::tests(
        "M3",
        "false terminals in the root's /dev",
        "CVE-2025-52565",
        &["tests/escape/mounts.rs: the_roots_own_devices_are_not_used"],
    ),
    Row::tests(
        "M4",
        "/proc led elsewhere",
        "CVE-2025-52881; CVE-2019-16884; CVE-2019-19921; CVE-2023-28642",
        &["tests/escape/mounts.rs: a_symlink_for_a_place_leads_nowhere"],
    ),
    Row::tests(
        "M5",
        "/dev led elsewhere",
        "CVE-2026-41579; CVE-2026-47766",
        &["tests/escape/mounts.rs: a_symlink_for_a_place_leads_nowhere"],
    ),
    Row::tests(
        "M6",
        "directories made outside of the root",
        "CVE-2024-45310",
        &["tests/escape/mounts.rs: a_symlink_for_a_place_leads_nowhere"],
    ),
    Row {
        id: "M7",
        title: "the host's control groups written",
        source: "CVE-2023-25809",
        check: Check::Probe(Probe {
            run: |_| {
                let tops = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
                let files = tops.map(|entry| entry.path().join("cgroup.procs"));
                let files = files.chain([Path::new("/sys/fs/cgroup/cgroup.procs").to_owned()]);
                Answer::any(files.map(|path| writes(&path)))
            },
            setup: nothing,
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["mounts: no cgroupfs", "the sandbox's host id"],
                removal: Removal::Fixed("shown or not, its files belong to root"),
            }],
        }),
    },
    Row::tests(
        "M8",
        "mounts that propagate out or in",
        "mount_namespaces(7)",
        &["tests/escape/mounts.rs: mounts_do_not_propagate"],
    ),
    Row::tests(
        "M9",
        "submounts of a read-only directory left writable",
        "mount_setattr(2): AT_RECURSIVE",
        &["tests/escape/mounts.rs: a_read_only_directory_is_read_only_all_the_way_down"],
    ),
    Row {
        id: "M10",
        title: "a mask taken away",
        source: "mount_namespaces(7): MNT_LOCKED",
        check: Check::Probe(Probe {
            run: unmask,
            setup: nothing,
            control: Control::Fresh,
            claims: &[Claim {
                profiles: WHOLE_PROC,
                walls: &[
                    "seccomp: @mount",
                    "Landlock: no change of mounts",
                    "capabilities: none of them, or in an inner user namespace, where mounts are locked",
                ],
                removal: ADMIN_OF_INIT,
            }],
        }),
    },
    Row {
        id: "M10b",
        title: "a read-only mount made writable",
        source: "CVE-2014-5206",
        check: Check::Probe(Probe {
            run: make_writable,
            setup: nothing,
            control: Control::Fresh,
            claims: &[Claim {
                profiles: NAMESPACED,
                walls: &[
                    "seccomp: @mount",
                    "Landlock: no change of mounts",
                    "capabilities: none of them, or in an inner user namespace, where mounts are locked",
                ],
                removal: ADMIN_OF_INIT,
            }],
        }),
    },
    Row {
        id: "M11",
        title: "out of the root by chroot and fchdir",
        source: "chroot(2); CVE-2004-2135 class",
        check: Check::Probe(Probe {
            run: climb,
            setup: |setup| {
                let root = fs::metadata("/").map_err(SelfTestError::setup("stat the root"))?;
                setup.value("root", identity(&root));
                // With everything that the trick needs: what is left is that the old root is not there.
                setup.set("seccomp.mode=off");
                setup.set("process.capabilities=[\"CAP_SYS_CHROOT\"]");
                Ok(())
            },
            control: Control::Fresh,
            claims: &[Claim {
                profiles: NAMESPACED,
                walls: &["root: pivot_root, and the old root detached"],
                removal: Removal::Fixed("every root is entered like this"),
            }],
        }),
    },
    Row {
        id: "M12",
        title: "a root file system that cannot be pivoted away",
        source: "runc issue 1962; crun issue 56",
        check: Check::Open("it takes a kernel that was booted from an initramfs"),
    },
    Row {
        id: "M13",
        title: "files of the host's by handle",
        source: "shocker.c, 2014; open_by_handle_at(2)",
        check: Check::Probe(Probe {
            run: by_handle,
            setup: give_handle,
            control: Control::Outside,
            claims: &[Claim {
                profiles: NAMESPACED,
                walls: &["seccomp: @file-handle", "capabilities: no CAP_DAC_READ_SEARCH outside"],
                removal: Removal::Fixed(HOST_ROOT_ONLY),
            }],
        }),
    },
    Row {
        id: "M14",
        title: "a device made",
        source: "mknod(2)",
        check: Check::Probe(Probe {
            run: |scene| {
                let path = format!("{}/null", scene.text("directory"));
                let Ok(path) = CString::new(path) else { return Answer::na("a NUL") };
                let device = libc::makedev(1, 3);
                let made =
                    call!(libc::SYS_mknodat, libc::AT_FDCWD, path.as_ptr(), libc::S_IFCHR | 0o600, device);
                Answer::of("mknod(null)", made.map(drop))
            },
            setup: shared_directory,
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["seccomp: @mknod-no-devices", "capabilities: no CAP_MKNOD outside", "Landlock"],
                removal: Removal::Fixed(HOST_ROOT_ONLY),
            }],
        }),
    },
    Row {
        id: "M14b",
        title: "a device in a shown directory opened",
        source: "mount(8): nodev",
        check: Check::Probe(Probe {
            run: |scene| writes(Path::new(&format!("{}/device", scene.text("directory")))),
            setup: |setup| {
                shared_directory(setup)?;
                let path = setup.directory()?.join("shared/device");
                let mode = nix::sys::stat::SFlag::S_IFCHR;
                let device = libc::makedev(1, 3);
                nix::sys::stat::mknod(&path, mode, Mode::from_bits_truncate(0o666), device)
                    .map_err(SelfTestError::errno("make a device (only root may)"))?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
                    .map_err(SelfTestError::setup("open a device to all"))
            },
            control: Control::Outside,
            claims: &[Claim {
                profiles: NAMESPACED,
                walls: &["mounts: nodev"],
                removal: Removal::Fixed("no profile can show a directory without it"),
            }],
        }),
    },
    Row {
        id: "M15",
        title: "privileges gained by executing",
        source: "CVE-2023-0386; CVE-2021-3493; prctl(2): PR_SET_NO_NEW_PRIVS",
        check: Check::Probe(Probe {
            run: |_| match call!(libc::SYS_prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) {
                Ok(0) => Answer::allowed("prctl(PR_GET_NO_NEW_PRIVS) is 0"),
                Ok(_) => Answer::blocked("prctl(PR_GET_NO_NEW_PRIVS) is 1"),
                Err(errno) => Answer::of("prctl(PR_GET_NO_NEW_PRIVS)", Err(errno)),
            },
            setup: nothing,
            control: Control::Outside,
            claims: &[
                Claim {
                    profiles: NAMESPACED,
                    walls: &["process.noNewPrivileges, which the filter and Landlock cannot be had without"],
                    removal: Removal::Set(&[
                        "process.noNewPrivileges=false",
                        "seccomp.mode=off",
                        "landlock.mode=off",
                        "landlock.scopes=[]",
                    ]),
                },
                Claim {
                    profiles: &["lite"],
                    walls: &["process.noNewPrivileges"],
                    removal: Removal::Fixed("without namespaces a profile cannot do without it"),
                },
            ],
        }),
    },
    Row {
        id: "M15b",
        title: "set-user-ID programs honoured",
        source: "mount(8): nosuid",
        check: Check::Probe(Probe {
            run: |scene| {
                let flags = nix::sys::statvfs::statvfs(scene.text("directory")).map(|stat| stat.flags());
                match flags {
                    Ok(flags) if flags.contains(nix::sys::statvfs::FsFlags::ST_NOSUID) => {
                        Answer::blocked("statvfs: nosuid")
                    }
                    Ok(_) => Answer::allowed("statvfs: no nosuid"),
                    Err(errno) => Answer::of("statvfs", Err(errno)),
                }
            },
            setup: |setup| {
                setup.value("directory", "/usr");
                Ok(())
            },
            control: Control::Outside,
            claims: &[Claim {
                profiles: NAMESPACED,
                walls: &["mounts: nosuid"],
                removal: Removal::Fixed("no profile can show a directory without it"),
            }],
        }),
    },
    Row::tests(
        "M16",
        "traps left for those who read the results",
        "CVE-2024-28185; CVE-2018-15664; go-judge issue 176",
        &[
            "src/cli/report_tests.rs: mod tests",
            "tests/escape/mounts.rs: a_report_follows_nothing_that_was_left",
        ],
    ),
    Row {
        id: "M17",
        title: "configuration planted in the working directory",
        source: "firejail issue 7154; codex pull request 19852",
        check: Check::Open(
            "not claimed: build shows the whole working directory writable, .git and all; the others show none of it",
        ),
    },
    Row {
        id: "M18",
        title: "a read-only file linked into a writable directory",
        source: "link(2): EXDEV",
        check: Check::Probe(Probe {
            run: |scene| {
                let directory = scene.text("directory");
                let linked = fs::hard_link(format!("{directory}/ro/secret"), format!("{directory}/rw/link"));
                Answer::of("link(ro/secret, rw/link)", linked.map_err(|error| errno_of(&error)))
            },
            setup: |setup| {
                let directory = setup.directory()?;
                for (name, readonly) in [("ro", true), ("rw", false)] {
                    let path = directory.join(name);
                    fs::create_dir(&path).map_err(SelfTestError::setup("make a directory"))?;
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o777))
                        .map_err(SelfTestError::setup("open a directory to all"))?;
                    if setup.run == Run::Inside {
                        setup.bind(&path, &path.to_string_lossy(), readonly);
                    }
                }
                let secret = directory.join("ro/secret");
                fs::write(&secret, "x").map_err(SelfTestError::setup("write a marker file"))?;
                // fs.protected_hardlinks: who may write to a file may link it.
                fs::set_permissions(&secret, fs::Permissions::from_mode(0o666))
                    .map_err(SelfTestError::setup("open a file to all"))?;
                if setup.run == Run::Mutation {
                    setup.bind(&directory, &directory.to_string_lossy(), false);
                }
                setup.value("directory", directory.display());
                Ok(())
            },
            control: Control::Outside,
            claims: &[
                Claim {
                    profiles: NAMESPACED,
                    walls: &[
                        "mounts: one for each directory",
                        "Landlock: no link to where there are more rights",
                    ],
                    removal: Removal::Caller,
                },
                Claim {
                    profiles: &["lite"],
                    walls: &["Landlock: no link to where there are more rights"],
                    removal: Removal::Caller,
                },
            ],
        }),
    },
    Row {
        id: "M19",
        title: "a service's socket reached",
        source: "docker.sock, D-Bus, ssh-agent; unix(7)",
        check: Check::Probe(Probe {
            run: |scene| {
                let result = UnixStream::connect(scene.text("socket")).map(drop);
                Answer::of("connect(service.sock)", result.map_err(|error| errno_of(&error)))
            },
            setup: |setup| {
                let directory = setup.directory()?;
                let path = directory.join("service.sock");
                let listener =
                    UnixListener::bind(&path).map_err(SelfTestError::setup("listen on a socket"))?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777))
                    .map_err(SelfTestError::setup("open a socket to all"))?;
                setup.keep(listener);
                setup.value("socket", path.display());
                setup.value("directory", directory.display());
                Ok(())
            },
            control: Control::Outside,
            claims: &[
                Claim {
                    profiles: NAMESPACED,
                    walls: &["mounts: not shown"],
                    // Since ABI 9 Landlock would hold it even then.
                    removal: Removal::Edit(|profile, setup| {
                        profile.landlock.require = false;
                        profile.landlock.scopes.clear();
                        // Read-only: a socket is connected to all the same, and no id map is needed.
                        profile.sockets = Sockets::Allow;
                        show(profile, setup.told("directory"), true);
                        Ok(())
                    }),
                },
                Claim {
                    profiles: &["lite"],
                    walls: &["seccomp: @socket-pair"],
                    removal: Removal::Set(&["seccomp.mode=off"]),
                },
            ],
        }),
    },
    Row {
        id: "M20",
        title: "switches of the kernel in /proc",
        source: "proc_sys(5): core_pattern, modprobe, sysrq-trigger",
        check: Check::Probe(Probe {
            run: |_| {
                let files = [
                    "/proc/sysrq-trigger",
                    "/proc/sys/kernel/core_pattern",
                    "/proc/sys/kernel/modprobe",
                    "/proc/sys/vm/drop_caches",
                    "/proc/sys/fs/binfmt_misc/register",
                    "/proc/irq/default_smp_affinity",
                ];
                Answer::any(files.map(|path| writes(Path::new(path))))
            },
            setup: nothing,
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["mounts: subset=pid, readonlyPaths or not shown", "the sandbox's host id"],
                removal: Removal::Fixed("its files belong to root, which no sandbox is"),
            }],
        }),
    },
    Row {
        id: "M20b",
        title: "what /proc tells of the host's kernel",
        source: "proc(5): interrupts, keys",
        check: Check::Probe(Probe {
            run: |_| Answer::any(["/proc/interrupts", "/proc/keys"].map(reads)),
            setup: nothing,
            control: Control::Outside,
            claims: &[
                Claim {
                    profiles: &["strict", "nested"],
                    walls: &["mounts: /proc with subset=pid"],
                    removal: Removal::Set(&["mounts=[{ destination = \"/proc\", type = \"proc\" }]"]),
                },
                Claim {
                    profiles: WHOLE_PROC,
                    walls: &["maskedPaths"],
                    removal: Removal::Set(&["maskedPaths=[]"]),
                },
                Claim {
                    profiles: &["lite"],
                    walls: &["Landlock: /proc is not shown"],
                    removal: Removal::Fixed("belljar refuses to show the host's /proc"),
                },
            ],
        }),
    },
    Row {
        id: "M21",
        title: "a control group file system mounted",
        source: "CVE-2022-0492",
        check: Check::Probe(Probe {
            run: |_| {
                let result = in_child(|| {
                    // In namespaces of its own, if that is allowed; else with what it has.
                    let own =
                        CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP;
                    let entered = unshare(own);
                    let none: Option<&str> = None;
                    let mounted = mount(Some("none"), "/proc", Some("cgroup2"), MsFlags::MS_RDONLY, none);
                    mounted.map_err(|errno| entered.err().unwrap_or(errno))
                });
                Answer::of("mount(cgroup2)", result)
            },
            setup: nothing,
            control: Control::Fresh,
            claims: &[Claim {
                profiles: WITH_PROC,
                walls: &["seccomp: @mount", "Landlock: no change of mounts", "capabilities: none of them"],
                removal: ADMIN,
            }],
        }),
    },
    Row {
        id: "M22",
        title: "switches of the kernel in /sys",
        source: "sysfs(5): uevent_helper",
        check: Check::Probe(Probe {
            run: |_| {
                let files = ["/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/ksm/run"];
                Answer::any(files.map(|path| writes(Path::new(path))))
            },
            setup: nothing,
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["mounts: no sysfs", "the sandbox's host id"],
                removal: Removal::Fixed("shown or not, its files belong to root"),
            }],
        }),
    },
    Row {
        id: "M23",
        title: "to the host's root through a process in /proc",
        source: "proc_pid_root(5)",
        check: Check::Probe(Probe {
            run: |scene| {
                let root = scene.text("root");
                let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
                let found =
                    processes.flat_map(|process| ["root", "cwd"].map(|name| process.path().join(name)));
                let found = found.filter(|path| fs::metadata(path).is_ok_and(|data| identity(&data) == root));
                match found.into_iter().next() {
                    Some(path) => Answer::allowed(format!("stat({}) is the host's root", path.display())),
                    None => Answer::blocked("stat(/proc/PID/root): none is the host's"),
                }
            },
            setup: |setup| {
                let root = fs::metadata("/").map_err(SelfTestError::setup("stat the root"))?;
                setup.value("root", identity(&root));
                Ok(())
            },
            control: Control::Outside,
            claims: &[Claim {
                profiles: NAMESPACED,
                walls: &["a pid namespace with a /proc of its own", "root: the old one detached"],
                removal: Removal::Fixed("every profile with namespaces has both"),
            }],
        }),
    },
    Row {
        id: "M24",
        title: "overlay marks forged for the host",
        source: "CVE-2021-3493; overlayfs.rst",
        check: Check::Probe(Probe {
            run: |scene| {
                let Ok(path) = CString::new(scene.text("directory")) else { return Answer::na("a NUL") };
                let set = call!(
                    libc::SYS_setxattr,
                    path.as_ptr(),
                    c"trusted.overlay.opaque".as_ptr(),
                    c"y".as_ptr(),
                    1,
                    0
                );
                Answer::of("setxattr(trusted.overlay.opaque)", set.map(drop))
            },
            setup: shared_directory,
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["capabilities: no CAP_SYS_ADMIN outside"],
                removal: Removal::Fixed(HOST_ROOT_ONLY),
            }],
        }),
    },
    Row {
        id: "M25",
        title: "names of the host's control groups",
        source: "proc_pid_cgroup(5)",
        check: Check::Probe(Probe {
            run: |_| match fs::read_to_string("/proc/self/cgroup") {
                Ok(text) => match text.lines().find(|line| !line.ends_with(":/")) {
                    Some(line) => Answer::allowed(format!("/proc/self/cgroup: {line}")),
                    None => Answer::blocked("/proc/self/cgroup: all are /"),
                },
                Err(error) => Answer::of("read(/proc/self/cgroup)", Err(errno_of(&error))),
            },
            setup: nothing,
            control: Control::Outside,
            claims: &[Claim {
                profiles: WITH_PROC,
                walls: &["namespaces: cgroup"],
                removal: Removal::Set(&["namespaces=-cgroup"]),
            }],
        }),
    },
    Row {
        id: "M25b",
        title: "names of the host's directories in the list of mounts",
        source: "proc_pid_mountinfo(5)",
        check: Check::Open(
            "not claimed: the kernel lists for each shown directory where it lies on its own file system",
        ),
    },
];
