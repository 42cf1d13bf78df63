//! What a sandboxed program cannot do, and what it is given: tried from inside, profile by profile.

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller, Run};
use crate::need::{Need, trial};

/// The profiles that build a root of their own, and work without more options.
const WALLED: [&str; 4] = ["strict", "standard", "build", "network"];

type Check = fn(Caller, &str) -> Result<(), Failed>;

const CHECKS: &[(&str, &[&str], Check)] = &[
    ("status_is_locked_down", &["strict", "standard", "build", "network", "lite"], status_is_locked_down),
    ("host_files_are_not_there", &WALLED, host_files_are_not_there),
    ("the_old_root_is_gone", &WALLED, the_old_root_is_gone),
    ("system_is_read_only", &["strict", "standard", "build", "network", "lite"], system_is_read_only),
    ("other_processes_are_invisible", &WALLED, other_processes_are_invisible),
    ("no_network", &["strict", "standard", "build", "lite"], no_network),
    ("environment_is_an_allow_list", &["strict", "standard", "build", "network", "lite"], environment),
    ("every_mount_is_nosuid_and_nodev", &WALLED, every_mount_is_nosuid_and_nodev),
    ("init_tells_nothing", &WALLED, init_tells_nothing),
    (
        "privileges_cannot_be_had",
        &["strict", "standard", "build", "network", "lite"],
        privileges_cannot_be_had,
    ),
    ("host_name_is_not_the_hosts", &WALLED, host_name_is_not_the_hosts),
    ("own_image_cannot_be_written", &["strict", "standard", "build", "network", "lite"], own_image),
];

/// Each check, for each profile, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![trial(
        "isolation::nothing_propagates_from_shared_mounts as Root".to_owned(),
        &[Need::Root, Need::Program("unshare")],
        nothing_propagates,
    )];
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        for (name, profiles, check) in CHECKS {
            for profile in *profiles {
                let name = format!("isolation::{name} under {profile} as {caller:?}");
                trials.push(trial(name, needs, move || check(caller, profile)));
            }
        }
        trials.push(trial(format!("isolation::a_directory_is_no_stream as {caller:?}"), needs, move || {
            let mut command = caller::belljar(caller, ["run", "--", "true"]);
            command.stdin(std::fs::File::open("/").map_err(|error| error.to_string())?);
            Ok(caller::finish(command).refused(125, &["standard input is a directory"])?)
        }));
        trials.push(trial(
            format!("isolation::home_is_no_working_directory as {caller:?}"),
            needs,
            move || home_is_no_working_directory(caller),
        ));
        trials.push(trial(
            format!("isolation::a_profiles_path_is_not_told as {caller:?}"),
            needs,
            move || a_profiles_path_is_not_told(caller),
        ));
        trials.push(trial(
            format!("isolation::a_script_that_looks_for_secrets as {caller:?}"),
            &[needs, &[Need::Program("python3")]].concat(),
            move || a_script_that_looks_for_secrets(caller),
        ));
    }
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        let needs = [needs, &[Need::Program("unshare")]].concat();
        let name = format!("isolation::a_proc_of_another_pid_namespace as {caller:?}");
        trials.push(trial(name, &needs, move || proc_of_another_namespace(caller)));
        trials.push(trial(format!("isolation::called_root_by_one_id as {caller:?}"), &needs, move || {
            called_root(caller)
        }));
    }
    trials.push(trial(
        "isolation::lite_is_never_root as Root".to_owned(),
        &[Need::Root, Need::Program("setpriv")],
        || {
            let mut command = caller::belljar(Caller::Root, ["run", "-p", "lite", "--", "id"]);
            // Without CAP_SETUID there is no way to be another.
            let unable = ["--bounding-set=-setuid", "--inh-caps=-setuid", "--"];
            let program = command.get_program().to_owned();
            let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            let id = caller::finish(command);
            command = std::process::Command::new("setpriv");
            command.args(unable).arg(program).args(arguments).current_dir("/");
            let refused = caller::finish(command);
            if !id.stdout.starts_with("uid=") || id.stdout.starts_with("uid=0") {
                return Err(format!("{id:?}").into());
            }
            Ok(refused.refused(125, &["without namespaces root would stay root", "hint: "])?)
        },
    ));
    trials
}

