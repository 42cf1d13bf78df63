//! `--tty`: a terminal of the sandbox's own, connected with the user's.
#![cfg(feature = "cli")]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use support::{BELLJAR, run_in};

const SIZE: Winsize = Winsize { ws_row: 17, ws_col: 43, ws_xpixel: 0, ws_ypixel: 0 };

/// What Ctrl-C, Ctrl-Z and Ctrl-\\ send to a terminal.
const INTERRUPT: &str = "\u{3}";
const SUSPEND: &str = "\u{1a}";
const QUIT: &str = "\u{1c}";

/// A new pseudo-terminal that no child inherits: it is hung up when the test closes it.
fn terminal() -> nix::pty::OpenptyResult {
    let pty = openpty(&SIZE, None).expect("openpty");
    for end in [&pty.master, &pty.slave] {
        let flag = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
        nix::fcntl::fcntl(end, flag).expect("F_SETFD");
    }
    pty
}

/// A user in front of a terminal, in which belljar runs.
struct User {
    screen: File,
    terminal: OwnedFd,
    child: Child,
    seen: String,
}

impl User {
    fn starts(script: &str) -> User {
        User::starts_with(&[], script)
    }

    /// In front of a shell with job control.
    fn at_a_shell() -> User {
        let mut user = User::leads("bash", &["--norc", "--noprofile", "--noediting", "-i"]);
        user.sees("prompt> ");
        user
    }

    /// In front of a program whose session's terminal it is.
    fn leads(program: &str, args: &[&str]) -> User {
        use std::os::unix::process::CommandExt as _;
        let pty = terminal();
        let end = || Stdio::from(pty.slave.try_clone().expect("dup"));
        let terminal = pty.slave.as_raw_fd();
        let mut shell = Command::new(program);
        shell.args(args).env_clear();
        shell.env("PATH", "/usr/bin:/bin").env("B", BELLJAR).env("PS1", "prompt> ");
        // SAFETY: two system calls between fork and exec.
        unsafe {
            shell.pre_exec(move || {
                nix::unistd::setsid()?;
                nix::errno::Errno::result(nix::libc::ioctl(terminal, nix::libc::TIOCSCTTY, 0))?;
                Ok(())
            });
        }
        let child = shell.stdin(end()).stdout(end()).stderr(end()).spawn().expect("spawn");
        User { screen: pty.master.into(), terminal: pty.slave, child, seen: String::new() }
    }

    /// Forgets what was on the screen, and types a command.
    fn enters(&mut self, command: &str) {
        self.seen.clear();
        self.types(&format!("{command}\n"));
    }

    fn starts_with(options: &[&str], script: &str) -> User {
        let pty = terminal();
        let end = || Stdio::from(pty.slave.try_clone().expect("dup"));
        let mut command = Command::new(BELLJAR);
        command.args(["run", "--tty", "--timeout=30s"]).args(options).args(["--", "sh", "-c", script]);
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("spawn");
        // Its end must not keep ours alive once belljar is gone: reading is bounded by time instead.
        User { screen: pty.master.into(), terminal: pty.slave, child, seen: String::new() }
    }

    fn types(&mut self, text: &str) {
        self.screen.write_all(text.as_bytes()).expect("write");
    }

    /// Reads until `text` is on the screen.
    #[track_caller]
    fn sees(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.seen.contains(text) {
            assert!(Instant::now() < end, "no {text:?} in {:?}", self.seen);
            let mut watched = [nix::poll::PollFd::new(self.screen.as_fd(), nix::poll::PollFlags::POLLIN)];
            if nix::poll::poll(&mut watched, 100_u8).expect("poll") > 0 {
                let mut buffer = [0; 1024];
                let n = self.screen.read(&mut buffer).expect("read");
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        }
    }

    #[track_caller]
    fn ends(&mut self) -> Option<i32> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                // As a shell shows it.
                return status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            }
            assert!(Instant::now() < end, "it does not end: {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // Only what a failed test left running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_program_has_a_terminal_of_its_own_and_the_users_is_put_back() {
    let script = "test -t 0 && test -t 1 && test -t 2 && echo ready && read go && stty size && read line && echo \"got $line\"; exit 5";
    let mut user = User::starts(script);
    user.sees("ready");
    user.types("go\r");
    user.sees("17 43");
    // While it runs the user's terminal passes everything on.
    let modes = |user: &User| tcgetattr(&user.terminal).expect("tcgetattr").local_flags;
    assert!(!modes(&user).intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG));
    user.types("some words\r");
    user.sees("got some words");
    assert_eq!(user.ends(), Some(5));
    assert!(modes(&user).contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG));
}

