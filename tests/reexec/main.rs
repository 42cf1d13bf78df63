//! `reexec::command` from a test program: the habits of `std::process::Command`, and what is better here.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use belljar::internals::reexec::LookupError;
use belljar::reexec::{self, CommandError, Stdio, command};

belljar::enable_test_support!();

fn arguments() {
    for arg in std::env::args() {
        println!("{arg}");
    }
}
belljar::role!("arguments", arguments);

fn surroundings() -> std::io::Result<()> {
    println!("{}", std::env::current_dir()?.display());
    for (key, value) in std::env::vars() {
        println!("{key}={value}");
    }
    Ok(())
}
belljar::role!("surroundings", surroundings);

belljar::role!("fails", || Err::<(), _>("no luck"));
belljar::role!("panics", || -> () { panic!("on purpose") });
belljar::role!("sleeps", || std::thread::sleep(Duration::from_secs(30)));
belljar::role!("nothing", || ());
belljar::role!("twice", || ());
belljar::role!("twice", || println!("the other"));

/// More on both streams than pipes hold, then the input back.
fn floods() -> std::io::Result<()> {
    for _ in 0..300 {
        std::io::stdout().write_all(&[b'o'; 1000])?;
        std::io::stderr().write_all(&[b'e'; 1000])?;
    }
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    print!("{input}");
    Ok(())
}
belljar::role!("floods", floods);

fn descriptors() -> std::io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        println!("{} {}", entry.file_name().display(), std::fs::read_link(entry.path())?.display());
    }
    Ok(())
}
belljar::role!("descriptors", descriptors);

fn nests() -> Result<(), CommandError> {
    let depth: u32 = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(0);
    println!("depth {depth}");
    if depth > 0 {
        let status = command("nests").arg((depth - 1).to_string()).status()?;
        assert!(status.success());
    }
    Ok(())
}
belljar::role!("nests", nests);

fn names() -> std::io::Result<()> {
    print!("{}", std::fs::read_to_string("/proc/self/comm")?);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let threads = status.lines().find(|line| line.starts_with("Threads:")).unwrap_or_default();
    println!("{threads}");
    for key in ["SigBlk:", "SigIgn:"] {
        println!("{}", status.lines().find(|line| line.starts_with(key)).unwrap_or_default());
    }
    Ok(())
}
belljar::role!("names", names);

fn lines(output: std::process::Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
#[cfg_attr(target_env = "musl", ignore = "std has no arguments before main there")]
fn arguments_arrive_behind_the_name() {
    let output = command("arguments").arg("a b").args(["", "ü"]).output().unwrap();
    assert_eq!(lines(output), ["arguments", "a b", "", "ü"]);
}

#[test]
fn environment_and_directory() {
    let surroundings = lines(
        command("surroundings")
            .env_clear()
            .env("A", "1")
            .env("B", "x=y")
            .current_dir("/usr")
            .output()
            .unwrap(),
    );
    assert_eq!(surroundings, ["/usr", "A=1", "B=x=y"]);
    let inherited = lines(command("surroundings").env_remove("PATH").env("MORE", "1").output().unwrap());
    let mine: BTreeSet<String> = std::env::vars().map(|(key, value)| format!("{key}={value}")).collect();
    for variable in mine.iter().filter(|one| !one.starts_with("PATH=") && !one.contains('\n')) {
        assert!(inherited.contains(variable), "{variable}");
    }
    assert!(inherited.contains(&"MORE=1".to_owned()));
    assert!(!inherited.iter().any(|one| one.starts_with("PATH=")));
}

#[test]
fn the_ways_to_end() {
    let output = command("fails").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "role fails: no luck\n");
    let output = command("panics").output().unwrap();
    assert_eq!(output.status.code(), Some(101));
    assert!(String::from_utf8(output.stderr).unwrap().contains("on purpose"));

    let mut child = command("sleeps").spawn().unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert_eq!(child.try_wait().unwrap().unwrap().signal(), Some(libc::SIGKILL));
    child.kill().unwrap();
}

#[test]
fn streams_are_read_both_at_once() {
    let mut child = command("floods")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(b"input").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), 300_005);
    assert_eq!(&output.stdout[300_000..], b"input");
    assert_eq!(output.stderr.len(), 300_000);
}

#[test]
#[cfg_attr(target_env = "musl", ignore = "std has no arguments before main there")]
fn streams_lead_to_files_and_pipes() {
    let file = tempfile::tempfile().unwrap();
    let status = command("arguments").arg("to a file").stdout(file.try_clone().unwrap()).status().unwrap();
    assert!(status.success());
    let mut text = String::new();
    std::io::Seek::rewind(&mut &file).unwrap();
    (&file).read_to_string(&mut text).unwrap();
    assert_eq!(text, "arguments\nto a file\n");
}

