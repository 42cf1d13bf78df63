//! New file systems by type, attributes and propagation of mounts, devices by number: what the plan says is
//! what is there.

use std::path::Path;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller, Run};
use crate::need::{Need, trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (who, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        let mut add = |name: &str, check: fn(Caller) -> Result<(), Failed>| {
            trials.push(trial(format!("filesystems::{name} as {who:?}"), needs, move || check(who)));
        };
        add("each_is_mounted_as_it_was_asked_for", each_is_mounted_as_it_was_asked_for);
        add("the_options_of_oci_s_example_are_taken", the_options_of_oci_s_example_are_taken);
        add("what_cannot_be_is_refused_by_its_name", what_cannot_be_is_refused_by_its_name);
        add("a_slave_sees_what_the_host_mounts_later", a_slave_sees_what_the_host_mounts_later);
        add("access_times_of_a_bind", access_times_of_a_bind);
    }
    trials
}

/// The profile `strict` with mounts.
fn profile(who: Caller, directory: &Path, mounts: &[&str]) -> String {
    let path = directory.join("mounts.toml");
    caller::file(who, &path, format!("extends = \"strict\"\nmounts = [{}]\n", mounts.join(", ")));
    path.display().to_string()
}

/// The mounts of the runtime-spec's own config.json, but for the cgroup of version 1 and a tmpfs at /dev.
fn the_options_of_oci_s_example_are_taken(who: Caller) -> Result<(), Failed> {
    let pts = |group: &str| {
        format!(
            r#"{{ destination = "/dev/pts", type = "devpts",
                options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"{group}] }}"#
        )
    };
    let others = [
        r#"{ destination = "/proc", type = "proc", options = [] }"#,
        r#"{ destination = "/dev/shm", type = "tmpfs",
            options = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] }"#,
        r#"{ destination = "/dev/mqueue", type = "mqueue", options = ["nosuid", "noexec", "nodev"] }"#,
        r#"{ destination = "/sys", type = "sysfs", options = ["nosuid", "noexec", "nodev", "ro"] }"#,
        r#"{ destination = "/sys/fs/cgroup", type = "cgroup2",
            options = ["nosuid", "noexec", "nodev", "relatime", "ro"] }"#,
        r#"{ destination = "/scratch", type = "tmpfs",
            options = ["nosuid", "strictatime", "mode=755", "size=65536k"] }"#,
    ];
    let with = |options: &[&str], group: &str| {
        let pts = pts(group);
        let mounts: Vec<&str> = others.into_iter().chain([&*pts]).collect();
        let directory = caller::directory(who);
        let profile = profile(who, directory.path(), &mounts);
        let script = "grep ' /dev/pts ' /proc/self/mounts";
        let command = ["-p", &profile, "--", "/bin/sh", "-c", script];
        caller::run(who, [&["run"][..], options, &command].concat())
    };
    let run = with(&[], "");
    if !run.succeeded()?.contains("mode=620,ptmxmode=666,max=64") {
        return Err(format!("{run:?}").into());
    }
    // The terminals' group (tty) is none of the sandbox's, unless more ids are mapped; before anything starts.
    let group = ", \"gid=5\"";
    for options in [&[][..], &["--dry-run"]] {
        with(options, group)
            .refused(125, &["gid=5 of the devpts at \"/dev/pts\"", "hint: ", "--userns auto"])?;
    }
    if who == Caller::Root {
        with(&["--userns", "auto"], group).succeeded()?;
    }
    Ok(())
}

/// `cat /proc/self/mountinfo` and the like with these mounts.
fn run(who: Caller, mounts: &[&str], script: &str) -> Run {
    let directory = caller::directory(who);
    let profile = profile(who, directory.path(), mounts);
    caller::run(who, ["run", "-p", &profile, "--", "/bin/sh", "-c", script])
}

fn each_is_mounted_as_it_was_asked_for(who: Caller) -> Result<(), Failed> {
    let mounts = [
        r#"{ destination = "/sys", type = "sysfs", options = ["ro"] }"#,
        r#"{ destination = "/sys/fs/cgroup", type = "cgroup2", options = ["ro", "nosuid", "noexec", "nodev"] }"#,
        r#"{ destination = "/scratch", type = "tmpfs",
            options = ["size=1MiB", "mode=0750", "uid=1000", "noatime", "nodiratime"] }"#,
        r#"{ destination = "/strict", type = "tmpfs", options = ["strictatime", "runbindable", "rro"] }"#,
        r#"{ destination = "/dev/nothing", type = "c", options = ["major=1", "minor=3", "mode=0666"] }"#,
        r#"{ destination = "/dev/mqueue", type = "mqueue", options = ["nosymfollow"] }"#,
        r#"{ destination = "/proc", type = "proc", options = ["hidepid=2"] }"#,
    ];
    // `strict` gives an ordinary user's own id inside, and root's sandbox 1000.
    let uid = if who == Caller::Root { 1000 } else { nix::unistd::geteuid().as_raw() };
    let uid = if uid == 0 { caller::USER } else { uid };
    let own = format!("uid={uid}");
    let mounts = mounts.map(|mount| mount.replace("uid=1000", &own));
    let mounts: Vec<_> = mounts.iter().map(String::as_str).collect();
    let script = "cat /proc/self/mountinfo; stat -c '%n %a %u %t:%T' /scratch /dev/nothing; ls /sys/class \
                  /sys/fs/cgroup; echo x >/dev/nothing && ! touch /sys/fs/cgroup/x 2>/dev/null && ! mkdir /strict/x \
                  2>/dev/null && touch /scratch/x";
    let run = run(who, &mounts, script);
    let said = run.succeeded()?;
    for (at, words) in [
        ("/sys", " ro,nosuid,nodev,noexec,relatime - sysfs "),
        ("/sys/fs/cgroup", " ro,nosuid,nodev,noexec,relatime - cgroup2 "),
        ("/scratch", " rw,nosuid,nodev,noatime,nodiratime - tmpfs "),
        ("/strict", " ro,nosuid,nodev unbindable - tmpfs "),
        ("/dev/mqueue", " rw,nosuid,nodev,noexec,relatime,nosymfollow - mqueue "),
        ("/proc", "hidepid=invisible"),
    ] {
        let line = said.lines().find(|line| line.split(' ').nth(4) == Some(at)).unwrap_or_default();
        if !line.contains(words) {
            return Err(format!("{at}: {words:?} is not in {line:?}: {run:?}").into());
        }
    }
    let expected = [format!("/scratch 750 {uid} 0:0"), "cgroup.controllers".to_owned(), "net".to_owned()];
    let node = said.lines().any(|line| line.starts_with("/dev/nothing 666 ") && line.ends_with(" 1:3"));
    if !node || !expected.iter().all(|line| said.lines().any(|other| other == line)) {
        return Err(format!("{expected:?}: {run:?}").into());
    }
    Ok(())
}

