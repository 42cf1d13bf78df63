//! Descriptors, execution and re-execution (X).

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::stat::Mode;

use crate::selftest::answer::{call, errno_of, in_child, is_init};
use crate::selftest::row::{ALL, NAMESPACED, WITH_PROC, nothing};
use crate::selftest::under::is_other;
use crate::selftest::{Answer, Check, Claim, Control, Probe, Removal, Row, Run, Scene, SelfTestError, Setup};

/// A number that the caller has leaked a descriptor on, or is given by `--keep-fd` in the mutation.
const LEAKED: i32 = 20;

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "X1",
        title: "the sandbox's own image overwritten",
        source: "CVE-2019-5736",
        check: Check::Probe(Probe {
            run: |scene| Answer::any(["/proc/self/exe", "/proc/1/exe"].map(|path| write_image(scene, path))),
            setup: nothing,
            control: Control::Outside,
            claims: MAGIC_LINKS,
        }),
    },
    Row {
        id: "X1b",
        title: "mode and times of the sandbox's own image changed",
        source: "chmod(2) through proc_pid_exe(5)",
        check: Check::Probe(Probe {
            run: |scene| {
                // By its magic link, and by every descriptor of it that might be left.
                let descriptors = (3..1024).map(|fd| format!("/proc/self/fd/{fd}"));
                let same = |path: &String| {
                    image_of(path).is_some_and(|file| image_of("/proc/self/exe") == Some(file))
                };
                let left = descriptors.filter(same).collect::<Vec<_>>();
                Answer::any(
                    ["/proc/self/exe".to_owned()]
                        .into_iter()
                        .chain(left)
                        .map(|path| change_mode(scene, &path)),
                )
            },
            setup: |setup| {
                let image =
                    std::fs::metadata("/proc/self/exe").map_err(SelfTestError::setup("stat the image"))?;
                setup.value("mode", (image.mode() & 0o7777).to_string());
                Ok(())
            },
            control: Control::Outside,
            claims: &[
                Claim {
                    profiles: WITH_PROC,
                    walls: &["namespaces: mount, whose view of the image is read-only"],
                    removal: Removal::Fixed("every new root has it"),
                },
                Claim {
                    profiles: &["lite"],
                    walls: &["seccomp: @attributes-keep"],
                    removal: Removal::UserOnly(
                        &Removal::Set(&["seccomp.mode=off"]),
                        "the id of a sandbox that root starts does not own the image",
                    ),
                },
            ],
        }),
    },
    Row {
        id: "X2",
        title: "a leaked directory of the host's walked out of",
        source: "CVE-2024-21626",
        check: Check::Probe(Probe {
            run: |scene| {
                let root = scene.text("root");
                let opened = |&fd: &i32| call!(libc::SYS_fcntl, fd, libc::F_GETFD).is_ok();
                let found = (3..1024).filter(opened).find(|&fd| {
                    // In a child each: what it changes is the working directory.
                    in_child(|| {
                        call!(libc::SYS_fchdir, fd)?;
                        let here = std::fs::metadata(".").map_err(|_| Errno::EACCES)?;
                        if identity(&here) == root { Ok(()) } else { Err(Errno::ESTALE) }
                    })
                    .is_ok()
                });
                match found {
                    Some(fd) => Answer::allowed(format!("fchdir({fd}) led to the host's root")),
                    None => Answer::blocked("fchdir of 3 to 1023"),
                }
            },
            setup: |setup| {
                let root = std::fs::metadata("/").map_err(SelfTestError::setup("stat the root"))?;
                setup.value("root", identity(&root));
                leak(setup, "/")
            },
            control: Control::None("re-execution closes descriptors even without a sandbox"),
            claims: &[Claim {
                profiles: ALL,
                walls: &["descriptors: all but the named ones are closed"],
                removal: Removal::Caller,
            }],
        }),
    },
    Row {
        id: "X2b",
        title: "a working directory below /proc/self/fd",
        source: "CVE-2024-21626",
        check: Check::Tests(&["tests/escape/descriptors.rs: no_working_directory_by_descriptor"]),
    },
    Row {
        id: "X3",
        title: "descriptors of the caller's inherited",
        source: "fcntl(2): FD_CLOEXEC",
        check: Check::Probe(Probe {
            run: |scene| {
                let opened = |fd: i32| call!(libc::SYS_fcntl, fd, libc::F_GETFD).is_ok();
                let open = |fd: i32| opened(fd) && !(is_other(scene) && is_own_image(fd));
                match (3..4096).find(|&fd| open(fd)) {
                    Some(fd) => Answer::allowed(format!("descriptor {fd} is open")),
                    None => Answer::blocked("fcntl(F_GETFD) of 3 to 4095"),
                }
            },
            setup: |setup| leak(setup, "/dev/null"),
            control: Control::None("re-execution closes descriptors even without a sandbox"),
            claims: &[Claim {
                profiles: ALL,
                walls: &["descriptors: all but the named ones are closed"],
                removal: Removal::Caller,
            }],
        }),
    },
    Row {
        id: "X4",
        title: "a read-only descriptor opened again for writing",
        source: "proc_pid_fd(5): magic links",
        check: Check::Probe(Probe {
            run: |_| {
                // A sandbox that passes it on by a pipe has no such file.
                let given = nix::sys::stat::fstat(std::io::stdin());
                if !given.is_ok_and(|data| data.st_mode & libc::S_IFMT == libc::S_IFREG) {
                    return Answer::blocked("fstat(0): not the caller's file");
                }
                let result =
                    open("/proc/self/fd/0", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map(drop);
                Answer::of("open(/proc/self/fd/0, O_RDWR)", result)
            },
            setup: |setup| {
                let path = setup.file("input", "read me\n")?;
                let file = File::open(path).map_err(SelfTestError::setup("open a marker file"))?;
                setup.stdin(file.into());
                Ok(())
            },
            control: Control::Outside,
            claims: MAGIC_LINKS,
        }),
    },
    Row::tests(
        "X5",
        "standard streams that are closed at the start",
        "CWE-910",
        &[
            "tests/cli/main.rs: closed_streams_are_filled_and_files_stay_whole",
            "tests/reexec/hosts.rs: with_the_standard_streams_closed",
        ],
    ),
    Row::tests(
        "X6",
        "blocked and ignored signals inherited",
        "signal(7)",
        &["tests/escape/descriptors.rs: signals_are_as_new", "tests/reexec/main.rs: a_role_starts_clean"],
    ),
    Row::tests(
        "X7",
        "a role taken by its name alone",
        "Docker's reexec: argv[0] decides",
        &[
            "tests/reexec/image.rs: by_a_link_with_the_name_of_a_role",
            "tests/reexec/forgery.rs: a_credential_of_a_process_that_is_not_the_parent_is_refused",
            "tests/reexec/forgery.rs: a_damaged_credential_is_refused",
        ],
    ),
    Row::tests(
        "X8",
        "an empty argument list",
        "CVE-2021-4034",
        &["tests/reexec/image.rs: with_an_empty_argument_list"],
    ),
    Row::tests(
        "X9",
        "re-execution without end",
        "Docker's reexec: a program that forgets Init",
        &[
            "tests/reexec/guard.rs: a_child_that_forgets_init_and_sleeps_is_named",
            "tests/reexec/without_support.rs: the_harness_is_not_a_fork_bomb",
        ],
    ),
    Row::tests(
        "X10",
        "the program's file deleted or replaced",
        "proc_pid_exe(5)",
        &[
            "tests/reexec/image.rs: after_the_file_was_deleted",
            "tests/reexec/image.rs: after_the_file_was_replaced",
        ],
    ),
    Row::tests(
        "X11",
        "no /proc",
        "proc(5)",
        &[
            "tests/reexec/image.rs: without_proc_from_the_start",
            "tests/reexec/image.rs: after_proc_was_hidden_or_left_by_chroot",
        ],
    ),
    Row::tests(
        "X12",
        "the task's LD_PRELOAD in the init stage",
        "CVE-2025-23266; CVE-2016-10122",
        &["tests/escape/descriptors.rs: a_preloaded_library_is_the_programs_alone"],
    ),
    Row::tests(
        "X13",
        "the task's words taken as options",
        "CVE-2024-32462",
        &[
            "tests/cli/main.rs: what_a_role_is_called_comes_without_dashes",
            "tests/escape/descriptors.rs: a_command_is_no_option",
        ],
    ),
    Row::tests(
        "X14",
        "arguments split again by a shell",
        "sandbox-runtime: spawn with a shell",
        &["tests/cli/main.rs: arguments_reach_the_program_unchanged"],
    ),
    Row {
        id: "X15",
        title: "init looked into while it still holds the host's descriptors",
        source: "CVE-2016-9962; CVE-2016-8649",
        check: Check::Probe(Probe {
            run: look_into_init,
            setup: nothing,
            control: Control::Outside,
            claims: &[Claim {
                profiles: NAMESPACED,
                walls: &["init: PR_SET_DUMPABLE 0, before it holds anything"],
                removal: Removal::Fixed("init does it before it reads the plan's walls"),
            }],
        }),
    },
    Row::tests(
        "X16",
        "belljar installed set-user-ID",
        "CVE-2022-31214; CVE-2020-5291",
        &[
            "tests/cli/main.rs: borrowed_rights_are_refused",
            "tests/reexec/hosts.rs: with_a_set_user_id_image",
        ],
    ),
    Row {
        id: "X17",
        title: "programs run from memory, around noexec",
        source: "memfd_create(2)",
        check: Check::Open(
            "not claimed: noexec on /tmp is against accidents; code that can write memory needs no file",
        ),
    },
    Row::tests(
        "X18",
        "descriptors leaked by starts at the same time",
        "go-judge v0.9.5 to v1.1.4",
        &["tests/escape/descriptors.rs: many_at_once_get_their_own_descriptors"],
    ),
];

