//! How a root is built while another process changes its files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::Entry;
use crate::caller::{self, Caller};
use crate::need::Need;

pub const CHECKS: &[Entry] = &[
    ("racing_symlinks_lead_nowhere", &[], racing_symlinks_lead_nowhere),
    ("the_roots_own_devices_are_not_used", &[], the_roots_own_devices_are_not_used),
    ("a_symlink_for_a_place_leads_nowhere", &[], a_symlink_for_a_place_leads_nowhere),
    ("mounts_do_not_propagate", &[], mounts_do_not_propagate),
    (
        "a_read_only_directory_is_read_only_all_the_way_down",
        &[],
        a_read_only_directory_is_read_only_all_the_way_down,
    ),
    ("the_hosts_root_is_shown_as_it_is", &[], the_hosts_root_is_shown_as_it_is),
    ("what_is_mounted_below_belongs_to_its_owner", &[], what_is_mounted_below_belongs_to_its_owner),
    ("a_symlink_of_an_earlier_run_is_not_followed", &[], a_symlink_of_an_earlier_run_is_not_followed),
    ("sockets_in_what_is_shown_are_refused_or_told", &[Need::Program("python3")], sockets_in_what_is_shown),
    ("a_report_follows_nothing_that_was_left", &[], a_report_follows_nothing_that_was_left),
];

/// A root directory with the host's programs, and a directory beside it that nothing may appear in.
struct Bundle {
    _directory: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
}

impl Bundle {
    fn new(caller: Caller) -> Result<Self, Failed> {
        let directory = caller::directory(caller);
        let (root, outside) = (directory.path().join("root"), directory.path().join("outside"));
        let make = |path: &Path| {
            fs::create_dir(path)?;
            caller::give(caller, path);
            Ok::<(), std::io::Error>(())
        };
        make(&root)?;
        make(&outside)?;
        for name in ["usr", "proc", "dev", "tmp", "etc"] {
            make(&root.join(name))?;
        }
        for name in ["bin", "lib", "lib64"] {
            symlink(Path::new("usr").join(name), root.join(name))?;
        }
        Ok(Self { _directory: directory, root, outside })
    }