fn what_cannot_be_is_refused_by_its_name(who: Caller) -> Result<(), Failed> {
    for (mount, words) in [
        (r#"{ destination = "/x", type = "ramfs" }"#, &["ramfs at \"/x\"", "no limit", "hint: "][..]),
        (r#"{ destination = "/x", type = "ext4" }"#, &["ext4 at \"/x\"", "FS_USERNS_MOUNT", "hint: "]),
        (r#"{ destination = "/x", type = "cgroup2" }"#, &["cgroup2", "limits", "hint: "]),
        (
            r#"{ destination = "/dev/x", type = "c", options = ["major=250", "minor=9999"] }"#,
            &["/dev/x", "250"],
        ),
        // The kernel's own answer, with the mount, the key and the value.
        (
            r#"{ destination = "/x", type = "tmpfs", options = ["mpol=sometimes"] }"#,
            &["mpol=sometimes of a new tmpfs at /x", "EINVAL"],
        ),
        (
            r#"{ destination = "/x", type = "sysfs", options = ["warp"] }"#,
            &["mounts[0].options", "unknown option of a sysfs \"warp\""],
        ),
    ] {
        run(who, &[mount], "true").refused(125, words).map_err(|error| format!("{mount}: {error}"))?;
    }
    let network = r#"extends = "strict"
namespaces = ["-network"]
mounts = [{ destination = "/sys", type = "sysfs", options = ["ro"] }]"#;
    let directory = caller::directory(who);
    let path = directory.path().join("network.toml");
    caller::file(who, &path, network);
    let path = path.display().to_string();
    let run = caller::run(who, ["run", "-p", path.as_str(), "--", "/bin/true"]);
    Ok(run.refused(125, &["mounts (/sys)", "network namespace"])?)
}

/// A process outside mounts something below the source while the sandbox runs.
fn a_slave_sees_what_the_host_mounts_later(who: Caller) -> Result<(), Failed> {
    // Waits for what is mounted for as long as it takes, but not for what never comes.
    const INSIDE: &str = "touch /src/ready; n=0; while [ $n -lt 100 ]; do [ -e /src/below/there ] && echo seen && \
                          break; [ -e /src/over ] && break; n=$((n+1)); sleep 0.1; done; \
                          touch /src/below/written 2>/dev/null && echo written; true";
    for (options, seen) in [
        (r#""rw", "rslave""#, "seen\nwritten\n"),
        // What is in memory of the host's own root is for root alone: only "below" is looked at.
        (r#""rw", "rprivate""#, "written\n"),
        (r#""rw""#, "written\n"),
    ] {
        let directory = caller::directory(who);
        let source = directory.path().join("src");
        let mount =
            format!(r#"{{ destination = "/src", source = "{}", options = [{options}] }}"#, source.display());
        let profile = profile(who, directory.path(), &[&mount]);
        let script = "mkdir src; mount -t tmpfs none src; mount --make-shared src; mkdir src/below; chmod 777 src src/below\n\
                      \"$@\" & n=0\n\
                      while [ ! -e src/ready ] && [ $n -lt 100 ]; do n=$((n+1)); sleep 0.1; done\n\
                      mount -t tmpfs none src/below; chmod 777 src/below; touch src/below/there; sleep 0.3; touch src/over\n\
                      wait $!";
        let mut command = std::process::Command::new("unshare");
        if who == Caller::User {
            command.arg("-Ur");
        }
        command.args(["--mount", "sh", "-ec", script, "sh"]);
        command.arg(caller::shelf().join("belljar"));
        command.args(["run", "-p", &profile, "--", "/bin/sh", "-c", INSIDE]).current_dir(directory.path());
        caller::as_caller(who, &mut command);
        let run = caller::finish(command);
        if run.succeeded()? != seen {
            return Err(format!("{options}: {run:?}").into());
        }
    }
    Ok(())
}

fn access_times_of_a_bind(who: Caller) -> Result<(), Failed> {
    let mount = r#"{ destination = "/opt", source = "/usr", options = ["ro", "rnoatime", "nosymfollow"] }"#;
    let run = run(who, &[mount], "grep ' /opt ' /proc/self/mountinfo");
    if who == Caller::User {
        return Ok(run.refused(125, &["access times of \"/opt\"", "user namespace", "hint: "])?);
    }
    match run.succeeded()? {
        line if line.contains(" ro,nosuid,nodev,noatime,nosymfollow - ") => Ok(()),
        line => Err(line.into()),
    }
}
