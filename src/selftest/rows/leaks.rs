//! Leaks (L).

use std::fs;
use std::io::Read as _;
use std::path::Path;

use crate::selftest::answer::errno_of;
use crate::selftest::row::{ALL, NAMESPACED, WALLED, nothing, show};
use crate::selftest::{
    Answer, Check, Claim, Control, Probe, Removal, Row, SECRET, SECRET_VALUE, Scene, SelfTestError, Setup,
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "L1",
        title: "secrets in the environment",
        source: "environ(7)",
        check: Check::Probe(Probe {
            run: |_| match std::env::var(SECRET) {
                Ok(_) => Answer::allowed("getenv"),
                Err(_) => Answer::blocked("getenv"),
            },
            setup: nothing,
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["process.env: an allow-list"],
                removal: Removal::Edit(|profile, _| Ok(profile.set_env(SECRET, None)?)),
            }],
        }),
    },
    Row {
        id: "L2",
        title: "the caller's environment kept by init",
        source: "proc_pid_environ(5)",
        check: Check::Probe(Probe {
            run: |_| search(fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path())),
            setup: nothing,
            control: Control::Outside,
            claims: &[Claim {
                profiles: NAMESPACED,
                walls: &[
                    "init: executed with an empty environment",
                    "a pid namespace with a /proc of its own",
                ],
                removal: Removal::Fixed("every re-execution of a sandbox is like this"),
            }],
        }),
    },
    Row {
        id: "L3",
        title: "the environment of the process that started the sandbox",
        source: "proc_pid_environ(5)",
        check: Check::Probe(Probe {
            run: |scene| {
                // Another process may have the number inside: the length tells whether it is the caller.
                let path = format!("/proc/{}/environ", scene.text("caller"));
                let tried = format!("read({path})");
                match fs::read(&path) {
                    Ok(bytes) if bytes.len().to_string() == scene.text("length") => Answer::allowed(tried),
                    Ok(_) => Answer::blocked(format!("{tried}: not the caller's")),
                    Err(error) => Answer::of(tried, Err(errno_of(&error))),
                }
            },
            setup: |setup| {
                let own = fs::read("/proc/self/environ");
                setup.value("length", own.map_err(SelfTestError::setup("read the own environment"))?.len());
                setup.value("caller", std::process::id());
                Ok(())
            },
            control: Control::Outside,
            claims: &[
                Claim {
                    profiles: NAMESPACED,
                    walls: &["a pid namespace with a /proc of its own"],
                    removal: Removal::Fixed("every profile with namespaces has it"),
                },
                Claim {
                    profiles: &["lite"],
                    walls: &["Landlock: /proc is not shown, and no process outside can be traced"],
                    removal: Removal::Fixed("lite does without it only where nothing at all is shown"),
                },
            ],
        }),
    },
    Row {
        id: "L4",
        title: "the machine's identity",
        source: "machine-id(5)",
        check: Check::Probe(Probe {
            run: |scene| read(scene.text("file")),
            setup: |setup| {
                setup.value("file", "/etc/machine-id");
                Ok(())
            },
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["mounts: not shown"],
                removal: Removal::Edit(|profile, _| {
                    let file = Path::new("/etc/machine-id");
                    Ok(profile.add_bind(file, file, true)?)
                }),
            }],
        }),
    },
    Row {
        id: "L4b",
        title: "the boot's identity, and the kernel's command line",
        source: "proc_sys_kernel(5)",
        check: Check::Probe(Probe {
            run: |_| {
                Answer::any(["/proc/sys/kernel/random/boot_id", "/proc/cmdline", "/proc/uptime"].map(read))
            },
            setup: nothing,
            control: Control::Outside,
            claims: &[
                Claim {
                    profiles: &["strict", "nested"],
                    walls: &["mounts: /proc with subset=pid"],
                    removal: Removal::Set(&["mounts=[{ destination = \"/proc\", type = \"proc\" }]"]),
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
        id: "L4c",
        title: "the machine's hardware",
        source: "sysfs(5)",
        check: Check::Probe(Probe {
            run: |_| match fs::read_dir("/sys/devices").map(|mut entries| entries.next().is_some()) {
                Ok(true) => Answer::allowed("readdir(/sys/devices)"),
                Ok(false) => Answer::blocked("readdir(/sys/devices): empty"),
                Err(error) => Answer::of("readdir(/sys/devices)", Err(errno_of(&error))),
            },
            setup: nothing,
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["mounts: no sysfs"],
                removal: Removal::Edit(|profile, _| {
                    show(profile, "/sys", true);
                    Ok(())
                }),
            }],
        }),
    },
    Row {
        id: "L4d",
        title: "names of the host's accounts",
        source: "passwd(5)",
        check: Check::Probe(Probe {
            run: accounts,
            setup: host_accounts,
            control: Control::Outside,
            claims: &[
                Claim {
                    profiles: WALLED,
                    walls: &["root.etc: synthetic"],
                    removal: Removal::Edit(|profile, _| {
                        let file = Path::new("/etc/passwd");
                        Ok(profile.add_bind(file, file, true)?)
                    }),
                },
                Claim {
                    profiles: &["lite", "container"],
                    walls: &["mounts: not shown"],
                    removal: Removal::Edit(|profile, _| {
                        let file = Path::new("/etc/passwd");
                        Ok(profile.add_bind(file, file, true)?)
                    }),
                },
            ],
        }),
    },
    Row {
        id: "L5",
        title: "secrets in belljar's own messages",
        source: "CWE-532",
        check: Check::Tests(&["tests/escape/leaks.rs: messages_name_no_secret"]),
    },
    Row {
        id: "L6",
        title: "files of an earlier run",
        source: "CVE-2024-28185 (Judge0): one place for many",
        check: Check::Tests(&["tests/escape/leaks.rs: nothing_of_an_earlier_run"]),
    },
];

/// Whether a byte of a file can be read.
fn read(path: &str) -> Answer {
    let mut byte = [0];
    match fs::File::open(path).and_then(|mut file| file.read(&mut byte)) {
        Ok(0) => Answer::blocked(format!("read({path}): empty")),
        Ok(_) => Answer::allowed(format!("read({path})")),
        Err(error) => Answer::of(format!("read({path})"), Err(errno_of(&error))),
    }
}

/// Looks for the caller's secret in the environments and command lines of processes.
fn search(processes: impl IntoIterator<Item = impl AsRef<Path>>) -> Answer {
    let mut last = Answer::blocked("no process");
    for process in processes {
        for name in ["environ", "cmdline"] {
            let path = process.as_ref().join(name);
            match fs::read(&path) {
                Ok(bytes)
                    if bytes.windows(SECRET_VALUE.len()).any(|part| part == SECRET_VALUE.as_bytes()) =>
                {
                    return Answer::allowed(format!("read({})", path.display()));
                }
                Ok(_) => last = Answer::blocked("read(/proc/PID/environ): nothing of the caller's"),
                Err(error) => last = Answer::of(format!("read({})", path.display()), Err(errno_of(&error))),
            }
        }
    }
    last
}

/// Three accounts of the host's that the synthetic passwd does not have.
fn host_accounts(setup: &mut Setup) -> Result<(), SelfTestError> {
    let text = fs::read_to_string("/etc/passwd").map_err(SelfTestError::setup("read /etc/passwd"))?;
    let names = text.lines().filter_map(|line| line.split(':').next());
    let names: Vec<&str> = names.filter(|name| !["root", "user", "nobody"].contains(name)).take(3).collect();
    setup.value("names", names.join(","));
    Ok(())
}

fn accounts(scene: &Scene) -> Answer {
    let names = scene.text("names");
    match fs::read_to_string("/etc/passwd") {
        _ if names.is_empty() => Answer::na("the host has no accounts"),
        Ok(text) => {
            let has = |name: &str| text.lines().any(|line| line.split(':').next() == Some(name));
            match names.split(',').find(|name| has(name)) {
                Some(name) => Answer::allowed(format!("/etc/passwd has {name}")),
                None => Answer::blocked("/etc/passwd: none of the host's"),
            }
        }
        Err(error) => Answer::of("read(/etc/passwd)", Err(errno_of(&error))),
    }
}