/// What keeps a file that is not shown from being opened through a magic link.
const MAGIC_LINKS: &[Claim] = &[
    Claim {
        profiles: WITH_PROC,
        walls: &["Landlock: a file outside of the root"],
        removal: Removal::UserOnly(
            &Removal::Set(&["landlock.mode=off", "landlock.scopes=[]"]),
            "the host id of a sandbox that root starts owns no file",
        ),
    },
    Claim {
        profiles: &["lite"],
        walls: &["Landlock: /proc is not shown"],
        removal: Removal::Fixed("belljar refuses to show the host's /proc"),
    },
];

/// Opens the image for writing. While it runs the kernel says `ETXTBSY`, before Landlock is asked
/// (do_dentry_open in fs/open.c): inside, whether it can be read tells what Landlock says.
fn write_image(scene: &Scene, path: &str) -> Answer {
    let try_open = |flags| open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).map(drop);
    let write = try_open(OFlag::O_WRONLY);
    let tried = format!("open({path}, O_WRONLY)");
    if write != Err(Errno::ETXTBSY) || scene.stage() != "inside" {
        return Answer::of_reached(tried, write, &[Errno::ETXTBSY]);
    }
    match try_open(OFlag::O_RDONLY) {
        Ok(()) => Answer::na("the program's file lies in a directory that is shown inside"),
        Err(errno) => Answer::of(format!("{tried}: busy; open({path}, O_RDONLY)"), Err(errno)),
    }
}