#[test]
fn the_terminal_has_a_name_inside() {
    let script = "tty; echo by na\"\"me >/dev/stderr; echo as controll\"\"ing >/dev/tty; \
                  stat -Lc '%a %t' /dev/stdin; test $(stat -Lc %u /dev/stdin) = $(id -u) && echo ow\"\"ned; ls /dev/pts";
    for profile in ["strict", "standard", "build"] {
        let mut user = User::starts_with(&["-p", profile], script);
        for text in ["/dev/pts/0\r\n", "by name", "as controlling", "620 88", "owned", "0  ptmx"] {
            user.sees(text);
        }
        assert_eq!(user.ends(), Some(0));
    }
}

#[test]
fn a_shell_inside_has_job_control() {
    let mut user = User::starts("exec bash --norc --noprofile --noediting -i");
    user.sees("$ ");
    user.enters("sleep 77");
    user.sees("sleep 77");
    // It has to be in the foreground before the key is typed.
    std::thread::sleep(Duration::from_millis(300));
    user.types(SUSPEND);
    user.sees("Stopped");
    user.enters("fg");
    user.sees("sleep 77");
    std::thread::sleep(Duration::from_millis(300));
    user.types(INTERRUPT);
    user.enters("echo co\"\"de $?; exit 7");
    user.sees("code 130");
    assert_eq!(user.ends(), Some(7));
}

#[test]
fn an_interrupt_that_is_typed_reaches_the_program() {
    let mut user = User::starts("trap 'echo caught; exit 6' INT; echo ready; while :; do sleep 0.02; done");
    user.sees("ready");
    user.types("\u{3}");
    user.sees("caught");
    assert_eq!(user.ends(), Some(6));
}

#[test]
fn a_new_size_is_passed_on() {
    let mut user = User::starts("trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done");
    user.sees("ready");
    let size = Winsize { ws_row: 21, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads one winsize.
    let set = unsafe { nix::libc::ioctl(user.terminal.as_raw_fd(), nix::libc::TIOCSWINSZ, &raw const size) };
    assert_eq!(set, 0, "TIOCSWINSZ");
    // belljar is not in the foreground of a session here, so only the test tells it.
    let belljar = Pid::from_raw(user.child.id().try_into().expect("a pid"));
    kill(belljar, Signal::SIGWINCH).expect("kill");
    user.sees("21 99");
    kill(belljar, Signal::SIGTERM).expect("kill");
    assert_eq!(user.ends(), Some(143));
}

#[test]
fn a_limit_that_a_terminal_cannot_hold_is_refused() {
    let mut user = User::starts_with(&["--output-limit=1M"], "echo ran");
    user.sees("a limit of output cannot be held on a terminal");
    assert_eq!(user.ends(), Some(125));
    assert!(!user.seen.contains("ran"), "{}", user.seen);
}

#[test]
fn without_a_terminal_there_is_none_to_give() {
    run_in(["--tty", "--", "true"]).refused(125, &["--tty", "not a terminal"]);
}

/// What a person waits for at most.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn keys_reach_all_that_runs_in_the_foreground() {
    let scripts =
        ["for i in 1 2 3; do sleep 3; echo late; done", "sleep 9 | sleep 9", "sleep 9 & wait; sleep 9"];
    for (tty, profile) in [("", "strict"), ("-t", "strict"), ("", "lite")] {
        if profile == "lite" && nix::unistd::geteuid().is_root() {
            // It is not for root.
            continue;
        }
        // bash ignores SIGQUIT.
        for (key, shell, code) in [(INTERRUPT, "bash", 130), (INTERRUPT, "sh", 130), (QUIT, "dash", 131)] {
            for script in scripts {
                let mut user = User::at_a_shell();
                user.enters(&format!("$B run -p {profile} {tty} -- {shell} -c 'echo re\"\"ady; {script}'"));
                user.sees("ready");
                // A shell that is interrupted right before it starts a program waits for that one to end,
                // outside, too.
                std::thread::sleep(Duration::from_millis(300));
                let began = Instant::now();
                user.seen.clear();
                user.types(key);
                user.sees("prompt> ");
                let took = began.elapsed();
                assert!(!user.seen.contains("late"), "{}", user.seen);
                user.enters("echo co\"\"de $?");
                user.sees(&format!("code {code}"));
                assert!(took < AT_ONCE, "{script} {key:?} {tty} {profile}: {took:?}");
            }
        }
    }
}