/// In a user namespace that maps one id, as root: an ordinary user's id is the sandbox's as it always is, the
/// host's root has no id. Numbers of processes mean others there: the id maps of another process were
/// written, or refused.
fn proc_of_another_namespace(caller: Caller) -> Result<(), Failed> {
    for profile in ["strict", "build", "lite"] {
        let mut command = std::process::Command::new("unshare");
        if caller == Caller::User {
            command.arg("-Ur");
        }
        command.args(["--pid", "--fork"]).arg(caller::shelf().join("belljar"));
        command
            .args(["run", "-p", profile, "--", "sh", "-c", "echo in; exit 3"])
            .current_dir(caller::shelf());
        caller::as_caller(caller, &mut command);
        let run = caller::finish(command);
        if run.code != Some(3) || run.stdout != "in\n" || !run.stderr.is_empty() {
            return Err(format!("{profile}: {run:?}").into());
        }
    }
    Ok(())
}

fn called_root(caller: Caller) -> Result<(), Failed> {
    for profile in ["strict", "build", "lite"] {
        let mut command = std::process::Command::new("unshare");
        command
            .arg("-Ur")
            .arg(caller::shelf().join("belljar"))
            .args(["run", "-p", profile, "--", "id", "-u"]);
        command.current_dir(caller::shelf());
        caller::as_caller(caller, &mut command);
        let run = caller::finish(command);
        let expected = if profile == "lite" { "0\n" } else { "1000\n" };
        match (caller, profile) {
            (Caller::Root, "lite") => run.refused(125, &["root would stay root", "hint: "])?,
            (Caller::Root, _) => run.refused(125, &["may be the host's root", "hint: "])?,
            (Caller::User, _) if run.code == Some(0) && run.stdout == expected => {}
            (Caller::User, _) => return Err(format!("{profile}: {run:?}").into()),
        }
    }
    Ok(())
}

/// Where the host's mounts are shared, as systemd makes them, so is the copy that root's caller makes of a
/// bound directory, unless it is made private: mounts of the host's would appear inside.
fn nothing_propagates() -> Result<(), Failed> {
    const COUNT: &str = "grep -cE ' (shared|master):[0-9]' /proc/self/mountinfo";
    let directory = caller::directory(Caller::Root);
    let bound = format!("{}:/bound", directory.path().display());
    let script = format!("{COUNT} >/dev/null || exit 99; exec \"$@\"");
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "shared", "sh", "-c", &script, "sh"]);
    command.arg(caller::shelf().join("belljar")).args(["run", "--bind", &bound, "--", "sh", "-c"]);
    command.arg(format!("test -w /bound && {COUNT}; true")).stdin(std::process::Stdio::null());
    caller::as_caller(Caller::Root, &mut command);
    prints(&caller::finish(command), "0\n")
}

/// Runs a shell script inside, in a directory of the caller's own.
fn shell(caller: Caller, profile: &str, script: &str) -> Run {
    let directory = caller::directory(caller);
    let mut command = caller::belljar(caller, ["run", "-p", profile, "--", "sh", "-c", script]);
    command.current_dir(directory.path());
    command.env("BELLJAR_TEST_SECRET", "hunter2").env("LD_PRELOAD", "/nonexistent.so");
    caller::finish(command)
}

/// The script must print exactly this.
fn prints(run: &Run, expected: &str) -> Result<(), Failed> {
    if run.code == Some(0) && run.stdout == expected {
        return Ok(());
    }
    Err(format!("expected {expected:?}, got {run:#?}").into())
}