    /// `belljar run -p container`, with more options, of a shell script.
    fn run(&self, caller: Caller, options: &[&str], script: &str) -> caller::Run {
        let mut args: Vec<&std::ffi::OsStr> =
            ["run", "-p", "container", "--rootfs"].map(AsRef::as_ref).into();
        args.push(self.root.as_ref());
        args.extend(["--ro-bind", "/usr"].map(AsRef::<std::ffi::OsStr>::as_ref));
        args.extend(options.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        args.extend(["--", "/bin/sh", "-c", script].map(AsRef::<std::ffi::OsStr>::as_ref));
        caller::run(caller, args)
    }

    fn nothing_outside(&self) -> Result<(), Failed> {
        match fs::read_dir(&self.outside)?.next() {
            None => Ok(()),
            Some(entry) => Err(format!("made outside of the root: {:?}", entry?.path()).into()),
        }
    }
}

/// The new root is mounted on the old one while it is built: a copy of `/` must not show it, and least of all
/// let it be written to.
fn the_hosts_root_is_shown_as_it_is(caller: Caller) -> Result<(), Failed> {
    use std::os::unix::fs::MetadataExt as _;
    let root = fs::metadata("/")?;
    let same = format!("{}:{}\n", root.dev(), root.ino());
    let look = |options: &[&str], directories: &[&str]| {
        let mut args = [&["run", "-q", "--allow-sockets"], options, &["--", "stat", "-c", "%d:%i"]].concat();
        args.extend(directories);
        let run = caller::run(caller, &args);
        if run.succeeded()? == same.repeat(directories.len()) {
            Ok(())
        } else {
            Err(Failed::from(format!("{run:#?}")))
        }
    };
    // What is shown twice, below itself, and together with a part of it.
    look(&["--ro-bind", "/:/host"], &["/host"])?;
    look(&["-p", "standard", "--ro-bind", "/:/host", "--ro-bind", "/:/other"], &["/host", "/other"])?;
    let both = ["-p", "standard", "--ro-bind", "/:/host", "--bind", "/:/other"];
    match caller {
        Caller::User => look(&both, &["/host", "/other"])?,
        // The host's root's files would be the sandbox's own: it could make what the profile finds missing in
        // /etc.
        Caller::Root => {
            let refused = look(&both, &["/host", "/other"]);
            let told = refused.as_ref().err().and_then(Failed::message).unwrap_or_default();
            if !told.contains("the task could make it") {
                return Err(format!("{refused:?}").into());
            }
        }
    }
    look(
        &["--ro-bind", "/:/a/host", "--ro-bind", "/usr:/a/host/srv", "--ro-bind", "/:/z"],
        &["/a/host", "/z"],
    )?;
    let bundle = Bundle::new(caller)?;
    let rootfs = bundle.root.to_str().ok_or("not UTF-8")?;
    // Made in the directory that is the root, or in an overlay. Below a root that is written to, the host's
    // pipes would be within reach, and it would be refused.
    for made in [false, true] {
        if made {
            fs::create_dir(bundle.root.join("host"))?;
        }
        look(&["--rootfs", rootfs, "--ro-bind", "/usr", "--ro-bind", "/:/host"], &["/host"])?;
    }
    // As an ordinary user the file would be made in the sandbox's own root, which is read-only.
    if caller == Caller::Root {
        return Ok(()); // it would be made on the host
    }
    let name = format!("belljar-test-{}", std::process::id());
    let script = format!("touch /host/{name}; ls / | grep -c {name}");
    let run = caller::run(caller, ["run", "--allow-sockets", "--bind", "/:/host", "--", "sh", "-c", &script]);
    let made = fs::remove_file(Path::new("/").join(&name)).is_ok();
    if run.stdout == "0\n" && !made { Ok(()) } else { Err(format!("{run:#?}").into()) }
}

/// What a run was given to write to is given to the next one in parts: a symlink that the first one left must
/// not lead that elsewhere.
fn a_symlink_of_an_earlier_run_is_not_followed(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let (job, victim) = (directory.path().join("job"), directory.path().join("victim"));
    for path in [&job, &job.join("out"), &victim] {
        fs::create_dir(path)?;
        caller::give(caller, path);
    }
    let script = format!("rmdir /job/out && ln -s {} /job/out", victim.display());
    caller::run(caller, ["run", "--bind", &format!("{}:/job", job.display()), "--", "sh", "-c", &script])
        .succeeded()?;
    let out = job.join("out");
    let bind = format!("{}:/out", out.display());
    let below = format!("{}/below:/out", out.display());
    fs::create_dir(victim.join("below"))?;
    for options in [
        &["--bind", &bind][..],
        &["--ro-bind", &bind],
        &["--bind", &below],
        &["-p", "container", "--rootfs", out.to_str().ok_or("not UTF-8")?],
    ] {
        let args = [&["run"], options, &["--", "touch", "/out/X"]].concat();
        let words = ["is a symlink, and leads to", "--follow-symlinks"];
        caller::run(caller, &args).refused(125, &words)?;
    }
    // By a path from the current directory.
    let mut command = caller::belljar(caller, ["run", "--bind", "./job/out:/out", "--", "touch", "/out/X"]);
    command.current_dir(directory.path());
    caller::finish(command).refused(125, &["is a symlink"])?;
    if fs::read_dir(&victim)?.count() != 1 {
        return Err("something was made in what the symlink leads to".into());
    }
    // A caller who means it says so; and the system's own are followed.
    let args = ["run", "--follow-symlinks", "--bind", &bind, "--", "touch", "/out/X"];
    caller::run(caller, args).succeeded()?;
    if !victim.join("X").exists() {
        return Err("it was asked to follow, and did not".into());
    }
    caller::run(caller, ["run", "--ro-bind", "/bin:/x", "--", "/x/true"]).succeeded()?;
    Ok(())
}

/// Before Landlock's ABI 9 a listening socket in a read-only directory can be connected to: `strict` refuses
/// it, the others tell.
fn sockets_in_what_is_shown(caller: Caller) -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = caller::directory(caller);
    let shown = directory.path().join("shown");
    fs::create_dir_all(shown.join("below"))?;
    let socket = shown.join("below/socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777))?;
    caller::give(caller, &shown);
    listener.set_nonblocking(true)?;
    let bind = format!("{}:/shown", shown.display());
    let connect = "import socket; socket.socket(socket.AF_UNIX).connect('/shown/below/socket'); print('in')";
    let run = |options: &[&str]| {
        let args = [&["run"], options, &["--ro-bind", &bind, "--", "python3", "-c", connect]].concat();
        caller::run(caller, &args)
    };
    let held = belljar::internals::host::Facts::detect()?.landlock_abi.is_some_and(|abi| abi >= 9);
    if held {
        for options in [&[][..], &["-p", "standard"], &["--allow-sockets"]] {
            let run = run(options);
            if run.code != Some(1) || !run.stderr.contains("PermissionError") {
                return Err(format!("{run:#?}").into());
            }
        }
        return Ok(());
    }
    run(&[]).refused(125, &["below/socket\" is a socket of the host", "--allow-sockets"])?;
    let told = run(&["-p", "standard"]);
    let said = told.stderr.matches("is a socket of the host").count();
    if told.code != Some(0) || said != 1 {
        return Err(format!("told {said} times: {told:#?}").into());
    }
    let allowed = run(&["--allow-sockets"]);
    if allowed.succeeded()? != "in\n" || !allowed.stderr.is_empty() {
        return Err(format!("{allowed:#?}").into());
    }
    Ok(())
}

/// As root, the owner's files on a mount below a bound directory are the sandbox's own, too; where the kernel
/// cannot map one of the mounts (a procfs), that is told and the rest is as it was.
fn what_is_mounted_below_belongs_to_its_owner(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let shown = directory.path().join("shown");
    fs::create_dir_all(shown.join("below"))?;
    caller::give(caller, &shown);
    caller::give(caller, &shown.join("below"));
    let owner = if caller == Caller::Root { "" } else { "--user 1000 " };
    let mount = "mount -t tmpfs -o mode=755 none $D/shown/below && chown 0:0 $D/shown";
    let script =
        format!("{mount} && $B run {owner}--bind $D/shown:/shown -- touch /shown/file /shown/below/file");
    let run = in_own_mounts(caller, directory.path(), &script);
    if run.code != Some(0) || !run.stderr.is_empty() {
        return Err(format!("{run:#?}").into());
    }
    if caller == Caller::Root {
        let more = "mkdir $D/shown/proc && mount -t proc none $D/shown/proc";
        let script = format!("{mount} && {more} && $B run --bind $D/shown:/shown -- touch /shown/file");
        let run = in_own_mounts(caller, directory.path(), &script);
        if run.code != Some(0) || run.stderr.matches("cannot be id-mapped").count() != 1 {
            return Err(format!("{run:#?}").into());
        }
    }
    Ok(())
}

/// CVE-2021-30465: the place of a mount is a directory at one instant and a symlink at the next.
fn racing_symlinks_lead_nowhere(caller: Caller) -> Result<(), Failed> {
    let bundle = Bundle::new(caller)?;
    let (place, link) = (bundle.root.join("place"), bundle.root.join("link"));
    fs::create_dir_all(place.join("deep/down"))?;
    fs::write(place.join("deep/down/hostname"), "")?;
    caller::give(caller, &place);
    symlink(&bundle.outside, &link)?;
    // The symlink is one that leads there from inside and outside alike.
    fs::create_dir_all(bundle.root.join(bundle.outside.strip_prefix("/")?))?;
    let (stop, exchanged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut ran = 0;
    std::thread::scope(|scope| {
        let (stop, exchanged, place, link) = (&stop, &exchanged, &place, &link);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
                let cwd = nix::fcntl::AT_FDCWD;
                if nix::fcntl::renameat2(cwd, place.as_path(), cwd, link.as_path(), flags).is_err() {
                    break;
                }
                exchanged.fetch_add(1, Ordering::Relaxed);
            }
        });
        let began = Instant::now();
        let mut result = Ok(());
        while began.elapsed() < Duration::from_secs(3) && result.is_ok() {
            let script = "cat /place/deep/down/hostname >/dev/null";
            let run = bundle.run(caller, &["--ro-bind", "/etc/hostname:/place/deep/down/hostname"], script);
            match run.code {
                // 1: the file is shown, and the symlink is in its place when it is read.
                Some(0 | 1) => ran += 1,
                // What was a directory when the plan was made is a symlink when init comes to it.
                Some(125) => {}
                _ => result = Err(format!("{run:#?}")),
            }
        }
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    bundle.nothing_outside()?;
    let exchanged = exchanged.into_inner();
    if ran == 0 || exchanged < 1000 {
        return Err(format!("no race: {ran} ran, {exchanged} exchanges").into());
    }
    Ok(())
}

/// CVE-2025-31133, CVE-2025-52565: what a root calls /dev/null or a terminal is never used.
fn the_roots_own_devices_are_not_used(caller: Caller) -> Result<(), Failed> {
    let bundle = Bundle::new(caller)?;
    let target = bundle.outside.to_str().ok_or("not UTF-8")?.to_owned();
    for name in ["null", "zero", "console", "ptmx", "tty"] {
        symlink("/proc/sys/kernel/core_pattern", bundle.root.join("dev").join(name))?;
    }
    fs::create_dir(bundle.root.join("dev/pts"))?;
    symlink(&target, bundle.root.join("dev/pts/0"))?;
    let script = "stat -c '%t:%T %F' /dev/null; stat -L -c '%t:%T %F' /proc/keys /proc/interrupts; \
                  readlink /dev/null /dev/zero /dev/console /dev/tty; ls /dev/pts; ls /dev/console 2>/dev/null; true";
    let run = bundle.run(caller, &[], script);
    let null = "1:3 character special file\n";
    if run.succeeded()? != format!("{}ptmx\n", null.repeat(3)) {
        return Err(format!("{run:#?}").into());
    }
    bundle.nothing_outside()
}

/// CVE-2025-52881, CVE-2026-41579, CVE-2024-45310: /proc and /dev are directories or nothing; elsewhere a
/// symlink of the root's leads to a place in the root.
fn a_symlink_for_a_place_leads_nowhere(caller: Caller) -> Result<(), Failed> {
    for (name, options, code) in [
        ("proc", &[][..], 125),
        ("dev", &[], 125),
        ("data", &["--overlay-tmp", "--ro-bind", "/etc/hostname:/data/new/directory/file"], 0),
        ("data", &["--overlay-tmp", "--tmpfs", "/data/new/directory"], 0),
    ] {
        for up_and_out in [false, true] {
            let bundle = Bundle::new(caller)?;
            let place = bundle.root.join(name);
            if place.exists() {
                fs::remove_dir(&place)?;
            }
            let target = if up_and_out { Path::new("../outside") } else { &bundle.outside };
            symlink(target, &place)?;
            let run = bundle.run(caller, options, "true");
            bundle.nothing_outside()?;
            if run.code != Some(code) || (code == 125 && !run.stderr.contains(name)) {
                return Err(format!("{name} -> {}: {run:#?}", target.display()).into());
            }
        }
    }
    Ok(())
}

/// `sh -c script`, in a mount namespace of its own, with `$B`, which starts belljar as the caller, and the
/// directory `$D`.
pub(crate) fn in_own_mounts(caller: Caller, directory: &Path, script: &str) -> caller::Run {
    let mut command = Command::new("unshare");
    caller::as_caller(caller, &mut command);
    let belljar = caller::shelf().join("belljar").display().to_string();
    let belljar = match caller {
        Caller::Root => belljar,
        // Mounting takes root's id in a user namespace; from there it goes back to an ordinary one.
        Caller::User => {
            command.arg("-Ur");
            format!("unshare -U --map-user=1000 --map-group=1000 {belljar}")
        }
    };
    command.args(["-m", "--propagation", "private", "timeout", "30", "sh", "-c", script]);
    command.env("B", belljar).env("D", directory).current_dir("/");
    caller::finish(command)
}

/// What is mounted on one side does not appear on the other, though the host's mounts are shared.
fn mounts_do_not_propagate(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    for name in ["shown", "go"] {
        fs::create_dir(directory.path().join(name))?;
        caller::give(caller, &directory.path().join(name));
    }
    // The control: a plain copy of the namespace does pass mounts on.
    let control = in_own_mounts(
        caller,
        directory.path(),
        "mount -t tmpfs shared $D/shown && mount --make-rshared / && mkdir $D/shown/in && \
         unshare -m --propagation unchanged mount -t tmpfs marker $D/shown/in && grep -c ' marker ' /proc/self/mountinfo",
    );
    if control.stdout != "1\n" {
        return Err(format!("the control: {control:#?}").into());
    }
    // Out: inside, with the walls before it removed, something is mounted. In: the host mounts something
    // during the run.
    let run = in_own_mounts(
        caller,
        directory.path(),
        "mount -t tmpfs shared $D/shown && mount --make-rshared / && mkdir $D/shown/in $D/shown/out && mkfifo $D/go/a $D/go/b && \
         { timeout 20 head -n1 $D/go/a; mount -t tmpfs marker $D/shown/in; timeout 20 sh -c 'echo >$D/go/b'; } >/dev/null & \
         while [ ! -p $D/go/b ]; do sleep 0.01; done; \
         $B run --set seccomp.mode=off --set landlock.mode=off --set 'process.capabilities=[\"CAP_SYS_ADMIN\"]' \
         --allow-sockets --bind $D/shown:/shown --bind $D/go:/go -- sh -c \
         'mount -t tmpfs marker /shown/out && grep -c \" marker \" /proc/self/mountinfo; timeout 20 sh -c \"echo x >/go/a; head -n1 /go/b\" >/dev/null; grep -c \" marker \" /proc/self/mountinfo'; \
         wait; grep -c ' marker ' /proc/self/mountinfo",
    );
    // Inside: its own, before and after; outside: the host's.
    if run.stdout != "1\n1\n1\n" {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

/// A file system that is mounted below a directory that is shown read-only is read-only too.
fn a_read_only_directory_is_read_only_all_the_way_down(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let run = in_own_mounts(
        caller,
        directory.path(),
        "mkdir $D/sub && mount -t tmpfs sub $D/sub && mkdir $D/sub/deep && mount -t tmpfs deep $D/sub/deep && chmod 1777 $D/sub $D/sub/deep && \
         for walls in '' '--set landlock.mode=off'; do for how in --ro-bind --bind; do rm -f $D/sub/a $D/sub/deep/b; \
         $B run $walls $how $D:/data -- sh -c '(: >/data/sub/a) 2>/dev/null && echo w; (: >/data/sub/deep/b) 2>/dev/null && echo w; true'; \
         echo $how; done; done",
    );
    if run.stdout != "--ro-bind\nw\nw\n--bind\n--ro-bind\nw\nw\n--bind\n" {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

/// `--report` writes to the file that was there when the run began, not to what the task puts in its place.
fn a_report_follows_nothing_that_was_left(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let shared = directory.path().join("shared");
    fs::create_dir(&shared)?;
    caller::give(caller, &shared);
    let victim = directory.path().join("victim");
    caller::file(caller, &victim, "untouched");
    let report = shared.join("report");
    let (bind, path) = (format!("{}:/out", shared.display()), report.display().to_string());
    for script in [
        format!("rm -f /out/report; ln -s {} /out/report", victim.display()),
        "rm -f /out/report; mkfifo /out/report".to_owned(),
        "rm -f /out/report; mkdir /out/report".to_owned(),
        "rm -f /out/report; echo x >/out/other; ln /out/other /out/report".to_owned(),
    ] {
        let args = ["run", "--report", &path, "--bind", &bind, "--", "sh", "-c", &script];
        let run = caller::run(caller, args);
        if run.code != Some(125) || fs::read_to_string(&victim)? != "untouched" {
            return Err(format!("{script}: {run:#?}").into());
        }
        if fs::symlink_metadata(&report)?.is_dir() {
            fs::remove_dir(&report)?;
        } else {
            fs::remove_file(&report)?;
        }
    }
    Ok(())
}