/// A shell goes on with a loop after an exit status of 130, and not when the program was ended by the
/// interrupt.
#[test]
fn an_interrupt_ends_the_loop_of_the_callers_shell() {
    let mut user = User::at_a_shell();
    let task = "sh -c 'echo re\"\"ady; exec sleep 9'";
    user.enters(&format!("for i in 1 2 3; do $B run -- {task}; echo ro\"\"und; done; echo af\"\"ter"));
    user.sees("ready");
    user.types(INTERRUPT);
    user.enters("echo co\"\"de $?");
    user.sees("code 130");
    assert!(!user.seen.contains("round") && !user.seen.contains("after"), "{}", user.seen);
    // A program that takes it and exits by itself is none that was interrupted.
    let task = "bash -c 'trap \"exit 130\" INT; echo re\"\"ady; while :; do sleep 0.02; done'";
    user.enters(&format!("for i in 1; do $B run -- {task}; echo ro\"\"und $?; done"));
    user.sees("ready");
    user.types(INTERRUPT);
    user.sees("round 130");
}

#[test]
fn the_callers_terminal_is_put_back_however_the_run_ends() {
    const CHANGES: &str = "import fcntl, os, sys, termios, time\n\
        fcntl.ioctl(0, termios.TIOCEXCL)\n\
        modes = termios.tcgetattr(0)\n\
        modes[0] ^= termios.IXON\n\
        modes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)\n\
        termios.tcsetattr(0, termios.TCSANOW, modes)\n\
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK)\n\
        print('changed', flush=True)\n\
        termios.tcflow(0, termios.TCOOFF)\n\
        time.sleep(float(sys.argv[1]))\n";
    for (before, options, sleep, code) in [
        ("", "", "0", 0),
        ("", "--timeout=2s", "50", 124),
        ("timeout --foreground -s TERM 3", "", "50", 124),
        ("", "--output-limit=1M --timeout=2s", "50", 124),
    ] {
        let script =
            format!("{before} $B run {options} -- python3 -c \"$0\" {sleep}; echo code $?; read line");
        /// `NCCS` of asm/termbits.h.
        const KERNEL_NCCS: usize = 19;
        let mut user = User::leads("sh", &["-c", &script, CHANGES]);
        let state = |user: &User| {
            let mut exclusive = -1;
            // SAFETY: the kernel writes one int.
            let asked = unsafe {
                nix::libc::ioctl(user.terminal.as_raw_fd(), nix::libc::TIOCGEXCL, &raw mut exclusive)
            };
            assert_eq!(asked, 0, "TIOCGEXCL");
            let flags = nix::fcntl::fcntl(&user.terminal, nix::fcntl::FcntlArg::F_GETFL).expect("F_GETFL");
            // The kernel's part: musl leaves the rest of the structure as it was.
            let termios = nix::libc::termios::from(tcgetattr(&user.terminal).expect("tcgetattr"));
            let modes = (termios.c_iflag, termios.c_oflag, termios.c_cflag, termios.c_lflag, termios.c_line);
            (modes, termios.c_cc.get(..KERNEL_NCCS).map(<[u8]>::to_vec), exclusive, flags)
        };
        let at_first = state(&user);
        user.sees("changed");
        // Seen at all only if the terminal goes on.
        user.sees(&format!("code {code}"));
        assert_eq!(state(&user), at_first, "{before} {options}");
    }
}

