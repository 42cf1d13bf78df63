//! The bodies of the probes of mounts and files.

use std::ffi::CString;
use std::fs;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use crate::selftest::answer::{call, errno_of, in_child};
use crate::selftest::{Answer, Scene, SelfTestError, Setup};

/// Device and inode, as text.
pub(super) fn identity(data: &fs::Metadata) -> String {
    format!("{}:{}", data.dev(), data.ino())
}

/// Opens for writing, and writes nothing.
pub(super) fn writes(path: &Path) -> Answer {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    Answer::of(format!("open({}, O_WRONLY)", path.display()), open(path, flags, Mode::empty()).map(drop))
}

/// Whether a byte of a file can be read.
pub(super) fn reads(path: &str) -> Answer {
    let mut byte = [0];
    let read = fs::File::open(path).and_then(|mut file| file.read(&mut byte));
    match read {
        Ok(0) => Answer::blocked(format!("read({path}): empty")),
        Ok(_) => Answer::allowed(format!("read({path})")),
        Err(error) => Answer::of(format!("read({path})"), Err(errno_of(&error))),
    }
}

/// A directory that the sandbox may write to, under its own name.
pub(super) fn shared_directory(setup: &mut Setup) -> Result<(), SelfTestError> {
    let directory = setup.directory()?.join("shared");
    fs::create_dir(&directory).map_err(SelfTestError::setup("make a directory"))?;
    setup.bind(&directory, &directory.to_string_lossy(), false);
    setup.value("directory", directory.display());
    Ok(())
}

/// Takes a mask off: of /proc/kcore, or in the control of one that it has made itself.
pub(super) fn unmask(scene: &Scene) -> Answer {
    let masked = ["/proc/kcore", "/proc/keys", "/proc/interrupts"].into_iter();
    let Some(target) = masked.into_iter().find(|path| Path::new(path).exists()) else {
        return Answer::na("this kernel has none of the masked files");
    };
    let none: Option<&str> = None;
    if scene.stage() == "control"
        && let Err(errno) = mount(Some("/dev/null"), target, none, MsFlags::MS_BIND, none)
    {
        return Answer::na(format!("mount a mask: {errno}"));
    }
    let direct = in_child(|| umount2(target, MntFlags::MNT_DETACH));
    let nested = in_child(|| {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        umount2(target, MntFlags::MNT_DETACH)
    });
    Answer::any([
        Answer::of(format!("umount2({target})"), direct),
        Answer::of(format!("umount2({target}) in namespaces of its own"), nested),
    ])
}

/// Makes /usr writable: the sandbox's, or in the control a read-only bind of it.
pub(super) fn make_writable(scene: &Scene) -> Answer {
    let none: Option<&str> = None;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    if scene.stage() == "control" {
        let bound = mount(Some("/usr"), "/usr", none, MsFlags::MS_BIND, none)
            .and_then(|()| mount(none, "/usr", none, flags | MsFlags::MS_RDONLY, none));
        if let Err(errno) = bound {
            return Answer::na(format!("mount: {errno}"));
        }
    }
    // Other flags than read-only are kept, or a namespace that does not own the mount could not even try.
    let kept = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let direct = in_child(|| mount(none, "/usr", none, flags | kept, none));
    let nested = in_child(|| {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        mount(none, "/usr", none, flags | kept, none)
    });
    Answer::any([
        Answer::of("mount(/usr, remount, rw)", direct),
        Answer::of("mount(/usr, remount, rw) in namespaces of its own", nested),
    ])
}

/// The classic: a directory kept open, chroot below it, and up from there. In the control the host's root is
/// above, as it is above everything that only chroot holds.
pub(super) fn climb(scene: &Scene) -> Answer {
    let root = scene.text("root");
    let result = in_child(|| {
        let outside = open(".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        nix::unistd::chroot("/proc")?;
        call!(libc::SYS_fchdir, outside.as_raw_fd())?;
        for _ in 0..64 {
            nix::unistd::chdir("..")?;
        }
        let top = fs::metadata(".").map_err(|error| errno_of(&error))?;
        if identity(&top) == root { Ok(()) } else { Err(Errno::ESTALE) }
    });
    Answer::of("chroot, fchdir, chdir(..) to the host's root", result)
}

/// `struct file_handle`, large enough for any file system (`MAX_HANDLE_SZ`).
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; 128],
}

/// The kernel's handle of a marker, made outside: a forger would guess it.
pub(super) fn give_handle(setup: &mut Setup) -> Result<(), SelfTestError> {
    let marker = setup.file("marker", "x")?;
    setup.bind(&marker, &marker.to_string_lossy(), true);
    setup.value("file", marker.display());
    let path = CString::new(marker.to_string_lossy().into_owned())
        .map_err(|error| SelfTestError::Setup { action: "name a marker file", source: error.into() })?;
    let mut handle = Handle { bytes: 128, kind: 0, data: [0; 128] };
    let mut mount_id: libc::c_int = 0;
    call!(libc::SYS_name_to_handle_at, libc::AT_FDCWD, path.as_ptr(), &raw mut handle, &raw mut mount_id, 0)
        .map_err(SelfTestError::errno("get a file's handle"))?;
    let data = handle.data.iter().take(handle.bytes as usize);
    setup.value("kind", handle.kind);
    setup.value("data", data.map(|byte| format!("{byte:02x}")).collect::<String>());
    Ok(())
}

/// Opens the marker by its handle; that it is shown serves as the place on its file system.
pub(super) fn by_handle(scene: &Scene) -> Answer {
    let hex = scene.text("data");
    let mut handle =
        Handle { bytes: 0, kind: i32::try_from(scene.number("kind")).unwrap_or(0), data: [0; 128] };
    for (at, byte) in handle.data.iter_mut().enumerate() {
        let Some(digits) = hex.get(2 * at..2 * at + 2) else { break };
        *byte = u8::from_str_radix(digits, 16).unwrap_or(0);
        handle.bytes += 1;
    }
    let place = match open(scene.text("file"), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(place) => place,
        Err(errno) => return Answer::na(format!("open(marker): {errno}")),
    };
    let opened = call!(libc::SYS_open_by_handle_at, place.as_raw_fd(), &raw const handle, libc::O_RDONLY);
    Answer::of("open_by_handle_at", opened.map(drop))
}
