//! Ranges of ids: what is mapped, what can be done with it, and what is refused.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller, Run};
use crate::need::{DEBIAN, Need, trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (who, needs) in [(Caller::Root, Need::Root), (Caller::User, Need::Subordinate)] {
        let mut add = |name: &str, more: &[Need], check: fn(Caller) -> Result<(), Failed>| {
            let needs = [&[needs][..], more].concat();
            trials.push(trial(format!("ids::{name} as {who:?}"), &needs, move || check(who)));
        };
        add("the_maps_are_those_of_the_plan", &[], the_maps_are_those_of_the_plan);
        add("ids_change_within_the_range", &[Need::Program("setpriv")], ids_change_within_the_range);
        add("a_kept_admin_has_the_ids_in_the_inner_namespace", &[], a_kept_admin_has_the_ids);
        let accounts = &[Need::Program("su"), Need::Program("passwd")];
        add("accounts_are_made_and_used", accounts, accounts_are_made_and_used);
        add("an_overlay_takes_the_owners", accounts, an_overlay_takes_the_owners);
        let debian = &[accounts[0], accounts[1], Need::Program("tar"), Need::Debian];
        add("a_package_is_installed", debian, a_package_is_installed);
        add("nothing_maps_the_hosts_root", &[], nothing_maps_the_hosts_root);
    }
    // No account has this user.
    trials.push(trial("ids::a_user_without_ranges_is_refused".to_owned(), &[Need::Root], || {
        let run = caller::run(Caller::User, ["run", "--userns", "auto", "--", "true"]);
        Ok(run.refused(125, &["no ranges of ids", "hint: "])?)
    }));
    trials
}

/// The options for a run with ranges that belljar chooses.
const AUTO: [&str; 3] = ["run", "--userns", "auto"];

fn ok(run: &Run) -> Result<(), Failed> {
    if run.code == Some(0) { Ok(()) } else { Err(format!("{run:#?}").into()) }
}

/// The ids inside and outside, and how many, of each line.
fn lines(map: &str) -> Vec<[u32; 3]> {
    let numbers = |line: &str| {
        let numbers: Vec<u32> = line.split_whitespace().map(|n| n.parse().expect("a number")).collect();
        numbers.try_into().expect("three numbers")
    };
    map.lines().map(numbers).collect()
}

