//! The program under test: says what it is and what it can do, one fact a line, by asking the kernel.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The last line: all was said.
pub const END: &str = "witness=done";

fn answer(value: i64) -> String {
    if value < 0 {
        format!("errno {}", std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    } else {
        value.to_string()
    }
}

fn prctl(option: i32, argument: u64) -> String {
    // SAFETY: these options take numbers only.
    answer(i64::from(unsafe { libc::prctl(option, argument, 0, 0, 0) }))
}

/// What the program or the role does.
pub fn testify() {
    match std::env::args().nth(1).as_deref() {
        Some("wait") => wait(),
        Some("flood") => flood(),
        Some("linger") => {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            facts();
        }
        Some("pages") => print!("{}", "x".repeat(4 * 4096)),
        _ => facts(),
    }
}

/// Stays, and leaves a descendant in a session of its own.
fn wait() {
    // SAFETY: one thread, and the child only sleeps.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: no arguments.
        unsafe { libc::setsid() };
    }
    std::thread::sleep(std::time::Duration::from_secs(61));
}

/// Writes for as long as there is a reader.
fn flood() {
    use std::io::Write as _;
    let text = [b'x'; 4096];
    while std::io::stdout().write_all(&text).is_ok() {}
}

/// Writes the facts to standard output.
fn facts() {
    let mut facts: BTreeMap<String, String> = BTreeMap::new();
    let mut say = |key: &str, value: String| facts.insert(key.to_owned(), value);
    // First of all: later facts open descriptors.
    let open = |fd: &i32| {
        // SAFETY: any number may be asked about.
        unsafe { libc::fcntl(*fd, libc::F_GETFD) >= 0 }
    };
    // The program's own descriptor of its image is of its own making (from 60 on).
    say(
        "descriptors",
        format!("{:?}", (0..1024).filter(|fd| *fd < 60 || *fd > 62).filter(open).collect::<Vec<i32>>()),
    );
    // SAFETY: sets and sets back.
    let mask = unsafe {
        let mask = libc::umask(0o77);
        libc::umask(mask);
        mask
    };
    say("umask", format!("{mask:o}"));
    say("no_new_privs", prctl(libc::PR_GET_NO_NEW_PRIVS, 0));
    say("seccomp", prctl(libc::PR_GET_SECCOMP, 0));
    say("securebits", prctl(libc::PR_GET_SECUREBITS, 0));
    // SAFETY: numbers only.
    let (own, session) = unsafe { (libc::getpid(), libc::getsid(0)) };
    say("own session", (own == session).to_string());
    let ids = (nix::unistd::getresuid(), nix::unistd::getresgid());
    say("ids", format!("{ids:?}"));
    say("groups", format!("{:?}", nix::unistd::getgroups().map(|groups| groups.len())));
    // SAFETY: all zeroes is a value of it, and there is room for the answer.
    let names = unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        libc::uname(&raw mut names);
        names
    };
    let text = |name: &[libc::c_char]| -> String {
        name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(byte.to_ne_bytes()[0])).collect()
    };
    say("hostname", text(&names.nodename));
    say("domain", text(&names.domainname));
    say("cwd", format!("{:?}", std::env::current_dir().map_err(|error| error.raw_os_error())));
    for resource in 0..16u32 {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: room for the answer.
        let got = unsafe { libc::getrlimit(resource as _, &raw mut limit) };
        say(&format!("rlimit {resource}"), format!("{got} {} {}", limit.rlim_cur, limit.rlim_max));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        if key.starts_with("Cap") || ["NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "Groups"].contains(&key) {
            say(key, value.trim().to_owned());
        }
    }
    for name in ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"] {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}"));
        say(
            &format!("namespace {name}"),
            link.map_or_else(|error| error.to_string(), |link| link.display().to_string()),
        );
    }
    say("mounts", mounts());
    for path in ["/usr", "/etc", "/", "/tmp", "/dev", "/proc"] {
        let path = std::path::Path::new(path).join("belljar-faults-new-file");
        let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        say(
            &format!("make {}", path.display()),
            format!("{:?}", made.map(|_| ()).map_err(|error| error.raw_os_error())),
        );
        let _ = std::fs::remove_file(&path);
    }
    say("landlock", landlock());
    let environment: Vec<_> = std::env::vars_os().collect();
    say("environment", format!("{environment:?}"));
    let mut text = String::new();
    for (key, value) in &facts {
        let _ = writeln!(text, "{key}={value}");
    }
    println!("{text}{END}");
}

/// ioctl(2) on /dev/null: ENOTTY, unless a Landlock domain (ABI 5) answers first.
fn landlock() -> String {
    use std::os::fd::AsRawFd;
    let null = match std::fs::File::open("/dev/null") {
        Ok(null) => null,
        Err(error) => return format!("open: {error}"),
    };
    let mut words = [0u64; 16];
    // SAFETY: TCGETS would write a termios, which is smaller.
    answer(i64::from(unsafe { libc::ioctl(null.as_raw_fd(), libc::TCGETS as _, words.as_mut_ptr()) }))
}

/// What of the mount table does not change from run to run: root, place, options, propagation, type, and
/// sizes and the like.
fn mounts() -> String {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_else(|error| error.to_string());
    let mut lines: Vec<String> = Vec::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (Some(root), Some(place), Some(options)) = (words.get(3), words.get(4), words.get(5)) else {
            continue;
        };
        let dash = words.iter().position(|word| *word == "-").unwrap_or(words.len());
        let tags: Vec<&str> = words
            .get(6..dash)
            .unwrap_or_default()
            .iter()
            .map(|tag| tag.split(':').next().unwrap_or(tag))
            .collect();
        let kind = words.get(dash + 1).unwrap_or(&"");
        let own = words.get(dash + 3).filter(|_| ["tmpfs", "proc"].contains(kind)).unwrap_or(&"");
        // Not the ids, which are other ones in each of root's runs.
        let own: Vec<&str> =
            own.split(',').filter(|word| !word.starts_with("uid=") && !word.starts_with("gid=")).collect();
        lines.push(format!("{root} {place} {options} {tags:?} {kind} {own:?}"));
    }
    lines.join("; ")
}
