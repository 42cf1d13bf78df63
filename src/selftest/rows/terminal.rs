//! The terminal (T).

use nix::errno::Errno;

use crate::selftest::answer::call;
use crate::selftest::row::{ALL, NO_FILTER};
use crate::selftest::{Answer, Check, Claim, Control, Probe, Row, SelfTestError, Setup};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "T1",
        title: "keystrokes pushed into the terminal",
        source: "CVE-2017-5226; TIOCSTI(2const)",
        check: Check::Probe(Probe {
            run: |_| push(0x5412),
            setup: give_terminal,
            control: Control::Outside,
            claims: &[FILTER],
        }),
    },
    Row {
        id: "T2",
        title: "the same, with high bits in the request",
        source: "CVE-2019-10063",
        check: Check::Probe(Probe {
            run: |_| push(0x5412 | 1 << 32),
            setup: give_terminal,
            control: Control::Outside,
            claims: &[FILTER],
        }),
    },
];

const FILTER: Claim =
    Claim { profiles: ALL, walls: &["seccomp: @ioctl-no-terminal-injection"], removal: NO_FILTER };

/// A terminal as standard input, as a shell would leave it.
fn give_terminal(setup: &mut Setup) -> Result<(), SelfTestError> {
    let pty = nix::pty::openpty(None, None).map_err(SelfTestError::errno("open a terminal"))?;
    setup.stdin(pty.slave);
    setup.keep(pty.master);
    Ok(())
}

/// `TIOCSTI` on standard input. `EIO` is the kernel's own refusal (`dev.tty.legacy_tiocsti=0`): the call has reached it.
fn push(request: u64) -> Answer {
    // Without these an ordinary user's own terminal refuses (EPERM).
    let _ = nix::unistd::setsid();
    let _ = call!(libc::SYS_ioctl, 0, libc::TIOCSCTTY, 0);
    let byte = b'x';
    let result = call!(libc::SYS_ioctl, 0, request, &raw const byte).map(drop);
    Answer::of_reached(format!("ioctl(0, {request:#x})"), result, &[Errno::EIO])
}
