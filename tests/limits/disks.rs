//! Limits of disks.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::json;

use crate::Check;
use crate::caller;
use crate::need::Need;
use crate::parent::{Parent, check};

pub const CHECKS: &[(&str, &[Need], Check)] = &[
    ("what_is_written_in_a_second", &[Need::Program("dd")], written),
    ("the_weight", &[], weight),
    ("what_is_no_disk_is_refused", &[], no_disk),
];

/// Why nothing can be checked here.
pub fn missing() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return None; // said by Need::Root
    }
    let device = std::fs::metadata(caller::shelf()).ok()?.dev();
    let disk = format!("/sys/dev/block/{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device));
    if !Path::new(&disk).exists() {
        return Some("the tests' directory is on no disk");
    }
    let root = Path::new("/sys/fs/cgroup");
    let v2 = std::fs::read_to_string(root.join("cgroup.controllers")).is_ok_and(|text| text.contains("io"));
    if v2 || root.join("blkio/blkio.throttle.write_bps_device").exists() {
        return None;
    }
    Some("this kernel has no controller of disks")
}

/// 2 MiB past the page cache, at 1 MiB in a second.
fn written(parent: &Parent) -> Result<(), Failed> {
    let directory = parent.directory.path().display().to_string();
    let (bind, limit) = (format!("--bind={directory}:/out"), format!("--io-write-bps={directory}:1M"));
    let script = "dd if=/dev/zero of=/out/x bs=256K count=8 oflag=direct 2>/dev/null";
    let began = Instant::now();
    let (run, report) = parent.shell(&[&bind, &limit, "--io-read-iops=/:1000"], script)?;
    run.succeeded()?;
    check(began.elapsed() > Duration::from_millis(1300), began.elapsed())?;
    let cgroup = &report["cgroup"];
    let disks = cgroup["limits"]["disks"].as_array().ok_or("no disks")?;
    check(disks.iter().any(|disk| disk["writeBps"] == 1 << 20 && disk["readBps"].is_null()), &report)?;
    check(disks.iter().any(|disk| disk["readIops"] == 1000), &report)?;
    check(cgroup["usage"]["ioWrittenBytes"].as_u64() >= Some(2 << 20), &report)
}

fn weight(parent: &Parent) -> Result<(), Failed> {
    let (run, report) = parent.run(&["--io-weight=300"], &["true"])?;
    if run.code == Some(125) {
        return Ok(run.refused(125, &["shares disks out by no weight", "\nhint: "])?);
    }
    run.succeeded()?;
    check(report["cgroup"]["limits"]["ioWeight"] == 300, &report)?;
    check(report["cgroup"]["limits"]["disks"] == json!([]), &report)
}

fn no_disk(parent: &Parent) -> Result<(), Failed> {
    for (path, words) in [("/proc", "is no disk"), ("/no/such/path", "ENOENT")] {
        for more in [&[][..], &["--dry-run"]] {
            let limit = format!("--io-read-bps={path}:1M");
            let option = parent.option();
            let all = ["run", &option, &limit].into_iter().chain(more.iter().copied()).chain(["--", "true"]);
            caller::run(parent.caller, all).refused(125, &[words])?;
        }
    }
    Ok(())
}
