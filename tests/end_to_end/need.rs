//! What a check needs of the machine, and what happens where it is not there.

use std::path::Path;

use libtest_mimic::{Failed, Trial};

/// Something that not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The tests run as root (to become other users).
    Root,
    /// A capability of the tests', its name and number.
    // Not every harness that has this file asks for one.
    #[allow(dead_code)]
    Capability(&'static str, u32),
    /// A program in /usr/bin or /bin.
    Program(&'static str),
    /// Subordinate ids of the ordinary user who runs the tests, and the programs that map them.
    #[allow(dead_code)]
    Subordinate,
    /// A root directory of Debian's, as [`DEBIAN`] has it.
    #[allow(dead_code)]
    Debian,
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Need::Root => "root",
            Need::Capability(name, _) | Need::Program(name) => name,
            Need::Subordinate => "subuid",
            Need::Debian => "debian",
        }
    }

    fn missing(self) -> Option<String> {
        match self {
            Need::Root => (!nix::unistd::geteuid().is_root()).then(|| "not running as root".to_owned()),
            Need::Capability(name, number) => {
                let status = std::fs::read_to_string("/proc/self/status").expect("the own status");
                let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
                let mask = u64::from_str_radix(mask.expect("CapEff").trim(), 16).expect("a mask");
                (mask & (1 << number) == 0).then(|| format!("{name} is missing"))
            }
            Need::Program(name) => {
                let found = ["/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(name).exists());
                (!found).then(|| format!("{name} is not installed"))
            }
            Need::Subordinate => subordinate(),
            Need::Debian => {
                let archive = std::env::var_os(DEBIAN);
                let found = archive.is_some_and(|path| Path::new(&path).is_file());
                (!found).then(|| format!("{DEBIAN} names no archive"))
            }
        }
    }
}

/// Names a tar archive of a minimal Debian, in whose package cache `cron` is (`.ci/run` makes one).
pub const DEBIAN: &str = "BELLJAR_TEST_DEBIAN";

/// Why the user has no subordinate ids.
fn subordinate() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("the accounts");
    let Some(user) = user.filter(|user| !user.uid.is_root()) else {
        return Some("the tests run as root, or without an account".to_owned());
    };
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if !text.lines().any(|line| line.starts_with(&format!("{}:", user.name))) {
            return Some(format!("{file} has no line for {}", user.name));
        }
    }
    let missing =
        ["newuidmap", "newgidmap"].into_iter().find(|name| !Path::new("/usr/bin").join(name).exists());
    missing.map(|name| format!("{name} is not installed"))
}

/// Whether `BELLJAR_TEST_REQUIRE` makes its absence a failure: the word itself, or `all` without `-` and the
/// word.
pub fn required(need: &str) -> bool {
    let list = std::env::var("BELLJAR_TEST_REQUIRE").unwrap_or_default();
    let has = |wanted: &str| list.split(',').any(|word| word == wanted);
    has(need) || (has("all") && !has(&format!("-{need}")))
}

/// A check, or its place in the list of what could not be checked here.
pub fn trial(
    name: String,
    needs: &[Need],
    check: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let Some((need, why)) = needs.iter().find_map(|need| need.missing().map(|why| (*need, why))) else {
        return Trial::test(name, check);
    };
    skipped(name, need.name(), why)
}

/// A place in the list of what could not be checked here, for want of what `BELLJAR_TEST_REQUIRE` calls
/// `need`.
pub fn skipped(name: String, need: &str, why: String) -> Trial {
    if required(need) {
        return Trial::test(name, move || Err(format!("required, but {why}").into()));
    }
    eprintln!("skipped: {name}: {why}");
    Trial::test(format!("{name} (skipped: {why})"), || Ok(())).with_ignored_flag(true)
}