fn status_is_locked_down(caller: Caller, profile: &str) -> Result<(), Failed> {
    // lite shows no /proc: there the outcome's read-back speaks.
    if profile == "lite" {
        let run = caller::run(caller, ["run", "-p", profile, "--report", "-", "--", "true"]);
        let report: serde_json::Value =
            serde_json::from_str(&run.stderr).map_err(|e| format!("{e}: {run:#?}"))?;
        let holds = &report["protections"];
        let expected = holds["noNewPrivileges"] == true
            && holds["capabilities"] == 0
            && holds["landlock"] == true
            && holds["seccomp"] == true;
        return if expected { Ok(()) } else { Err(format!("{report:#}").into()) };
    }
    let run = shell(
        caller,
        profile,
        "grep -E '^(Cap|NoNewPrivs|Seccomp:|SigBlk|SigIgn|Groups)' /proc/self/status | tr -d '\\t '; umask; \
         awk '{print $3}' /proc/self/uid_map",
    );
    let zero = "0000000000000000";
    let groups = format!("Groups:{}\nSigBlk:{zero}\nSigIgn:{zero}\n", groups_inside(caller)?);
    let sets =
        ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| format!("{set}:{zero}\n")).concat();
    prints(&run, &format!("{groups}{sets}NoNewPrivs:1\nSeccomp:2\n0022\n1\n"))
}

/// The supplementary groups that the task has, as `/proc/self/status` shows them without white space. An
/// ordinary user cannot drop his own (`user_namespaces(7)`): they have no number inside, but for the one that
/// is mapped.
fn groups_inside(caller: Caller) -> Result<String, Failed> {
    // The tests' other users are made without any.
    if caller == Caller::Root || nix::unistd::geteuid().is_root() {
        return Ok(String::new());
    }
    let own = nix::unistd::getegid();
    let inside = |group: &nix::unistd::Gid| if *group == own { own.as_raw() } else { 65534 };
    Ok(nix::unistd::getgroups().map_err(|e| e.to_string())?.iter().map(|g| inside(g).to_string()).collect())
}

fn host_files_are_not_there(caller: Caller, profile: &str) -> Result<(), Failed> {
    // A working directory below /tmp has its mount point there.
    let script = "for p in /root /home /var /boot /sys /run /etc/shadow /etc/machine-id \
                  /etc/ssh/sshd_config /etc/ssh/ssh_host_* /etc/ssl/private /etc/apt /etc/cron.d /etc/systemd /proc/1/root/etc/shadow; do \
                  cat $p/. >/dev/null 2>&1; [ -e $p ] && echo $p; done; ls -A ~ | grep -v ^belljar-test-; true";
    prints(&shell(caller, profile, script), "")
}

fn the_old_root_is_gone(caller: Caller, profile: &str) -> Result<(), Failed> {
    let script = "for p in / /.. /../.. /proc/self/root /proc/self/cwd/../../../..; do stat -c %d:%i $p/; done | sort -u | wc -l";
    prints(&shell(caller, profile, script), "1\n")
}

fn system_is_read_only(caller: Caller, profile: &str) -> Result<(), Failed> {
    let script = "for d in / /usr /usr/bin /etc /bin /lib; do \
                  touch $d/belljar-was-here 2>/dev/null && echo $d; rm -rf $d/* 2>/dev/null; done; test -x /bin/sh && echo whole";
    prints(&shell(caller, profile, script), "whole\n")
}

fn other_processes_are_invisible(caller: Caller, profile: &str) -> Result<(), Failed> {
    // 1 is init, 2 the shell; the rest are its own children.
    let script = "cd /proc; set -- [0-9]*; echo $1 $2; [ $# -le 3 ] && echo few; kill -0 $PPID 2>&1 | tail -c 15; echo $PPID";
    let run = shell(caller, profile, script);
    if run.stdout.starts_with("1 2\nfew\n") && run.stdout.ends_with("1\n") {
        return Ok(());
    }
    Err(format!("{run:#?}").into())
}