/// The file behind a path, followed.
fn image_of(path: &str) -> Option<String> {
    std::fs::metadata(path).ok().map(|data| identity(&data))
}

/// Gives the image the mode that it has: harmless, and as forbidden as any other.
fn change_mode(scene: &Scene, path: &str) -> Answer {
    let Ok(mode) = scene.text("mode").parse::<u32>() else { return Answer::na("its mode was not told") };
    let changed = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    Answer::of(format!("chmod({path}, {mode:o})"), changed.map_err(|error| errno_of(&error)))
}

/// Device and inode, as text.
fn identity(data: &std::fs::Metadata) -> String {
    format!("{}:{}", data.dev(), data.ino())
}

/// Whether it is the one that re-execution keeps of the image, in a program that is no role. It ends with
/// `execve`.
fn is_own_image(fd: i32) -> bool {
    let flags = call!(libc::SYS_fcntl, fd, libc::F_GETFD);
    let own = image_of("/proc/self/exe");
    flags == Ok(libc::FD_CLOEXEC.into()) && own.is_some() && image_of(&format!("/proc/self/fd/{fd}")) == own
}

/// Leaves a descriptor of `path` open in the caller, without close-on-exec; keeps it for the probe in the
/// mutation.
fn leak(setup: &mut Setup, path: &str) -> Result<(), SelfTestError> {
    let file = File::open(path).map_err(SelfTestError::setup("open a file to leak"))?;
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).map_err(SelfTestError::errno("leak a descriptor"))?;
    if setup.run == Run::Mutation {
        let copy = file.try_clone().map_err(SelfTestError::setup("duplicate a descriptor"))?;
        setup.keep_fd(copy.into(), LEAKED);
    }
    setup.keep(OwnedFd::from(file));
    Ok(())
}

/// Outside: a child of the probe's own. Inside: init.
fn look_into_init(scene: &Scene) -> Answer {
    if let Some(answer) = is_init(scene) {
        return answer;
    }
    let (Ok((ours, theirs)), control) = (nix::unistd::pipe(), scene.stage() == "control") else {
        return Answer::na("no pipe");
    };
    let mut target = 1;
    if control {
        // SAFETY: this process has one thread.
        match unsafe { nix::unistd::fork() } {
            Ok(nix::unistd::ForkResult::Parent { child }) => target = child.as_raw(),
            Ok(nix::unistd::ForkResult::Child) => {
                drop(theirs);
                let mut byte = [0];
                let _ = nix::unistd::read(&ours, &mut byte);
                // SAFETY: ends the child without running anything of the parent's.
                unsafe { libc::_exit(0) }
            }
            Err(errno) => return Answer::new(crate::selftest::Verdict::Na, Some(errno), "fork"),
        }
    }
    let files = ["mem", "environ", "maps", "fd/0", "root/", "cwd/"].map(|name| {
        let path = format!("/proc/{target}/{name}");
        let result = open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).map(drop);
        Answer::of(format!("open({path})"), result)
    });
    debug_assert!(theirs.as_raw_fd() > 2);
    Answer::any(files)
}
