//! An attacker exchanges a directory for a symlink while sandboxes start that go through it (CVE-2021-30465,
//! CVE-2024-45310): what shows inside is what was planned, or there is an error; nothing is made outside of
//! the root directory.
//!
//! `BELLJAR_RACES` is the number of starts, 1,000 by default, of all races together, within
//! `BELLJAR_RACE_SECONDS`, 10 by default; a busy machine makes [`FEWEST`] of each race in any case.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

/// Starts of a race, however long they take.
const FEWEST: i32 = 20;

/// What is swapped, and how the sandbox goes through it.
#[derive(Debug, Clone, Copy)]
enum Race {
    /// A directory above the source of `--bind`.
    Bind,
    /// A directory above the source of `--ro-bind`.
    RoBind,
    /// A directory above the root directory.
    Rootfs,
    /// A directory of the root directory, above a mount point that has to be made.
    MountPoint,
}

const RACES: [Race; 4] = [Race::Bind, Race::RoBind, Race::Rootfs, Race::MountPoint];

/// The races, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (who, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        for race in RACES {
            trials.push(trial(format!("races::{race:?} as {who:?}"), needs, move || run(who, race)));
        }
    }
    trials
}

fn number(variable: &str, default: f64) -> f64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Exchanges two paths, with pauses of all lengths up to a start's own, until it is dropped.
struct Swapper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Swapper {
    fn start(one: &Path, other: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let c_path =
            |path: &Path| std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
        let (one, other) = (c_path(one), c_path(other));
        let thread = std::thread::spawn(move || {
            let mut swaps = 0;
            while !stopped.load(Ordering::Relaxed) {
                // SAFETY: two C strings and numbers.
                let done = unsafe {
                    libc::syscall(
                        libc::SYS_renameat2,
                        libc::AT_FDCWD,
                        one.as_ptr(),
                        libc::AT_FDCWD,
                        other.as_ptr(),
                        libc::RENAME_EXCHANGE,
                    )
                };
                assert_eq!(done, 0, "renameat2: {}", std::io::Error::last_os_error());
                swaps += 1;
                std::thread::sleep(Duration::from_micros(swaps * 7919 % 6000));
            }
            swaps
        });
        Self { stop, thread: Some(thread) }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map_or(0, |thread| thread.join().expect("the swapper"))
    }
}

/// `path` with the directories that lead to it, all the caller's.
fn directory(who: Caller, path: &Path) -> PathBuf {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|at| !at.exists()).collect();
    while let Some(at) = missing.pop() {
        std::fs::create_dir(at).expect("a directory");
        caller::give(who, at);
    }
    path.to_owned()
}

/// Every path below a directory.
fn tree(directory: &Path) -> BTreeSet<PathBuf> {
    let list = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    list.flat_map(|entry| {
        let below = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            tree(&entry.path())
        } else {
            BTreeSet::new()
        };
        below.into_iter().chain([entry.path()])
    })
    .collect()
}

