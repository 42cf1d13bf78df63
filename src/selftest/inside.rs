//! The role `belljar:selftest-probe`: runs one row's probe in its own process and writes its answer as one
//! JSON line.

use std::ffi::OsStr;
use std::io::Write as _;

use super::{Check, Scene, SelfTestError, fresh, rows};

/// The role's name.
pub(super) const ROLE: &str = "belljar:selftest-probe";

/// A probe that hangs is ended by `SIGALRM` after so many seconds.
const SECONDS: u32 = 10;

crate::reexec::reserved_role!(ROLE, run);

/// `belljar:selftest-probe ROW [NAME=VALUE]...`
fn run() -> Result<(), SelfTestError> {
    let mut arguments = std::env::args_os().skip(1);
    let id = arguments.next().unwrap_or_default();
    answer(&id, &Scene::read(arguments)?)
}

/// Runs the probe in this process and writes its answer.
pub(super) fn answer(id: &OsStr, scene: &Scene) -> Result<(), SelfTestError> {
    nix::unistd::alarm::set(SECONDS);
    let row = rows().find(|row| id == row.id);
    let Some((row, probe)) = row.and_then(|row| match &row.check {
        Check::Probe(probe) => Some((row, probe)),
        _ => None,
    }) else {
        return Err(SelfTestError::UnknownRow { id: id.to_string_lossy().into_owned() });
    };
    if scene.text("namespaces") == "fresh" && !fresh::enter()? {
        return Ok(());
    }
    let mut answer = (probe.run)(scene);
    answer.id = row.id.to_owned();
    let mut line = serde_json::to_vec(&answer).map_err(|source| SelfTestError::Json { source })?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).map_err(|source| SelfTestError::Write { source })
}
