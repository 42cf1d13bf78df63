//! Read-only, masked and covered paths: for every kind of file, and once more over what a hostile run left.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Failed;

use crate::Entry;
use crate::caller::{self, Caller, Run};

pub const CHECKS: &[Entry] = &[
    ("read_only_is_read_only_for_every_kind_of_file", &[], read_only_is_read_only_for_every_kind_of_file),
    ("a_mask_stays_where_it_is", &[], a_mask_stays_where_it_is),
    ("a_protected_directory_cannot_be_moved_aside", &[], a_protected_directory_cannot_be_moved_aside),
    ("a_root_directory_is_as_it_was", &[], a_root_directory_is_as_it_was),
    ("an_overlay_shows_what_the_root_shows", &[], an_overlay_shows_what_the_root_shows),
    ("the_plan_refuses_what_the_run_would", &[], the_plan_refuses_what_the_run_would),
    ("lite_does_not_add_up", &[], lite_does_not_add_up),
];

/// A directory of the caller's, and belljar in it.
struct Place {
    caller: Caller,
    dir: tempfile::TempDir,
}

impl Place {
    /// Made by a shell, as the caller.
    fn new(caller: Caller, script: &str) -> Result<Self, Failed> {
        let place = Self { caller, dir: caller::directory(caller) };
        place.outside(script)?.succeeded()?;
        Ok(place)
    }

    fn outside(&self, script: &str) -> Result<Run, Failed> {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(self.dir.path());
        caller::as_caller(self.caller, &mut command);
        Ok(caller::finish(command))
    }