fn the_maps_are_those_of_the_plan(who: Caller) -> Result<(), Failed> {
    let map = |file: &str| caller::run(who, [&AUTO[..], &["--", "cat", file]].concat());
    let (users, groups) = (map("/proc/self/uid_map"), map("/proc/self/gid_map"));
    ok(&users)?;
    let (users, groups) = (lines(&users.stdout), lines(&groups.stdout));
    let own = nix::unistd::geteuid().as_raw();
    let right = match who {
        Caller::Root => |map: &[[u32; 3]], _| matches!(map, [[0, first, 65_536]] if *first >= 0x7800_0000),
        Caller::User => {
            |map: &[[u32; 3]], own| matches!(map, [[0, first, 1], [1, next, _], ..] if *first == own && *next != own && *next != 0)
        }
    };
    if !right(&users, own) || !right(&groups, nix::unistd::getegid().as_raw()) {
        return Err(format!("{users:?} {groups:?}").into());
    }
    // No supplementary groups, and setgroups(2) works.
    let run = caller::run(who, [&AUTO[..], &["--", "sh", "-c", "id -G; cat /proc/self/setgroups"]].concat());
    if run.stdout != "0\nallow\n" {
        return Err(format!("{run:#?}").into());
    }
    // By name, as an ordinary user: the ids that it has found.
    let [.., last] = users[..] else { return Err("no map".into()) };
    let range = format!("10:{}:1", if who == Caller::Root { 70_000 } else { last[1] });
    let group = format!("10:{}:1", if who == Caller::Root { 70_000 } else { groups[groups.len() - 1][1] });
    let named = ["run", "--uidmap", &range, "--gidmap", &group, "--user", "10"];
    let run = caller::run(who, [&named[..], &["--", "cat", "/proc/self/uid_map"]].concat());
    ok(&run)?;
    if format!("{}:{}:{}", lines(&run.stdout)[0][0], lines(&run.stdout)[0][1], 1) != range {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

/// The capabilities that container engines give for ids.
const CAPABILITIES: &str =
    r#"process.capabilities=["CAP_CHOWN","CAP_SETUID","CAP_SETGID","CAP_DAC_OVERRIDE"]"#;

fn ids_change_within_the_range(who: Caller) -> Result<(), Failed> {
    let script = "cd /tmp; touch file; chown 33:44 file; stat -c %u:%g file; \
                  setpriv --reuid 33 --regid 44 --keep-groups id; \
                  chown 4000000 file 2>/dev/null || echo refused";
    let options = ["-p", "build", "-w", "/", "--set", "workdir=none", "--set", CAPABILITIES];
    let run = caller::run(who, [&AUTO[..], &options, &["--", "sh", "-c", script]].concat());
    ok(&run)?;
    let mut lines = run.stdout.lines();
    let changed = lines.nth(1).is_some_and(|ids| ids.starts_with("uid=33") && ids.contains("gid=44"));
    if changed && run.stdout.starts_with("33:44\n") && run.stdout.ends_with("\nrefused\n") {
        return Ok(());
    }
    Err(format!("{run:#?}").into())
}

/// CAP_SYS_ADMIN is held in a user namespace below, which has the same ids.
fn a_kept_admin_has_the_ids(who: Caller) -> Result<(), Failed> {
    let capabilities = r#"process.capabilities=["CAP_CHOWN","CAP_SYS_ADMIN"]"#;
    let options = ["--set", capabilities, "--set", "seccomp.mode=off", "--"];
    let script = "cat /proc/self/uid_map; touch /tmp/file; chown 33:44 /tmp/file; stat -c %u:%g /tmp/file";
    let run = caller::run(who, [&AUTO[..], &options, &["sh", "-c", script]].concat());
    ok(&run)?;
    let (map, owner) = run.stdout.trim_end().rsplit_once('\n').unwrap_or_default();
    if owner == "33:44" && lines(map).iter().all(|[inside, outside, _]| inside == outside) {
        return Ok(());
    }
    Err(format!("{run:#?}").into())
}

/// A root with the host's programs and accounts of its own, where no other user can reach it.
fn root(who: Caller) -> tempfile::TempDir {
    let closed = caller::directory(who);
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).expect("chmod");
    let at = |name: &str| closed.path().join("root").join(name);
    fs::create_dir(closed.path().join("root")).expect("a directory");
    for name in ["proc", "dev", "tmp", "etc", "home", "usr", "var", "var/mail", "etc/pam.d", "root"] {
        fs::create_dir(at(name)).expect("a directory");
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), at(name)).expect("a symlink");
    }
    for (name, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nservice:x:33:44::/tmp:/bin/sh\n"),
        ("etc/group", "root:x:0:\nservice:x:44:\n"),
        ("etc/shadow", "root:*:19000:0:99999:7:::\nservice:*:19000:0:99999:7:::\n"),
        ("etc/gshadow", "root:*::\nservice:*::\n"),
        ("etc/login.defs", "UID_MIN 1000\nGID_MIN 1000\nUSERGROUPS_ENAB yes\n"),
        (
            "etc/pam.d/su",
            "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
        ),
        (
            "etc/pam.d/other",
            "auth required pam_deny.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
        ),
    ] {
        fs::write(at(name), text).expect("a file");
    }
    closed
}

fn in_root(who: Caller, root: &Path, more: &[&str], script: &str) -> Run {
    let mut args: Vec<OsString> = AUTO.map(OsString::from).into();
    args.extend(["-p", "container", "--ro-bind=/usr", "--rootfs"].map(OsString::from));
    args.push(root.into());
    args.extend(more.iter().map(OsString::from));
    args.extend(["--", "sh", "-ec", script].map(OsString::from));
    caller::run(who, args)
}

const ACCOUNTS: &str = "useradd -m -u 1234 joe && su joe -c 'id -u; touch ~/mine' && stat -c %U:%u /home/joe/mine; \
                        su service -c 'id -u; id -G'; chown -R 33:44 /var/mail; chmod u+s /var/mail; \
                        stat -c %u:%g:%a /var/mail; chown joe /tmp; stat -c %u /";
const DONE: &str = "1234\njoe:1234\n33\n44\n33:44:4755\n0\n";

