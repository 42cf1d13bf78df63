//! A program with roles, for the tests: `roles COMMAND [ARGUMENTS]`.

use std::io::{Read, Write};
use std::time::Duration;

use belljar::reexec::{self, Stdio};

fn echo() {
    let words: Vec<String> = std::env::args().collect();
    println!("BODY {}", words.join(" "));
}
belljar::role!("echo", echo);

fn sleep() {
    println!("BODY sleep");
    std::thread::sleep(Duration::from_secs(30));
}
belljar::role!("sleep", sleep);

fn nests() {
    let depth: u32 = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(0);
    println!("BODY {depth}");
    if depth > 0 {
        launch("nests", &[&(depth - 1).to_string()]);
    }
}
belljar::role!("nests", nests);

/// Ends with the number of standard streams that are not `/dev/null`.
fn streams() {
    let wrong = (0..3).filter(|fd| {
        std::fs::read_link(format!("/proc/self/fd/{fd}")).ok().as_deref()
            != Some(std::path::Path::new("/dev/null"))
    });
    std::process::exit(wrong.count() as i32);
}
belljar::role!("streams", streams);

fn main() {
    reexec::register("at-run-time", || println!("BODY at-run-time")).expect("a free name");
    belljar::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // Waits for the end of its input first, so that the caller can do something to the file.
        ["later", role, rest @ ..] => {
            println!("ready");
            std::io::stdin().read_to_end(&mut Vec::new()).expect("standard input");
            launch(role, rest);
        }
        ["launch", role, rest @ ..] => launch(role, rest),
        ["hide-proc", role, rest @ ..] => {
            hide_proc();
            launch(role, rest);
        }
        ["chroot", role, rest @ ..] => {
            enter_root_without_proc();
            launch(role, rest);
        }
        ["without-clone3", role, rest @ ..] => {
            refuse_clone3();
            launch(role, rest);
        }
        ["as-nobody", dumpable, role, rest @ ..] => {
            become_nobody(*dumpable == "dumpable");
            launch(role, rest);
        }
        ["closed-streams", role] => {
            // SAFETY: nothing of this program uses them after this.
            unsafe { (libc::close(0), libc::close(1), libc::close(2)) };
            launch(role, &[]);
        }
        // As the interpreter of a script.
        ["script", _path] => launch("echo", &["from", "a", "script"]),
        // A child that was started by a thread which has ended.
        ["keep"] => {
            let start = || reexec::command("sleep").stdout(Stdio::null()).spawn();
            keep(std::thread::spawn(start).join().expect("no panic").expect("a child"));
        }
        ["keep-loosely"] => {
            let mut command = reexec::command("sleep");
            keep(command.death_with_parent(false).stdout(Stdio::null()).spawn().expect("a child"));
        }
        ["keep-main"] => keep(reexec::command("sleep").stdout(Stdio::null()).spawn().expect("a child")),
        _ => println!("ordinary"),
    }
}

fn keep(child: reexec::Child) {
    println!("{}", child.id());
    std::io::stdout().flush().expect("standard output");
    std::thread::sleep(Duration::from_secs(30));
}

fn check(done: libc::c_int) {
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// In a mount namespace of its own, with a user namespace where that is needed.
fn unshare_mounts() {
    // SAFETY: plain system calls, in a program with one thread.
    unsafe {
        if libc::unshare(libc::CLONE_NEWNS) != 0 {
            check(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS));
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()));
    }
}

/// As old container engines do, and belljar's own filters: `ENOSYS`.
fn refuse_clone3() {
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let jump = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let result = libc::BPF_RET | libc::BPF_K;
    let errno = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let filter = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        filter(load, 0, 0, 0),
        filter(jump, 0, 1, libc::SYS_clone3 as u32),
        filter(result, 0, 0, errno),
        filter(result, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: a complete program.
    unsafe {
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        check(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program));
    }
}

/// As a service does that starts as root; the kernel takes its dumpable flag away.
fn become_nobody(dumpable: bool) {
    // SAFETY: plain system calls, in a program with one thread.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()));
        check(libc::setresgid(54305, 54305, 54305));
        check(libc::setresuid(54305, 54305, 54305));
        if dumpable {
            check(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0));
        }
    }
}

fn hide_proc() {
    unshare_mounts();
    // SAFETY: literal strings.
    check(unsafe {
        libc::mount(c"none".as_ptr(), c"/proc".as_ptr(), c"tmpfs".as_ptr(), libc::MS_RDONLY, std::ptr::null())
    });
    assert!(!std::path::Path::new("/proc/self").exists());
}

/// The root file system once more, without the mounts on it, on top of `/mnt`.
fn enter_root_without_proc() {
    unshare_mounts();
    // SAFETY: literal strings.
    unsafe {
        check(libc::mount(
            c"/".as_ptr(),
            c"/mnt".as_ptr(),
            std::ptr::null(),
            libc::MS_BIND,
            std::ptr::null(),
        ));
        check(libc::chroot(c"/mnt".as_ptr()));
        check(libc::chdir(c"/".as_ptr()));
    }
    assert!(!std::path::Path::new("/proc/self").exists());
}

fn launch(role: &str, args: &[&str]) {
    match reexec::command(role).args(args).status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(99)),
        Err(error) => {
            let mut error: &dyn std::error::Error = &error;
            eprintln!("{error}");
            while let Some(source) = error.source() {
                eprintln!("{source}");
                error = source;
            }
            std::process::exit(98);
        }
    }
}
