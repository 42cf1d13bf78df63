//! `--tty`: a terminal of the sandbox's own, connected with the user's.
#![cfg(feature = "cli")]

mod cli_support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{BELLJAR, run_in};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

/// A user in front of a terminal, in which belljar runs.
struct User {
    screen: File,
    terminal: OwnedFd,
    child: Child,
    seen: String,
}

impl User {
    fn starts(script: &str) -> User {
        let size = Winsize { ws_row: 17, ws_col: 43, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("openpty");
        let end = || Stdio::from(pty.slave.try_clone().expect("dup"));
        let mut command = Command::new(BELLJAR);
        command.args(["run", "--tty", "--timeout=30s", "--output-limit=unlimited", "--", "sh", "-c", script]);
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
                return status.code();
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
    // belljar is not in the foreground of a session here, so nobody tells it but the test.
    let belljar = Pid::from_raw(user.child.id().try_into().expect("a pid"));
    kill(belljar, Signal::SIGWINCH).expect("kill");
    user.sees("21 99");
    kill(belljar, Signal::SIGTERM).expect("kill");
    assert_eq!(user.ends(), Some(143));
}

#[test]
fn without_a_terminal_there_is_none_to_give() {
    run_in(["--tty", "--", "true"]).refused(125, &["--tty", "not a terminal"]);
}