fn accounts_are_made_and_used(who: Caller) -> Result<(), Failed> {
    let closed = root(who);
    let root = closed.path().join("root");
    let run = in_root(who, &root, &[], ACCOUNTS);
    // On disk: root's have the numbers that they have inside, a user's are its subordinate ones.
    let disk = |name: &str| fs::symlink_metadata(root.join(name)).map(|data| data.uid());
    let (home, mail, own) = (disk("home/joe")?, disk("var/mail")?, nix::unistd::geteuid().as_raw());
    let right = match who {
        Caller::Root => (home, mail) == (1234, 33),
        Caller::User => home > 1234 && mail > 33 && home - mail == 1234 - 33 && home != own,
    };
    let done = run.stdout == DONE && run.code == Some(0) && right && disk("etc/passwd")? == own;
    // Files of other ids are not the caller's to remove.
    let removed = in_root(who, &root, &[], "rm -rf /home/joe; chown -R 0:0 /tmp /var");
    if done && removed.code == Some(0) {
        return Ok(());
    }
    Err(format!("{home} {mail}: {run:#?} {removed:#?}").into())
}

fn an_overlay_takes_the_owners(who: Caller) -> Result<(), Failed> {
    let closed = root(who);
    let root = closed.path().join("root");
    let run = in_root(who, &root, &["--overlay-tmp"], ACCOUNTS);
    if run.stdout == DONE && run.code == Some(0) && !root.join("home/joe").exists() {
        return Ok(());
    }
    Err(format!("{run:#?}").into())
}

/// A package by apt and dpkg: with a group that it makes, and a set-group-ID program that belongs to it.
fn a_package_is_installed(who: Caller) -> Result<(), Failed> {
    let archive = std::env::var(DEBIAN)?;
    let closed = root(who);
    let debian = closed.path().join("debian");
    fs::create_dir(&debian)?;
    // Where they are shown.
    fs::create_dir(closed.path().join("root/debian"))?;
    fs::write(closed.path().join("root/archive"), "")?;
    let unpacked = match who {
        // Its owners are on disk what they are inside.
        Caller::Root => {
            let status = Command::new("tar").args(["-xpf", &archive, "-C"]).arg(&debian).status()?;
            status.success()
        }
        Caller::User => {
            let (bind, tar) = (format!("{}:/debian", debian.display()), format!("{archive}:/archive"));
            let more = ["--bind", &bind, "--ro-bind", &tar];
            let run = in_root(who, &closed.path().join("root"), &more, "tar -xpf /archive -C /debian");
            ok(&run)?;
            true
        }
    };
    let script = "export DEBIAN_FRONTEND=noninteractive; \
                  apt-get install -qq -y --no-install-recommends --no-download cron >/dev/null 2>&1; \
                  stat -c %U:%G:%a /usr/bin/crontab; useradd -m guest; su guest -c 'id -un'; dpkg --audit";
    let mut args: Vec<OsString> = AUTO.map(OsString::from).into();
    args.extend(["-p", "container", "--rootfs"].map(OsString::from));
    args.push(debian.clone().into());
    args.extend(["--", "sh", "-ec", script].map(OsString::from));
    let run = caller::run(who, args);
    // What belongs to other ids is theirs to remove.
    let removed = match who {
        Caller::Root => Ok(()),
        Caller::User => {
            let bind = format!("{}:/debian", debian.display());
            let more = ["--bind", bind.as_str()];
            ok(&in_root(who, &closed.path().join("root"), &more, "rm -rf /debian/*"))
        }
    };
    if unpacked && run.code == Some(0) && run.stdout == "root:crontab:2755\nguest\n" {
        return removed;
    }
    Err(format!("{run:#?}").into())
}

fn nothing_maps_the_hosts_root(who: Caller) -> Result<(), Failed> {
    for dry in [&["--dry-run"][..], &[]] {
        for map in ["0:0:1", "5:0:65536"] {
            let maps = ["run", "--uidmap", map, "--gidmap", "0:70000:9", "--user", "5"];
            caller::run(who, [&maps[..], dry, &["--", "true"]].concat())
                .refused(125, &["the host's root (0) is among them", "hint: "])?;
        }
    }
    Ok(())
}
