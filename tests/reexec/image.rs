//! Which file is executed again, when its path does not say.

mod common;

use std::ffi::CString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use common::{copied, program, text};

/// Starts the program, does something to its file, and lets it launch the role then.
fn launch_after(command: &mut Command, change: impl FnOnce()) -> std::process::Output {
    let mut child = command
        .args(["later", "echo", "hello"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    change();
    drop(child.stdin.take());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stdout = rest.into_bytes();
    output
}

#[test]
fn after_the_file_was_deleted() {
    let (_directory, path) = copied("test-roles");
    let output = launch_after(&mut Command::new(&path), || std::fs::remove_file(&path).unwrap());
    assert_eq!(text(&output.stdout), "BODY echo hello\n", "{}", text(&output.stderr));
}

#[test]
fn after_the_file_was_replaced() {
    let (directory, path) = copied("test-roles");
    let output = launch_after(&mut Command::new(&path), || {
        let other = directory.path().join("other");
        std::fs::copy("/bin/false", &other).unwrap();
        std::fs::rename(&other, &path).unwrap();
    });
    assert_eq!(text(&output.stdout), "BODY echo hello\n", "{}", text(&output.stderr));
}

/// A command in a mount namespace of its own where `/proc` is hidden before the program starts.
fn without_proc(command: &mut Command) -> &mut Command {
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(|| {
            let mount = |source: *const libc::c_char, on: *const libc::c_char, flags| {
                libc::mount(source, on, c"tmpfs".as_ptr(), flags, std::ptr::null())
            };
            let done = unshare_mounts()
                && mount(std::ptr::null(), c"/".as_ptr(), libc::MS_REC | libc::MS_PRIVATE) == 0
                && mount(c"none".as_ptr(), c"/proc".as_ptr(), libc::MS_RDONLY) == 0;
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        })
    }
}

/// With a user namespace where that is needed.
fn unshare_mounts() -> bool {
    // SAFETY: plain system calls.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0 || libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) == 0
    }
}

#[test]
fn without_proc_from_the_start() {
    let mut command = Command::new(program("test-roles"));
    let output = without_proc(command.args(["launch", "echo", "hello"])).output().unwrap();
    assert_eq!(text(&output.stdout), "BODY echo hello\n", "{}", text(&output.stderr));
}

#[test]
fn without_proc_after_the_file_was_deleted() {
    let (_directory, path) = copied("test-roles");
    let output =
        launch_after(without_proc(&mut Command::new(&path)), || std::fs::remove_file(&path).unwrap());
    assert_eq!(text(&output.stdout), "BODY echo hello\n", "{}", text(&output.stderr));
}

#[test]
fn after_proc_was_hidden_or_left_by_chroot() {
    let (_directory, path) = copied("test-roles");
    let mut commands = vec!["hide-proc"];
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        commands.push("chroot");
    }
    for command in commands {
        let output = Command::new(&path).args([command, "echo", "hello"]).output().unwrap();
        assert_eq!(text(&output.stdout), "BODY echo hello\n", "{command}: {}", text(&output.stderr));
    }
}

#[test]
fn without_proc_a_role_may_launch_roles() {
    let output = Command::new(program("test-roles")).args(["hide-proc", "nests", "3"]).output().unwrap();
    assert_eq!(text(&output.stdout), "BODY 3\nBODY 2\nBODY 1\nBODY 0\n", "{}", text(&output.stderr));
}

/// The kernel's `AT_EXECFN` is the script then, not its interpreter.
#[test]
fn without_proc_another_file_is_not_taken_for_the_image() {
    let (directory, path) = copied("test-roles");
    let script = directory.path().join("script");
    common::script(&script, &format!("#!{} script\n", path.display()));
    let output = without_proc(&mut Command::new(&script)).output().unwrap();
    assert_eq!(output.status.code(), Some(98));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("is not this program any more"), "{}", text(&output.stderr));
    // With /proc it is no problem.
    let output = Command::new(&script).output().unwrap();
    assert_eq!(text(&output.stdout), "BODY echo from a script\n", "{}", text(&output.stderr));
}