#[test]
fn an_interrupt_comes_once_and_a_prompt_goes_on() {
    for tty in ["", "-t"] {
        let mut user = User::at_a_shell();
        let python = "import signal,time; n=[0]; signal.signal(2, lambda *_: n.append(1)); print(\"rea\"+\"dy\", flush=True); \
                      time.sleep(1); print(\"inter\"+\"rupts\", len(n)-1)";
        user.enters(&format!("$B run {tty} -- python3 -c '{python}'"));
        user.sees("ready");
        user.types(INTERRUPT);
        user.sees("interrupts 1");
        user.sees("prompt> ");
        user.enters(&format!("$B run {tty} -- python3 -i -q"));
        user.sees(">>> ");
        // Between the prompt and its read an interpreter may miss it, outside, too.
        std::thread::sleep(Duration::from_millis(300));
        user.types(INTERRUPT);
        user.sees("KeyboardInterrupt");
        user.enters("print(6*7)");
        user.sees("42");
        user.enters("exit()");
        user.sees("prompt> ");
    }
}

#[test]
fn a_job_is_stopped_and_goes_on() {
    let mut user = User::at_a_shell();
    let loops = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i >count; sleep 0.01; done";
    let directory = tempfile::tempdir().expect("a directory");
    let count = || std::fs::read_to_string(directory.path().join("count")).unwrap_or_default();
    let goes_on = |user: &User| {
        let (before, end) = (count(), Instant::now() + Duration::from_secs(10));
        while count() == before || count().is_empty() {
            assert!(Instant::now() < end, "it stands at {before:?}: {}", user.seen);
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let stands = |user: &User| {
        std::thread::sleep(Duration::from_millis(100));
        let before = count();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(count(), before, "{}", user.seen);
    };
    let path = directory.path().display().to_string();
    // The last is below a shell of its own, and is stopped with its whole group.
    user.enters(&format!("$B run --bind {path}:/w -w /w -- sh -c '({loops}); exit 0'"));
    goes_on(&user);
    for resume in ["fg", "bg"] {
        user.seen.clear();
        user.types(SUSPEND);
        user.sees("Stopped");
        stands(&user);
        user.enters(resume);
        goes_on(&user);
        if resume == "fg" {
            continue;
        }
        user.enters("jobs");
        user.sees("Running");
        user.enters("kill -STOP %1; kill -CONT %1");
        goes_on(&user);
        user.enters("fg");
        user.sees("run --bind");
        goes_on(&user);
        user.seen.clear();
        user.types(INTERRUPT);
        user.sees("prompt> ");
        user.enters("echo co\"\"de $?");
        user.sees("code 130");
    }
}

#[test]
fn a_terminal_that_is_hung_up_ends_what_runs_there() {
    for tty in ["", "-t"] {
        let mut user = User::at_a_shell();
        let marker = format!("5{}.{}", std::process::id(), tty.len());
        user.enters(&format!("$B run {tty} -- sh -c 'echo re\"\"ady; sleep {marker}; sleep {marker}'"));
        user.sees("ready");
        assert!(running(&marker) > 0);
        let User { screen, terminal, child, .. } = &mut user;
        // All of the test's: the kernel hangs up when the outer end is closed.
        let null = || File::open("/dev/null").expect("/dev/null");
        (*screen, *terminal) = (null(), null().into());
        let end = Instant::now() + Duration::from_secs(10);
        while running(&marker) > 0 {
            assert!(Instant::now() < end, "it goes on {tty}");
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait().expect("wait");
    }
}

/// How many processes have this in their command line.
fn running(marker: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    processes
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(marker))
        .count()
}