fn no_network(caller: Caller, profile: &str) -> Result<(), Failed> {
    // A listener on the host's loopback, which nothing inside may reach.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let outside = std::net::TcpStream::connect(("127.0.0.1", port));
    outside.map_err(|error| format!("the control outside failed: {error}"))?;
    listener.accept().map_err(|error| format!("the control outside failed: {error}"))?;
    let script = format!(
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo connected; \
         bash -c 'echo x >/dev/udp/127.0.0.1/{port}' 2>/dev/null; true"
    );
    let run = shell(caller, profile, &script);
    prints(&run, "")?;
    match listener.accept() {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        other => Err(format!("connected: {other:?}").into()),
    }
}

fn environment(caller: Caller, profile: &str) -> Result<(), Failed> {
    let run = shell(
        caller,
        profile,
        "env | cut -d= -f1 | grep -vE '^(PATH|HOME|LANG|TERM|PWD|OLDPWD|SHLVL|_)$'; true",
    );
    prints(&run, "")
}

fn every_mount_is_nosuid_and_nodev(caller: Caller, profile: &str) -> Result<(), Failed> {
    // Devices are binds of single nodes, which could not be used with nodev (masked files are /dev/null), and
    // devpts makes terminals.
    let script = "grep -v ' nosuid\\| [a-z,]*,nosuid' /proc/self/mountinfo; \
                  awk '$5 !~ \"^/dev/(null|zero|full|random|urandom|tty|pts)$\" && $4 != \"/null\" && $6 !~ /nodev/' /proc/self/mountinfo; true";
    prints(&shell(caller, profile, script), "")
}

fn init_tells_nothing(caller: Caller, profile: &str) -> Result<(), Failed> {
    let script = "cat /proc/1/environ /proc/1/mem /proc/1/maps 2>/dev/null; ls /proc/1/fd 2>/dev/null; \
                  readlink /proc/1/exe /proc/1/cwd /proc/1/root; tr '\\0' ' ' </proc/1/cmdline; kill -9 1 2>/dev/null; echo alive";
    prints(&shell(caller, profile, script), &format!("belljar-init {profile} alive\n"))
}

/// What PID 1 was started with can be read inside: of a profile it is the file's name, not where that is.
fn a_profiles_path_is_not_told(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let profile = directory.path().join("mine.toml");
    caller::file(caller, &profile, "extends = \"strict\"\n");
    let profile = profile.to_str().ok_or("a path that is not text")?;
    let script = "tr '\\0' ' ' </proc/1/cmdline; grep -rlF mine.toml /etc /proc/self/mountinfo; true";
    prints(&caller::run(caller, ["run", "-p", profile, "--", "sh", "-c", script]), "belljar-init mine.toml ")
}

fn privileges_cannot_be_had(caller: Caller, profile: &str) -> Result<(), Failed> {
    let script = "unshare -Ur true 2>/dev/null && echo user namespace; \
                  mount -t tmpfs none /tmp 2>/dev/null && echo mount; \
                  chroot / true 2>/dev/null && echo chroot; \
                  mknod /tmp/null c 1 3 2>/dev/null && echo mknod; \
                  hostname elsewhere 2>/dev/null && echo hostname; \
                  chown 12345 /tmp 2>/dev/null && echo chown; \
                  nice -n -5 true 2>/dev/null >&2; true";
    prints(&shell(caller, profile, script), "")
}

fn host_name_is_not_the_hosts(caller: Caller, profile: &str) -> Result<(), Failed> {
    prints(&shell(caller, profile, "uname -n; cat /etc/hostname"), "belljar\nbelljar\n")
}

