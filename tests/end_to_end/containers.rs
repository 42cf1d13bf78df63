//! What runs inside of containers: docs/containers.md, each cell.
//!
//! podman's defaults are its own; Docker's and Kubernetes' are podman with Docker's list of capabilities and
//! the filter that Docker has for a container without CAP_SYS_ADMIN: no namespaces, no mounts, and no clone3.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::caller::{self, Caller, Run};
use crate::need::{Need, trial};

/// Where distributions have podman's own filter.
const FILTER: &str = "/usr/share/containers/seccomp.json";

/// Options of `podman run`; whether Docker's filter is on; and what is told of each profile, `None` where it
/// runs.
struct Setting {
    name: &'static str,
    options: &'static [&'static str],
    docker: bool,
    cells: &'static [(&'static str, Option<&'static str>)],
}

const NO_ADMIN: Option<&str> = Some("hint: use -p lite");
const FILTERED: Option<&str> = Some("hint: a system-call filter around this process");

const SETTINGS: &[Setting] = &[
    Setting {
        name: "podman_root",
        options: &[],
        docker: false,
        cells: &[("strict", NO_ADMIN), ("nested", NO_ADMIN), ("build", NO_ADMIN), ("lite", None)],
    },
    Setting {
        name: "podman_user",
        options: &["--user=1000:1000"],
        docker: false,
        cells: &[("strict", Some("hint: belljar run -p nested")), ("nested", None), ("lite", None)],
    },
    Setting {
        name: "docker_root",
        options: &["--cap-add=AUDIT_WRITE,MKNOD,NET_RAW"],
        docker: true,
        cells: &[("strict", NO_ADMIN), ("nested", NO_ADMIN), ("lite", None)],
    },
    Setting {
        name: "docker_user",
        options: &["--user=1000:1000", "--cap-add=AUDIT_WRITE,MKNOD,NET_RAW"],
        docker: true,
        cells: &[("strict", FILTERED), ("nested", FILTERED), ("lite", None)],
    },
    Setting {
        name: "kubernetes_restricted",
        options: &["--user=1000:1000", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"],
        docker: true,
        cells: &[("strict", FILTERED), ("nested", FILTERED), ("lite", None)],
    },
];

pub fn trials() -> Vec<Trial> {
    let needs = [Need::Root, Need::Program("podman")];
    let one = |setting: &'static Setting| {
        trial(format!("containers::{}", setting.name), &needs, move || check(setting))
    };
    SETTINGS.iter().map(one).collect()
}

fn check(setting: &Setting) -> Result<(), Failed> {
    let engine = Engine::new()?;
    let control = engine.run(setting, &["true"])?;
    if control.code != Some(0) {
        return Err(format!("no container at all: {control:?}").into());
    }
    for (profile, refusal) in setting.cells {
        let run = engine.run(setting, &["/shelf/belljar", "run", "-p", profile, "--", "id", "-u"])?;
        match refusal {
            None => {
                let id: u32 = run.stdout.trim().parse().map_err(|_| format!("{profile}: {run:?}"))?;
                if run.code != Some(0) || id == 0 {
                    return Err(format!("{profile}: {run:?}").into());
                }
            }
            Some(told) => {
                run.refused(125, &["hint: ", told]).map_err(|error| format!("{profile}: {error}"))?
            }
        }
    }
    Ok(())
}

/// A store of podman's and a root, which go with it.
struct Engine {
    directory: tempfile::TempDir,
}

impl Engine {
    fn new() -> Result<Self, Failed> {
        let directory = caller::directory(Caller::Root);
        let root = directory.path().join("root");
        for name in ["usr", "etc", "proc", "sys", "dev", "tmp", "run", "shelf"] {
            std::fs::create_dir_all(root.join(name))?;
        }
        for name in ["bin", "lib", "lib64", "sbin"] {
            std::os::unix::fs::symlink(Path::new("usr").join(name), root.join(name))?;
        }
        std::fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")?;
        caller::copy_program(&caller::shelf().join("belljar"), &root.join("shelf/belljar"));
        // Some machines' root may not raise limits, which engines do.
        let settings = "[containers]\ndefault_ulimits = []\n[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n";
        std::fs::write(directory.path().join("containers.conf"), settings)?;
        std::fs::write(directory.path().join("docker.json"), docker_filter()?.to_string())?;
        Ok(Self { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, setting: &Setting, command: &[&str]) -> Result<Run, Failed> {
        let mut podman = Command::new("podman");
        caller::as_caller(Caller::Root, &mut podman);
        podman.env("CONTAINERS_CONF", self.path("containers.conf"));
        podman.arg("--root").arg(self.path("store")).arg("--runroot").arg(self.path("run"));
        // runc knows the control groups of every kind of host.
        podman.args([
            "--runtime=runc",
            "--storage-driver=vfs",
            "run",
            "--rm",
            "--network=none",
            "--log-driver=none",
        ]);
        podman.args(["-v", "/usr:/usr:ro"]).args(setting.options);
        if setting.docker {
            podman.arg(format!("--security-opt=seccomp={}", self.path("docker.json").display()));
        }
        podman.arg("--rootfs").arg(self.path("root")).args(command);
        Ok(caller::finish(podman))
    }
}

/// podman's filter with Docker's answers to a container without CAP_SYS_ADMIN (profiles/seccomp/default.json
/// of moby).
fn docker_filter() -> Result<Value, Failed> {
    const REFUSED: [&str; 15] = [
        "clone",
        "clone3",
        "unshare",
        "setns",
        "mount",
        "umount",
        "umount2",
        "pivot_root",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "move_mount",
        "open_tree",
        "mount_setattr",
    ];
    const NEW: u64 = 0x7e02_0000;
    let mut filter: Value = serde_json::from_str(&std::fs::read_to_string(FILTER)?)?;
    let rules = filter["syscalls"].as_array_mut().ok_or("no rules")?;
    for rule in rules.iter_mut() {
        let names = rule["names"].as_array_mut().ok_or("no names")?;
        names.retain(|name| !REFUSED.iter().any(|refused| name == refused));
    }
    rules.retain(|rule| rule["names"].as_array().is_some_and(|names| !names.is_empty()));
    rules.push(json!({
        "names": ["clone"], "action": "SCMP_ACT_ALLOW",
        "args": [{ "index": 0, "value": NEW, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }],
    }));
    rules.push(json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }));
    Ok(filter)
}