#[test]
fn names_that_do_not_work() {
    let error = command("argumnets").spawn().unwrap_err();
    let CommandError::Role { source, .. } = error else { panic!("{error:?}") };
    let Some(LookupError::Unknown { nearest, known, .. }) = source.downcast_ref() else {
        panic!("{source:?}")
    };
    assert_eq!(nearest.as_deref(), Some("arguments"));
    assert!(known.contains(&"sleeps".to_owned()));
    let Err(CommandError::Role { source, .. }) = command("twice").spawn() else { panic!("started") };
    assert!(matches!(source.downcast_ref(), Some(LookupError::Ambiguous { count: 2, .. })), "{source:?}");
    assert!(matches!(command("belljar:init").spawn(), Err(CommandError::Reserved { .. })));
    assert!(matches!(command("nothing").arg("a\0b").spawn(), Err(CommandError::Nul { .. })));
    let error = command("nothing").current_dir("/nowhere").spawn().unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("working directory"));
}

#[test]
fn nothing_but_the_streams_is_inherited() {
    // As bad as a caller can be: open everywhere, without close-on-exec.
    let file = tempfile::NamedTempFile::new().unwrap();
    // SAFETY: an open descriptor; the copies stay open until the end of the test program.
    let copies: Vec<i32> = (0..40).map(|_| unsafe { libc::dup(file.as_file().as_raw_fd()) }).collect();
    assert!(copies.iter().all(|fd| *fd >= 0));
    let found = lines(command("descriptors").output().unwrap());
    let mut kinds: Vec<String> = Vec::new();
    for line in &found {
        let (number, target) = line.split_once(' ').unwrap();
        assert!(!target.contains(&file.path().display().to_string()), "{line}");
        kinds.push(match number {
            "0" | "1" | "2" => number.to_owned(),
            "4" => {
                assert!(target.starts_with("socket:"), "{line}");
                "channel".into()
            }
            _ if target.ends_with("/fd") => "the listing itself".into(),
            _ if std::path::Path::new(target) == std::env::current_exe().unwrap() => "image".into(),
            _ => panic!("{line}"),
        });
    }
    kinds.sort();
    assert_eq!(kinds, ["0", "1", "2", "channel", "image", "the listing itself"]);
}

#[test]
#[cfg_attr(target_env = "musl", ignore = "std has no arguments before main there")]
fn roles_may_launch_roles() {
    let output = command("nests").arg("3").output().unwrap();
    assert_eq!(lines(output), ["depth 3", "depth 2", "depth 1", "depth 0"]);
}

#[test]
fn a_role_starts_clean() {
    let found = lines(command("names").output().unwrap());
    assert_eq!(found[0], "names");
    assert_eq!(found[1], "Threads:\t1");
    assert_eq!(found[2], "SigBlk:\t0000000000000000");
    // SIGPIPE only, as std has it in every program.
    let ignored = u64::from_str_radix(found[3].split_whitespace().nth(1).unwrap(), 16).unwrap();
    assert_ne!(ignored & 1 << (libc::SIGPIPE - 1), 0);
}

#[test]
#[cfg_attr(target_env = "musl", ignore = "std has no arguments before main there")]
fn from_many_threads_at_once() {
    // One of the threads always holds the allocator's lock.
    let busy = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let allocating = scope.spawn(|| {
            while busy.load(std::sync::atomic::Ordering::Relaxed) {
                drop(std::hint::black_box(vec![0u8; 100_000]));
            }
        });
        let workers: Vec<_> = (0..8)
            .map(|thread| {
                scope.spawn(move || {
                    for round in 0..8 {
                        let word = format!("{thread}-{round}");
                        let output = command("arguments").arg(&word).output().unwrap();
                        assert_eq!(lines(output), ["arguments", &word]);
                    }
                })
            })
            .collect();
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        busy.store(false, std::sync::atomic::Ordering::Relaxed);
        allocating.join().unwrap();
        assert!(results.iter().all(Result::is_ok));
    });
}

#[test]
fn a_child_outlives_the_thread_that_launched_it() {
    let mut child = std::thread::spawn(|| command("sleeps").spawn().unwrap()).join().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn dropping_the_handle_leaves_the_child_alone() {
    let child = command("sleeps").spawn().unwrap();
    let pidfd = child.as_fd().try_clone_to_owned().unwrap();
    drop(child);
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, 200) }, 0, "the child has ended");
    // SAFETY: no memory is involved.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGKILL, 0, 0) };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, 5000) }, 1);
}

/// The quickest of some launches.
fn quickest() -> Duration {
    (0..10)
        .map(|_| {
            let start = Instant::now();
            let mut child = command("nothing").spawn().unwrap();
            let elapsed = start.elapsed();
            child.wait().unwrap();
            elapsed
        })
        .min()
        .unwrap()
}

#[test]
fn the_price_does_not_grow_with_the_callers_memory() {
    let small = quickest();
    // fork would copy the page tables of this: some 10 ms.
    let heap = std::hint::black_box(vec![1u8; 256 << 20]);
    let large = quickest();
    drop(heap);
    assert!(
        large < small * 3 + Duration::from_millis(3),
        "{small:?} with a small heap, {large:?} with a large one"
    );
}

#[test]
fn the_own_image() {
    use std::os::unix::fs::MetadataExt;
    let image = std::fs::File::from(std::os::fd::OwnedFd::from(reexec::self_exe().unwrap()));
    let (ours, named) =
        (image.metadata().unwrap(), std::fs::metadata(std::env::current_exe().unwrap()).unwrap());
    assert_eq!((ours.dev(), ours.ino()), (named.dev(), named.ino()));
}
