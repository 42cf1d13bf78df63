//! The terminal (T).

use std::fs::File;
use std::io::Seek as _;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;

use crate::selftest::answer::call;
use crate::selftest::row::{ALL, NO_FILTER};
use crate::selftest::{Answer, Check, Claim, Control, Probe, Removal, Row, SelfTestError, Setup};

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const TIOCSETD: u64 = 0x5423;

pub(super) const ROWS: &[Row] = &[
    filtered("T1", "keystrokes pushed into the terminal", "CVE-2017-5226; TIOCSTI(2const)", |_| {
        push(TIOCSTI)
    }),
    filtered("T2", "the same, with high bits in the request", "CVE-2019-10063", |_| push(TIOCSTI | 1 << 32)),
    filtered("T3", "paste on a virtual console", "CVE-2023-28100", |_| {
        // A sandbox that passes the streams on by pipes gives it no terminal to ask.
        if !nix::unistd::isatty(std::io::stdin()).is_ok_and(|is| is) {
            return Answer::blocked("isatty(0): not the caller's terminal");
        }
        // TIOCL_GETSHIFTSTATE, which changes nothing; ENOTTY: it is no virtual console.
        let subcode = 6_u8;
        let result = call!(libc::SYS_ioctl, 0, TIOCLINUX, &raw const subcode).map(drop);
        Answer::of_reached("ioctl(0, TIOCLINUX)", result, &[Errno::ENOTTY])
    }),
    Row {
        id: "T4",
        title: "the caller's controlling terminal taken again",
        source: "setsid(2)",
        check: Check::Tests(&["tests/escape/terminal.rs: no_way_back_to_the_terminal"]),
    },
    filtered("T5", "a line discipline of the kernel's loaded", "TIOCSETD(2const)", |_| {
        // N_TTY, which it has already.
        let discipline: libc::c_int = 0;
        let result = call!(libc::SYS_ioctl, 0, TIOCSETD, &raw const discipline).map(drop);
        Answer::of("ioctl(0, TIOCSETD)", result)
    }),
    Row {
        id: "T6",
        title: "the terminal left in a broken state",
        source: "bubblewrap issues 343 and 744",
        check: Check::Tests(&[
            "tests/cli/terminal.rs: the_program_has_a_terminal_of_its_own_and_the_users_is_put_back",
        ]),
    },
    Row {
        id: "T7",
        title: "escape sequences in the output",
        source: "OSC 52, DECRQSS",
        check: Check::Open("not claimed: output is passed on as it is, and a terminal obeys what it reads"),
    },
    Row {
        id: "T8",
        title: "the caller's open files changed through standard streams",
        source: "open(2): file status flags and offset are shared",
        check: Check::Probe(Probe {
            run: |_| {
                // What a `2>log` of the caller's would lose.
                let truncated = call!(libc::SYS_ftruncate, 2, 0).map(drop);
                Answer::of("ftruncate(2, 0)", truncated)
            },
            setup: |setup| {
                let path = setup.file("log", "what was said before\n")?;
                let open = File::options().read(true).write(true).open(path);
                let mut log = open.map_err(SelfTestError::setup("open a marker file"))?;
                log.seek(std::io::SeekFrom::End(0)).map_err(SelfTestError::setup("seek"))?;
                let seen = log.try_clone().map_err(SelfTestError::setup("duplicate a descriptor"))?;
                setup.stderr(log.into());
                setup.set("limits.output=1MiB");
                setup.effect(move || match seen.metadata() {
                    Ok(data) if data.len() > 0 => None,
                    other => Some(format!("descriptor {}: {:?}", seen.as_raw_fd(), other.map(|d| d.len()))),
                });
                Ok(())
            },
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["limits.output: the streams are pipes"],
                removal: Removal::Set(&["limits.output=unlimited"]),
            }],
        }),
    },
];

/// A row that the filter alone holds: `TIOCSTI` and its like on a terminal that is standard input.
const fn filtered(
    id: &'static str,
    title: &'static str,
    source: &'static str,
    run: fn(&crate::selftest::Scene) -> Answer,
) -> Row {
    Row {
        id,
        title,
        source,
        check: Check::Probe(Probe {
            run,
            setup: give_terminal,
            control: Control::Outside,
            claims: &[Claim {
                profiles: ALL,
                walls: &["seccomp: @ioctl-no-terminal-injection"],
                removal: NO_FILTER,
            }],
        }),
    }
}

/// A terminal as standard input, as a shell would leave it.
fn give_terminal(setup: &mut Setup) -> Result<(), SelfTestError> {
    let pty = nix::pty::openpty(None, None).map_err(SelfTestError::errno("open a terminal"))?;
    setup.stdin(pty.slave);
    setup.keep(pty.master);
    Ok(())
}

/// `TIOCSTI` on standard input. `EIO` is the kernel's own refusal (`dev.tty.legacy_tiocsti=0`): the call has
/// reached it.
fn push(request: u64) -> Answer {
    let byte = b'x';
    let answer = |result: Result<(), Errno>| {
        Answer::of_reached(format!("ioctl(0, {request:#x})"), result, &[Errno::EIO])
    };
    // As it is: the terminal may be the task's own. Then after making it that, without which an ordinary user
    // is refused (EPERM).
    let first = answer(call!(libc::SYS_ioctl, 0, request, &raw const byte).map(drop));
    // Only who leads no process group can start a session.
    // SAFETY: the child makes system calls only.
    let second = match unsafe { nix::unistd::fork() } {
        Ok(nix::unistd::ForkResult::Child) => {
            let _ = nix::unistd::setsid();
            let _ = call!(libc::SYS_ioctl, 0, libc::TIOCSCTTY, 0);
            let tried = call!(libc::SYS_ioctl, 0, request, &raw const byte);
            // SAFETY: ends the process.
            unsafe { libc::_exit(tried.err().map_or(0, |errno| errno as i32)) }
        }
        Ok(nix::unistd::ForkResult::Parent { child }) => match nix::sys::wait::waitpid(child, None) {
            Ok(nix::sys::wait::WaitStatus::Exited(_, 0)) => answer(Ok(())),
            Ok(nix::sys::wait::WaitStatus::Exited(_, code)) => answer(Err(Errno::from_raw(code))),
            other => Answer::na(format!("the child that tries it: {other:?}")),
        },
        Err(errno) => Answer::na(format!("fork: {errno}")),
    };
    Answer::any([first, second])
}