fn own_image(caller: Caller, profile: &str) -> Result<(), Failed> {
    // CVE-2019-5736: the image that init runs, through every name that it has inside.
    let image = caller::shelf().join("belljar");
    let before = std::fs::read(&image).map_err(|error| error.to_string())?;
    // The path itself may be writable inside, where it is another file: what counts is what it is outside,
    // afterwards.
    let script = format!(
        "for p in /proc/1/exe /proc/$PPID/exe; do (echo x >>$p) 2>/dev/null && echo written $p; done; \
         (echo x >>{}) 2>/dev/null; true",
        image.display()
    );
    prints(&shell(caller, profile, &script), "")?;
    let after = std::fs::read(&image).map_err(|error| error.to_string())?;
    if before == after { Ok(()) } else { Err("the image has changed".into()) }
}

/// `cd; belljar run -p build -- make` would hand over every key; a directory below is fine, and so is naming
/// it.
fn home_is_no_working_directory(caller: Caller) -> Result<(), Failed> {
    let home = caller::directory(caller);
    let project = home.path().join("project");
    std::fs::create_dir(&project).map_err(|error| error.to_string())?;
    caller::give(caller, &project);
    let run = |cwd: &std::path::Path, options: &[&str]| {
        let args = [&["run", "-p", "build"], options, &["--", "pwd"]].concat();
        let mut command = caller::belljar(caller, args);
        command.env("HOME", home.path()).current_dir(cwd);
        caller::finish(command)
    };
    run(home.path(), &[]).refused(125, &["home directory", "hint:"])?;
    let above = home.path().parent().ok_or("no parent")?;
    run(above, &[]).refused(125, &["home directory"])?;
    prints(&run(&project, &[]), &format!("{}\n", project.display()))?;
    let named = home.path().to_str().ok_or("a path that is not text")?;
    prints(&run(home.path(), &["--bind", named]), &format!("{named}\n"))?;
    // The hint, followed: from the home, and from the root.
    let shown = project.to_str().ok_or("a path that is not text")?;
    for cwd in [home.path(), std::path::Path::new("/")] {
        prints(&run(cwd, &["-w", shown]), &format!("{shown}\n"))?;
        prints(&run(cwd, &["--bind", shown, "-w", shown]), &format!("{shown}\n"))?;
    }
    Ok(())
}

/// The issue's own case: a script computes, and everything else that it tries fails.
fn a_script_that_looks_for_secrets(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let script = directory.path().join("job.py");
    caller::file(
        caller,
        &script,
        r#"
import os, socket, sys

def attempt(name, action):
    try:
        action()
        print(name, "worked")
    except OSError as error:
        print(name, "failed")

print(sum(int(line) for line in open("/data/numbers")))
attempt("ssh keys", lambda: os.listdir(os.path.expanduser("~/.ssh")))
attempt("callers home", lambda: os.listdir("/root"))
attempt("internet socket", lambda: socket.create_connection(("127.0.0.1", 1), timeout=1))
attempt("write to /usr", lambda: open("/usr/was-here", "w"))
attempt("write to data", lambda: open("/data/numbers", "a"))
attempt("kill init", lambda: os.kill(1, 9))
attempt("other processes", lambda: os.kill(3, 0))
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))
"#,
    );
    let numbers = directory.path().join("numbers");
    caller::file(caller, &numbers, (1..=1000).map(|n| format!("{n}\n")).collect::<String>());
    let bind = |path: &std::path::Path, inside: &str| format!("{}:{inside}", path.display());
    let run = caller::run(
        caller,
        [
            "run",
            "--ro-bind",
            &bind(&script, "/data/job.py"),
            "--ro-bind",
            &bind(&numbers, "/data/numbers"),
            "--",
            "python3",
            "/data/job.py",
        ],
    );
    prints(
        &run,
        "500500\nssh keys failed\ncallers home failed\ninternet socket failed\nwrite to /usr failed\n\
         write to data failed\nkill init failed\nother processes failed\n[1, 2]\n",
    )
}
