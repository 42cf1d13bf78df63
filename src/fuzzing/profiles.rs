//! Profiles, overrides and the values in them.

use super::assert_tame;
use crate::profile::{Profile, units};

/// A profile's text: what is accepted can be shown, and what is shown is the same profile.
pub(super) fn toml(bytes: &[u8]) -> bool {
    match Profile::from_slice(bytes, "input") {
        Ok(profile) => {
            same(&profile);
            true
        }
        Err(error) => {
            assert_tame(&crate::error_chain(&error));
            false
        }
    }
}

/// Something of everything that an override may change.
const BASE: &str = "namespaces = [\"user\", \"mount\", \"pid\", \"uts\", \"network\", \"cgroup\"]\n\
                    mounts = [{ destination = \"/proc\", type = \"proc\" }, { destination = \"/usr\", options = [\"ro\"] }]\n\
                    process.env = [\"PATH=/bin\", \"TERM\"]\nseccomp.defaultAction = \"errno\"\nprocess.rlimits.core = 0\nmaskedPaths = [\"/proc/kcore\"]\n\
                    seccomp.syscalls = [{ names = [\"read\", \"write\"], action = \"allow\" }]\nlimits.timeout = \"1m\"\n";

/// `--set KEY=VALUE`.
pub(super) fn setting(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Profile::from_toml_with(BASE, "base", &[text]) {
        Ok(profile) => {
            same(&profile);
            true
        }
        Err(error) => {
            assert_tame(&crate::error_chain(&error));
            false
        }
    }
}

/// Written down and read again.
fn same(profile: &Profile) {
    let text = profile.to_toml();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "control characters in {text:?}");
    // An effective profile of many groups may be longer than a text may be; see `Profile::to_toml`.
    match Profile::from_toml_with::<&str>(&text, &profile.name, &[]) {
        Ok(again) => {
            assert_eq!(&again, profile, "{text}");
            assert_eq!(again.to_toml(), text);
            assert_eq!(again.hash(), profile.hash());
        }
        Err(crate::profile::ProfileError::TooLarge { .. }) => {}
        Err(error) => panic!("{}\n{text}", crate::error_chain(&error)),
    }
}

/// Sizes, times, counts, ids and numbers of CPUs.
pub(super) fn units(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut accepted = false;
    let told = |error: crate::profile::ValueError| assert_tame(&crate::error_chain(&error));
    match units::size(text) {
        Ok(size) => {
            accepted = true;
            assert!((1..=units::MAX).contains(&size));
            assert_eq!(units::size(&units::show_size(size)), Ok(size));
        }
        Err(error) => told(error),
    }
    match units::duration(text) {
        Ok(time) => {
            accepted = true;
            assert!(!time.is_zero());
            assert_eq!(units::duration(&units::show_duration(time)), Ok(time));
        }
        Err(error) => told(error),
    }
    match units::count(text) {
        Ok(count) => {
            accepted = true;
            assert_eq!(count.to_string(), text, "a number is written in one way only");
        }
        Err(error) => told(error),
    }
    match units::cpus(text) {
        Ok(milli) => {
            accepted = true;
            assert!((1..=units::MAX_CPUS).contains(&milli));
            let written: f64 = text.parse().expect("a number of CPUs is a number");
            assert!((written * 1000.0 - milli as f64).abs() < 0.5, "{text}: {milli}");
        }
        Err(error) => told(error),
    }
    match units::user(text) {
        Ok(user) => {
            accepted = true;
            assert!(user.uid != u32::MAX && user.gid != u32::MAX);
            assert_eq!(units::user(&format!("{}:{}", user.uid, user.gid)), Ok(user));
        }
        Err(error) => told(error),
    }
    match units::rlimit(text) {
        Ok(limit) => {
            accepted = true;
            assert!(limit.is_none_or(|limit| limit <= units::MAX));
        }
        Err(error) => told(error),
    }
    for max in [0o777, 0o7777] {
        match units::octal(text, max) {
            Ok(mode) => assert!(mode <= max),
            Err(error) => told(error),
        }
    }
    accepted
}