#[test]
fn argv_0_is_for_ps_only() {
    for name in ["echo", "sleep", "at-run-time", "", "/", "--help", "belljar:init"] {
        let output = Command::new(program("test-roles")).arg0(name).output().unwrap();
        assert_eq!(text(&output.stdout), "ordinary\n", "{name:?}");
        let output =
            Command::new(program("test-roles")).arg0(name).args(["launch", "echo", "x"]).output().unwrap();
        assert_eq!(text(&output.stdout), "BODY echo x\n", "{name:?} {}", text(&output.stderr));
    }
}

#[test]
fn by_a_link_with_the_name_of_a_role() {
    let (directory, path) = copied("test-roles");
    let symbolic = directory.path().join("echo");
    std::os::unix::fs::symlink(&path, &symbolic).unwrap();
    let hard = directory.path().join("sleep");
    std::fs::hard_link(&path, &hard).unwrap();
    for link in [symbolic, hard] {
        let output = Command::new(&link).output().unwrap();
        assert_eq!(text(&output.stdout), "ordinary\n");
        let output = Command::new(&link).args(["launch", "echo", "x"]).output().unwrap();
        assert_eq!(text(&output.stdout), "BODY echo x\n", "{}", text(&output.stderr));
    }
}

#[test]
fn with_an_empty_argument_list() {
    let path = CString::new(program("test-roles").to_str().unwrap()).unwrap();
    let mut command = Command::new("unused");
    // SAFETY: replaces the child by the program, with no argument at all.
    unsafe {
        command.pre_exec(move || {
            let none: [*const libc::c_char; 1] = [std::ptr::null()];
            libc::execve(path.as_ptr(), none.as_ptr(), none.as_ptr());
            Err(std::io::Error::last_os_error())
        })
    };
    let output = command.output().unwrap();
    assert_eq!(text(&output.stdout), "ordinary\n", "{}", text(&output.stderr));
}

/// The kernel executed the loader then: to execute that again would run the role's arguments.
#[test]
fn through_its_loader_nothing_is_executed_again() {
    let program = program("test-roles");
    let Some(loader) = loader(&std::fs::read(&program).expect("the program")) else {
        // Statically linked: there is no loader to start it through.
        return;
    };
    let attack = ["launch", "echo", "/bin/sh", "-c", "echo OUTSIDE"];
    let output = Command::new(&loader).arg(&program).args(attack).output().unwrap();
    assert!(!text(&output.stdout).contains("OUTSIDE"), "{}", text(&output.stdout));
    assert_ne!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    assert!(said.contains("started through") && said.contains("start the program itself"), "{said}");
    // Nor where the loader is only known by a descriptor.
    let output = Command::new(&loader)
        .arg(&program)
        .args(["hide-proc", "echo", "/bin/sh", "-c", "echo OUTSIDE"])
        .output();
    let output = output.unwrap();
    assert!(!text(&output.stdout).contains("OUTSIDE"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("not this program"), "{}", text(&output.stderr));
}

/// The path in `PT_INTERP` of a 64-bit ELF file (elf(5)).
fn loader(file: &[u8]) -> Option<std::path::PathBuf> {
    let number = |at: usize, size: usize| {
        let bytes = &file[at..at + size];
        bytes.iter().rev().fold(0usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    let header = (0..count).map(|index| table + index * size).find(|header| number(*header, 4) == 3)?;
    let (start, length) = (number(header + 8, 8), number(header + 0x20, 8));
    Some(String::from_utf8(file[start..start + length - 1].to_vec()).expect("a path").into())
}

/// The program that would be executed again is another then.
#[test]
fn from_a_shared_library_nothing_is_executed_again() {
    let library = program("libtest_library.so");
    let path = CString::new(library.to_str().unwrap()).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the library's own initialisers, and a function of the type that it has there.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!handle.is_null(), "cannot load {library:?}");
        let function = libc::dlsym(handle, c"run_role".as_ptr());
        assert!(!function.is_null());
        let run_role: extern "C" fn(i32) = std::mem::transmute(function);
        run_role(std::os::fd::IntoRawFd::into_raw_fd(writer));
    }
    let mut report = String::new();
    std::io::Read::read_to_string(&mut reader, &mut report).unwrap();
    assert!(report.contains("SharedLibrary") && report.contains("libtest_library.so"), "{report}");
}
