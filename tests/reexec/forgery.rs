//! A stranger's descriptor 3: the ordinary program or a refusal, never the body of a role.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use common::{program, text};

/// As belljar writes it (src/reexec/credential.rs).
fn credential(version: u32, flags: u32, role: &str) -> Vec<u8> {
    let mut bytes = b"belljar reexec\r\n".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend([7; 16]);
    bytes.extend(0u32.to_le_bytes());
    bytes.extend((role.len() as u32).to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(role.as_bytes());
    bytes
}

fn memfd(contents: &[u8], sealed: bool) -> OwnedFd {
    // SAFETY: a literal name; the descriptor is new.
    let mut file = unsafe {
        let fd = libc::memfd_create(c"forged".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        assert!(fd >= 0);
        File::from_raw_fd(fd)
    };
    file.write_all(contents).unwrap();
    if sealed {
        let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
        // SAFETY: an open descriptor.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
    }
    file.into()
}

fn socketpair(kind: libc::c_int) -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are new.
    unsafe {
        assert_eq!(libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// Runs the program with these on 3 and 4.
fn run_with(third: &OwnedFd, fourth: Option<&OwnedFd>) -> Output {
    let mut command = Command::new(program("test-roles"));
    let (third, fourth) = (third.as_raw_fd(), fourth.map(AsRawFd::as_raw_fd));
    // SAFETY: system calls only.
    unsafe {
        command.arg0("echo").pre_exec(move || {
            // Out of the way first, each may have the other's number.
            let third = libc::fcntl(third, libc::F_DUPFD_CLOEXEC, 10);
            let fourth = fourth.map(|fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10));
            let mut done = libc::dup2(third, 3) == 3;
            if let Some(fourth) = fourth {
                done &= libc::dup2(fourth, 4) == 4;
            }
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        })
    };
    command.output().unwrap()
}

fn is_ordinary(output: &Output) {
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "ordinary\n".into()));
    assert_eq!(text(&output.stderr), "");
}

fn is_refused(output: &Output, reason: &str) {
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(125), String::new()));
    assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
}

#[test]
fn other_files_on_3_do_not_matter() {
    let (_parent, channel) = socketpair(libc::SOCK_SEQPACKET);
    let good = credential(1, 0, "echo");
    let mut regular = tempfile::tempfile().unwrap();
    regular.write_all(&good).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&good).unwrap();
    for third in [
        OwnedFd::from(regular),
        reader.into(),
        File::open("/dev/null").unwrap().into(),
        memfd(&good, false),
        memfd(b"", true),
        memfd(b"junk", true),
        memfd(&[b'x'; 4096], true),
        memfd(&good[1..], true),
        socketpair(libc::SOCK_SEQPACKET).0,
    ] {
        is_ordinary(&run_with(&third, Some(&channel)));
        is_ordinary(&run_with(&third, None));
    }
}

#[test]
fn a_damaged_credential_is_refused() {
    let (_parent, channel) = socketpair(libc::SOCK_SEQPACKET);
    let good = credential(1, 0, "echo");
    let run = |bytes: &[u8]| run_with(&memfd(bytes, true), Some(&channel));
    is_refused(&run(&good[..16]), "malformed");
    is_refused(&run(&good[..good.len() - 1]), "malformed");
    is_refused(&run(&[&good[..], b"x"].concat()), "malformed");
    is_refused(&run(&credential(1, 1 << 31, "echo")), "malformed");
    is_refused(&run(&credential(2, 0, "echo")), "another version");
    is_refused(&run(&vec![[&good[..16], &[0; 4080]].concat(); 5000].concat()), "malformed");
}

#[test]
fn a_credential_without_a_channel_is_refused() {
    let memfd = memfd(&credential(1, 0, "echo"), true);
    is_refused(&run_with(&memfd, None), "not a channel");
    is_refused(&run_with(&memfd, Some(&socketpair(libc::SOCK_STREAM).0)), "not a channel");
    is_refused(&run_with(&memfd, Some(&File::open("/dev/null").unwrap().into())), "not a channel");
}

#[test]
fn a_credential_of_another_program_is_refused() {
    let (parent, channel) = socketpair(libc::SOCK_SEQPACKET);
    let output = run_with(&memfd(&credential(1, 0, "echo"), true), Some(&channel));
    is_refused(&output, "made by another program");
    drop(channel);
    // The reason is sent too, and nothing else.
    let mut said = Vec::new();
    File::from(parent).read_to_end(&mut said).unwrap();
    assert_eq!(said, [3, 6]);
}

#[test]
fn a_credential_of_a_process_that_is_not_the_parent_is_refused() {
    // The channel was made by this process, the program's parent is a shell.
    let (_parent, channel) = socketpair(libc::SOCK_SEQPACKET);
    let memfd = memfd(&credential(1, 0, "echo"), true);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "\"$1\"; exit $?", "sh"]).arg(program("test-roles"));
    let (third, fourth) = (memfd.as_raw_fd(), channel.as_raw_fd());
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(move || {
            let third = libc::fcntl(third, libc::F_DUPFD_CLOEXEC, 10);
            let fourth = libc::fcntl(fourth, libc::F_DUPFD_CLOEXEC, 10);
            let done = libc::dup2(third, 3) == 3 && libc::dup2(fourth, 4) == 4;
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        })
    };
    is_refused(&command.output().unwrap(), "not made by the parent");
}

#[test]
fn claiming_a_namespace_does_not_run_a_role() {
    let (_parent, channel) = socketpair(libc::SOCK_SEQPACKET);
    for flags in [1, 2, 3, 7] {
        for role in ["echo", "belljar:init", "x:y"] {
            let output = run_with(&memfd(&credential(1, flags, role), true), Some(&channel));
            // The sandbox's init says nothing on streams that are the task's: it answers on the channel.
            let reason = match (flags, role) {
                (1, "belljar:init") => "",
                (1, "x:y") => "belljar: refused",
                _ => "sandbox's init",
            };
            is_refused(&output, reason);
        }
    }
}