    /// `belljar run OPTIONS -- sh -c script`; `$D` in an option is the directory.
    fn run(&self, options: &[&str], script: &str) -> Run {
        let dir = self.path("").display().to_string();
        let options = options.iter().map(|option| option.replace("$D/", &dir));
        let args = ["run".to_owned()].into_iter().chain(options);
        let args: Vec<String> = args.chain(["--", "sh", "-c", script].map(str::to_owned)).collect();
        let mut command = caller::belljar(self.caller, &args);
        command.current_dir(self.dir.path());
        caller::finish(command)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn refused(run: &Run, words: &str) -> Result<(), Failed> {
    if run.code == Some(125) && run.stderr.contains(words) && run.stderr.contains("hint: ") {
        return Ok(());
    }
    Err(format!("not refused for {words:?}: {run:#?}").into())
}

/// What is written to each kind of file, in each way of being read-only, below a root or directory that can
/// be written to. What is below has a pipe and is refused as a whole, so the kinds are tried without it, and
/// it by itself.
fn read_only_is_read_only_for_every_kind_of_file(caller: Caller) -> Result<(), Failed> {
    let place = Place::new(
        caller,
        "mkdir -p w/f plain/dir image/usr image/proc image/dev image/tmp image/plain/dir; mkdir -p pipes/deep image/pipes/deep
         for d in plain image/plain; do echo kept >$d/file; echo kept >$d/dir/file; ln -s file $d/link; done
         for d in bin lib lib64; do ln -s usr/$d image/$d; done
         for d in pipes image/pipes; do mkfifo $d/deep/p; done; chmod 777 w",
    )?;
    let image = ["-p", "container", "--rootfs", "$D/image", "--ro-bind", "/usr"];
    let build = ["-p", "build", "--bind", "$D/w:/d"];
    let strict = ["--bind", "$D/w:/d"];
    let tries = "for f in file dir/file link new dir/new; do (echo X >$R/$f) 2>/dev/null && echo \"wrote $f\"; done; \
                 (mv $R/file $R/dir/) 2>/dev/null && echo moved; (rm $R/link) 2>/dev/null && echo removed; \
                 (echo X 1<>$R/pipe >$R/pipe) 2>/dev/null && echo pipe; \
                 python3 -c 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' $R/socket 2>/dev/null && echo socket; cat $R/file";
    for (base, way, root) in [
        (&strict[..], &["--ro-bind", "$D/plain:/d/f"][..], "/d/f"),
        (&build, &["--ro-bind", "$D/plain:/d/f"], "/d/f"),
        (&image, &["--set", "readonlyPaths=[\"/plain\"]"], "/plain"),
    ] {
        let run = place.run(&[base, way].concat(), &format!("R={root}; {tries}"));
        if run.stdout != "kept\n" {
            return Err(format!("{way:?}: {run:#?}").into());
        }
        // Over what that left.
        let again = place.run(&[base, way].concat(), &format!("cat {root}/file {root}/dir/file"));
        if again.stdout != "kept\nkept\n" {
            return Err(format!("{way:?}: {again:#?}").into());
        }
    }
    for (base, way) in [
        (&strict[..], &["--ro-bind", "$D/pipes:/d/f"][..]),
        (&build, &["--ro-bind", "$D/pipes:/d/f"]),
        (&image, &["--set", "readonlyPaths=[\"/pipes\"]"]),
        (&image, &["--set", "readonlyPaths=[\"/pipes/deep/p\"]"]),
    ] {
        let options = [base, way].concat();
        refused(&place.run(&options, "true"), "named pipe")?;
        let reversed = [way, base].concat();
        refused(&place.run(&reversed, "true"), "named pipe")?;
        refused(&place.run(&[&options, &["--dry-run"][..]].concat(), "true"), "named pipe")?;
    }
    // Where nothing above can be written to, the second layer holds a pipe and a device.
    let script = "(echo X 1<>/e/deep/p >/e/deep/p) 2>/dev/null && echo pipe; (echo X >/dev/zero) 2>/dev/null && echo zero; true";
    let device = ["--set", "readonlyPaths=[\"/dev/zero\"]"];
    for device in [&["--ro-bind", "/dev/zero:/dev/zero"][..], &device] {
        let run = place
            .run(&[&strict[..], &["--allow-sockets", "--ro-bind", "$D/pipes:/e"], device].concat(), script);
        if !run.stdout.is_empty() || run.code != Some(0) {
            return Err(format!("{device:?}: {run:#?}").into());
        }
        refused(&place.run(&[&image[..], device].concat(), "true"), "a device")?;
    }
    // What hides a pipe is not the pipe.
    let hidden = ["--allow-sockets", "--ro-bind", "$D/pipes:/d/f", "--set", "maskedPaths=[\"/d/f/deep/p\"]"];
    let run = place.run(&[&strict[..], &hidden].concat(), "echo X >/d/f/deep/p; stat -c %F /d/f/deep/p");
    if run.stdout != "character special file\n" {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

/// What a hostile run does to a directory on the way to a wall.
const ASIDE: [&str; 5] = [
    "mv $W $W-2",
    "mv $W/.. $W/../../other",
    "rm -rf $W",
    "rmdir $W",
    "python3 -c 'import ctypes,sys; sys.exit(-ctypes.CDLL(None).renameat2(-100,sys.argv[1].encode(),-100,sys.argv[2].encode(),2))' $W /w/decoy",
];

fn a_mask_stays_where_it_is(caller: Caller) -> Result<(), Failed> {
    for wall in [
        &["--set", "maskedPaths=[\"/w/a/s/in\"]"][..],
        &["--tmpfs", "/w/a/s/in"],
        &["--bind", "$D/empty:/w/a/s/in"],
        &["--set", "maskedPaths=[\"/w/a/s/in/key\"]"],
    ] {
        let place = Place::new(
            caller,
            "mkdir -p w/a/s/in w/decoy/in empty; echo SECRET >w/a/s/in/key; chmod -R 777 w; chmod 755 empty",
        )?;
        let options = [&["--bind", "$D/w:/w"], wall].concat();
        for aside in ASIDE {
            let first = place.run(&options, &format!("W=/w/a/s; {aside}; mkdir -p /w/a/s/in; echo ran"));
            if first.stdout != "ran\n" {
                return Err(format!("{wall:?} {aside}: {first:#?}").into());
            }
            let second = place.run(&options, "find /w -type f | xargs cat");
            if second.stdout.contains("SECRET") || fs::read(place.path("w/a/s/in/key"))? != b"SECRET\n" {
                return Err(format!("{wall:?} {aside}: {second:#?}").into());
            }
        }
    }
    // One that is not there, and could come to be.
    let place = Place::new(caller, "mkdir -p w/s2/in; echo SECRET >w/s2/in/key; chmod -R 777 w")?;
    for key in ["maskedPaths", "readonlyPaths"] {
        let mark = format!("{key}=[\"/w/s/in\"]");
        for dry in [&[][..], &["--dry-run"]] {
            let options = [&["--bind", "$D/w:/w", "--set", &mark], dry].concat();
            refused(&place.run(&options, "cat /w/s2/in/key"), "does not exist")?;
        }
        let told = place.run(&["--ro-bind", "$D/w:/w", "--set", &mark, "--dry-run"], "true");
        let absent = |line: &str| line.split_whitespace().eq(["/w/s/in", "absent"]);
        if !told.stdout.lines().any(absent) {
            return Err(format!("{told:#?}").into());
        }
    }
    Ok(())
}

/// `.git` is shown read-only in a working directory that can be written to, and a hook is planted.
fn a_protected_directory_cannot_be_moved_aside(caller: Caller) -> Result<(), Failed> {
    let place = Place::new(caller, "mkdir -p p/sub/deep/.git/hooks p/decoy; chmod -R 777 p")?;
    let (git, hook) = (place.path("p/sub/deep/.git"), place.path("p/sub/deep/.git/hooks/h"));
    let wall = format!("{0}:{0}", git.display());
    let sub = git.parent().ok_or("no parent")?.display();
    for attempt in [
        "mv $W $W-2".to_owned(),
        "mv $W/.. $W/../../sub-2".to_owned(),
        format!("rm -rf {sub}"),
        "rmdir $W $W/..".to_owned(),
        format!("mv -T --exchange {sub} {sub}/../../decoy"),
    ] {
        let script =
            format!("W={sub}; {attempt}; mkdir -p $W/.git/hooks; echo evil >$W/.git/hooks/h; echo ran");
        for _ in 0..2 {
            let mut command = caller::belljar(
                caller,
                ["run", "-p", "build", "--ro-bind", &wall, "--", "sh", "-c", &script],
            );
            command.current_dir(place.path("p"));
            let run = caller::finish(command);
            if run.stdout != "ran\n" || hook.exists() || !git.join("hooks").is_dir() {
                return Err(format!("{attempt}: {run:#?}").into());
            }
        }
    }
    // The rest of it can be worked on as before.
    let script =
        format!("cd {sub}; echo a >new && mv new newer && mkdir d && rmdir d && rm newer && echo done");
    let mut command =
        caller::belljar(caller, ["run", "-p", "build", "--ro-bind", &wall, "--", "sh", "-c", &script]);
    command.current_dir(place.path("p"));
    let run = caller::finish(command);
    if run.succeeded()? != "done\n" {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

/// Without mounts, what is read-only below what is writable would be writable.
fn lite_does_not_add_up(caller: Caller) -> Result<(), Failed> {
    let place = Place::new(caller, "mkdir -p w/f; echo kept >w/f/x")?;
    let options = ["-p", "lite", "--bind", "$D/w", "--ro-bind", "$D/w/f"];
    let file = place.path("w/f/x");
    let run = place.run(&options, &format!("echo evil >{}", file.display()));
    refused(&run, "add up")?;
    if fs::read(file)? != b"kept\n" {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

/// Mount points are not made in it, and what the task writes is all that changes.
fn a_root_directory_is_as_it_was(caller: Caller) -> Result<(), Failed> {
    for mode in ["755", "555"] {
        let place = Place::new(caller, &format!("mkdir -p r/bin; cp /bin/busybox r/bin/sh; chmod {mode} r"))?;
        let strict = ["--rootfs", "$D/r"];
        let container = ["-p", "container", "--rootfs", "$D/r"];
        let overlay = [&container[..], &["--overlay-tmp"]].concat();
        let tell = "find r -printf '%P %y %m %T@ %C@\\n' | sort";
        let before = place.outside(tell)?.succeeded()?.to_owned();
        for _ in 0..2 {
            let run = place.run(&strict, "test -d /proc/self && test -d /tmp && ! echo x >/new");
            let thrown = place.run(&overlay, "echo x >/new && cat /new");
            if run.code != Some(0) || thrown.succeeded()? != "x\n" {
                return Err(format!("{run:#?} {thrown:#?}").into());
            }
            refused(&place.run(&container, "true"), "nothing is created on the host")?;
            refused(&place.run(&[&container[..], &["--dry-run"]].concat(), "true"), "nothing is created")?;
            if place.outside(tell)?.succeeded()? != before {
                return Err(format!("{mode}: not as it was\n{before}").into());
            }
        }
        // An ordinary user could not remove it otherwise.
        place.outside("chmod 755 r")?.succeeded()?;
    }
    let place = Place::new(caller, "mkdir -p r/bin r/dev r/proc; cp /bin/busybox r/bin/sh")?;
    let run = place.run(&["-p", "container", "--rootfs", "$D/r"], "echo mine >/new && cat /new");
    if run.succeeded()? != "mine\n" || fs::read(place.path("r/new"))? != b"mine\n" {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

/// A mount in a root hides a secret, and another root's mount is `noexec`.
fn an_overlay_shows_what_the_root_shows(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let script = "mkdir -p $D/r && mount -t tmpfs none $D/r && mkdir -p $D/r/bin $D/r/secret $D/r/dev $D/r/proc && \
         cp /bin/busybox $D/r/bin/sh && chmod -R a+rX $D/r && \
         run() { $B run -p container --rootfs $D/r $1 -- /bin/sh -c 'cat /secret/key; echo ran' 2>$D/err; echo $? $1; }; \
         mount -o remount,bind,noexec $D/r && run && run --overlay-tmp && mount -o remount,bind,exec $D/r && \
         echo SECRET >$D/r/secret/key && chmod 644 $D/r/secret/key && run --overlay-tmp && \
         mount -t tmpfs none $D/r/secret && run && run --overlay-tmp; run '--overlay-tmp --dry-run'; cat $D/err";
    let run = crate::mounts::in_own_mounts(caller, directory.path(), script);
    let expected = "126\n126 --overlay-tmp\nSECRET\nran\n0 --overlay-tmp\nran\n0\n125 --overlay-tmp\n125 --overlay-tmp --dry-run\n";
    if !run.stdout.starts_with(expected) || !run.stdout.contains("/r/secret") {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

/// `--dry-run` gives the same answer as the run, word for word.
fn the_plan_refuses_what_the_run_would(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let script = "mkdir $D/t && mount -t tmpfs none $D/t && cd $D/t && mkdir -p l/usr/bin l/bin l/dev l/proc l/tmp u w m fifo s link && \
         cp /bin/busybox l/bin/sh && cp -a l sysfile && : >sysfile/sys && cp -a l procfile && rmdir procfile/proc && : >procfile/proc && \
         cp -a l devlink && rmdir devlink/dev && ln -s tmp devlink/dev && mkfifo fifo/p && ln -s l link/l && chmod -R a+rX . && \
         (mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w,userxattr m || mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w m) && \
         both() { $B run --dry-run \"$@\" -- /bin/sh -c 'exit 0' >/dev/null 2>$D/dry; a=$?; $B run \"$@\" -- /bin/sh -c 'exit 0' >/dev/null 2>$D/wet; b=$?; \
           cmp -s $D/dry $D/wet && echo \"$a $b\" || { echo \"$a $b differ for $*\"; cat $D/dry $D/wet; }; } && \
         for root in sysfile procfile devlink m link/l; do both --rootfs $root; both -p container --rootfs $root; both -p container --overlay-tmp --rootfs $root; done; \
         for mask in /w/none /w/l/bin/sh/x /w/link/l/bin /usr/none /tmp/none /proc/none /sys/none /bin/sh /dev /etc; do \
           for key in maskedPaths readonlyPaths; do both --bind .:/w --set $key='[\"'$mask'\"]'; done; done; \
         both --bind s:/w --ro-bind fifo:/w/none; both --bind .:/w --ro-bind fifo:/w/s; both --bind m:/m; both --ro-bind m:/m; \
         both -p container --rootfs l --ro-bind /dev/zero:/dev/zero; both -p container --rootfs l --tmpfs /none";
    let run = crate::mounts::in_own_mounts(caller, directory.path(), script);
    let lines: Vec<&str> = run.stdout.lines().collect();
    let same = |line: &&&str| matches!(**line, "0 0" | "125 125" | "126 126" | "127 127");
    if lines.iter().filter(same).count() == 41
        && lines.len() == 41
        && lines.contains(&"0 0")
        && lines.contains(&"125 125")
    {
        return Ok(());
    }
    Err(format!("{} lines\n{run:#?}", lines.len()).into())
}