fn run(who: Caller, race: Race) -> Result<(), Failed> {
    let dir = caller::directory(who);
    let base = dir.path().canonicalize()?;
    // `live` is a directory or a symlink to `linked`; `victim` may only be reached through a path
    // of the host.
    let jar = directory(who, &base.join("jar"));
    let live = if matches!(race, Race::MountPoint) { jar.join("live") } else { base.join("live") };
    let linked = directory(who, &base.join("linked"));
    for (at, text) in [(&live, "live"), (&linked, "linked")] {
        directory(who, &at.join("data"));
        caller::file(who, &at.join("data/marker"), text);
    }
    for root in [&jar, &live.join("data"), &linked.join("data")] {
        for name in ["usr", "bin", "lib", "lib64", "proc", "dev", "tmp", "data"] {
            directory(who, &root.join(name));
        }
    }
    let other = live.with_file_name("other");
    std::os::unix::fs::symlink(&linked, &other)?;

    let tools = ["/usr", "/usr/bin:/bin", "/usr/lib:/lib", "/usr/lib64:/lib64"];
    let mut args: Vec<OsString> = vec!["run".into()];
    let with = |args: &mut Vec<OsString>, option: &str, value: OsString| args.extend([option.into(), value]);
    let to = |path: PathBuf, inside: &str| {
        let mut text = path.into_os_string();
        text.push(inside);
        text
    };
    let script = match race {
        Race::Bind | Race::RoBind => {
            let option = if matches!(race, Race::Bind) { "--bind" } else { "--ro-bind" };
            with(&mut args, option, to(live.join("data"), ":/data"));
            // A read-only one stays read-only, either way.
            "cat /data/marker; if (echo x >/data/written) 2>/dev/null; then echo ' writable'; fi"
        }
        Race::Rootfs => {
            tools.iter().for_each(|tool| with(&mut args, "--ro-bind", tool.into()));
            with(&mut args, "--rootfs", live.join("data").into());
            "read marker </marker; echo $marker"
        }
        Race::MountPoint => {
            tools.iter().for_each(|tool| with(&mut args, "--ro-bind", tool.into()));
            with(&mut args, "--rootfs", jar.clone().into());
            args.push("--overlay-tmp".into());
            // The mount point `made` is made anew for every start.
            with(&mut args, "--ro-bind", to(base.join("jar/data"), ":/live/data/made/deep"));
            "echo started"
        }
    };
    args.extend(["--", "/bin/sh", "-c", script].map(OsString::from));

    let starts = number("BELLJAR_RACES", 1000.0) / (2 * RACES.len()) as f64;
    let until =
        Instant::now() + Duration::from_secs_f64(number("BELLJAR_RACE_SECONDS", 10.0) / RACES.len() as f64);
    // Without an attacker, both ways do what they should.
    let expect = |text: &str, run: &caller::Run| -> Result<(), Failed> {
        if run.code == Some(0) && run.stdout.trim_end() == text {
            Ok(())
        } else {
            Err(format!("{text:?}: {run:#?}").into())
        }
    };
    let writable =
        |text: &str| if matches!(race, Race::Bind) { format!("{text} writable") } else { text.to_owned() };
    let (first, second) = match race {
        Race::MountPoint => ("started".to_owned(), None),
        _ => (writable("live"), Some(writable("linked"))),
    };
    expect(&first, &caller::run(who, &args))?;
    let before = tree(&linked);
    let swapper = Swapper::start(&live, &other);
    let (mut shown, mut refused, mut tried) = ([0, 0], 0, 0);
    let result = (|| {
        while tried < FEWEST || (f64::from(tried) < starts && Instant::now() < until) {
            if matches!(race, Race::MountPoint) {
                for at in [&live, &other, &linked] {
                    // Only one of them is the directory; in `linked` it must never have been made.
                    assert!(!linked.join("data/made").exists(), "made in the victim");
                    drop(std::fs::remove_dir_all(at.join("data/made")));
                }
            }
            let run = caller::run(who, &args);
            tried += 1;
            let text = run.stdout.trim_end();
            match run.code {
                Some(0) if text == first => shown[0] += 1,
                Some(0) if second.as_deref() == Some(text) => shown[1] += 1,
                // Nothing ran; the message says why.
                Some(125) if run.stdout.is_empty() && run.stderr.starts_with("belljar: ") => refused += 1,
                // The root directory that was planned for has the program; by its own path it may be gone by
                // now.
                Some(126 | 127) if run.stdout.is_empty() && run.stderr.starts_with("belljar: ") => {
                    refused += 1
                }
                _ => return Err(Failed::from(format!("{run:#?}"))),
            }
        }
        Ok(())
    })();
    let swaps = swapper.end();
    result?;
    println!("{race:?} as {who:?}: {tried} starts, {shown:?} shown, {refused} refused, {swaps} exchanges");
    if matches!(race, Race::MountPoint | Race::RoBind) && tree(&linked) != before {
        return Err(format!("something was made outside of the root directory: {:?}", tree(&linked)).into());
    }
    if swaps < 10 {
        return Err(format!("only {swaps} exchanges: no race").into());
    }
    Ok(())
}
