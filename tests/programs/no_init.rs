//! A program that launches a role and calls `belljar::init()` not at all, or not in the child: what would be
//! a fork bomb. Each process that gets here says so. `no_init [child] [patient|busy]`, or `no_init held-up`:
//! the child does call it, and does not run for long before.

use std::time::{Duration, Instant};

fn main() {
    println!("main");
    belljar::reexec::register("role", || println!("BODY")).expect("a free name");
    let args: Vec<String> = std::env::args().collect();
    let has = |word: &str| args.iter().any(|arg| arg == word);
    if has("held-up") {
        return held_up(&args[0]);
    }
    // The child has the name of the role there.
    if has("child") && args[0] != "role" {
        belljar::init();
    }
    let result = belljar::reexec::command("role").args(&args[1..]).status();
    println!("{result:?}");
    // A re-executed child that ignores the error and stays.
    if has("patient") {
        std::thread::sleep(Duration::from_secs(30));
    }
    let began = Instant::now();
    while has("busy") && began.elapsed() < Duration::from_secs(30) {
        std::hint::black_box(&args);
    }
}

/// Nothing that it does: it is stopped for longer than it may take.
fn held_up(name: &str) {
    if name == "role" {
        // SAFETY: the copy makes system calls only, and ends.
        unsafe {
            let stopped = libc::getpid();
            if libc::fork() == 0 {
                libc::sleep(2);
                libc::kill(stopped, libc::SIGCONT);
                libc::_exit(0);
            }
            libc::raise(libc::SIGSTOP);
        }
    }
    belljar::init();
    println!("{:?}", belljar::reexec::command("role").arg("held-up").status());
}
