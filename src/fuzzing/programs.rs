//! A program's file: the ELF header or the `#!` line that a plan looks at.

use std::path::Path;
use std::sync::OnceLock;

use super::assert_tame;
use crate::host::{Facts, Files, MemoryFiles, RealFiles};
use crate::plan::{Call, Plan, PlanError, Workload, resolve};
use crate::profile::Profile;

const PROGRAM: &str = "/usr/bin/program";

/// A host on which the bytes are a program; so is the interpreter that they may name.
fn files(bytes: &[u8]) -> MemoryFiles {
    MemoryFiles::new()
        .file(PROGRAM, 0o755, bytes)
        .file("/usr/bin/sh", 0o755, bytes)
        .file("/usr/lib64/ld.so", 0o755, bytes)
        .symlink("/usr/bin/loop", "loop")
        .symlink("/bin", "usr/bin")
        .symlink("/lib64", "usr/lib64")
}

fn profile() -> &'static Profile {
    static PROFILE: OnceLock<Profile> = OnceLock::new();
    PROFILE.get_or_init(|| {
        let text = "namespaces = [\"user\", \"mount\", \"pid\"]\nseccomp.mode = \"off\"\nmounts = [\n\
                    { destination = \"/usr\", options = [\"ro\", \"system\"] },\n\
                    { destination = \"/bin\", options = [\"ro\", \"system\"] },\n\
                    { destination = \"/lib64\", options = [\"ro\", \"system\"] }]\n";
        Profile::from_toml(text, "program").expect("a profile for programs")
    })
}

pub(super) fn program(bytes: &[u8]) -> bool {
    let files = files(bytes);
    same_on_disk(bytes, &files);
    match resolve(profile(), &Facts::sample(), &files, &Call::program([PROGRAM])) {
        Ok(plan) => {
            assert_eq!(
                plan.task.workload,
                Workload::Program {
                    path: c"/usr/bin/program".into(),
                    argv: vec![c"/usr/bin/program".into()]
                }
            );
            assert!(bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"#!"));
            drop(Plan::decode(&plan.encode().expect("to encode a plan")).expect("to decode a plan"));
            true
        }
        Err(error) => {
            assert!(matches!(error, PlanError::Program { .. }), "{error:?}");
            assert_tame(&crate::error_chain(&error));
            assert!((125..=127).contains(&error.exit_code()));
            false
        }
    }
}

/// A real file reads as one in memory does, for any offsets in its headers.
fn same_on_disk(bytes: &[u8], files: &MemoryFiles) {
    use std::io::Write as _;
    let memory = nix::sys::memfd::memfd_create(c"program", nix::sys::memfd::MFdFlags::MFD_CLOEXEC);
    let mut file = std::fs::File::from(memory.expect("a file in memory"));
    file.write_all(bytes).expect("to write it");
    let path = crate::sys::mount::descriptor_path(&file);
    let path = Path::new(path.to_str().expect("a path of ASCII"));
    let word = |at: usize| {
        bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(u64::MAX, u64::from_le_bytes)
    };
    for (offset, len) in [(0, 64), (word(32), 56), (word(72), 4096), (u64::MAX, 1), (i64::MAX as u64, 2)] {
        let real = RealFiles.read_at(path, offset, len).expect("to read a file");
        let memory = files.read_at(Path::new(PROGRAM), offset, len).expect("to read a file in memory");
        assert_eq!(real, memory, "{len} bytes at {offset}");
    }
}
