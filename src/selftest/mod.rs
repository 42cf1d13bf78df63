//! The self-test: known attacks, tried harmlessly, on this machine and this kernel.
//!
//! Each [`Row`] is one attack of the field's history. Its probe runs three times: outside as the **control**
//! (it must succeed there, or the row cannot be tested on this host), **inside** each built-in profile that
//! claims to hold it (it must be blocked), and inside with **only the named walls removed** (it must succeed
//! again, which proves which wall holds, and that the probe can fail). `belljar selftest` prints the table.
//!
//! Probes are harmless: they open without writing, expect an errno, or work on markers that the test has
//! made.

mod answer;
mod check;
mod error;
mod fresh;
mod inside;
mod report;
mod row;
mod rows;
mod scene;
mod setup;
mod under;
mod victim;

pub use answer::{Answer, Verdict};
pub use check::{Report, Selection, run};
pub use error::SelfTestError;
pub use report::{Summary, json_line, render};
pub use row::{Check, Claim, Control, Probe, Removal, Row};
pub use rows::rows;
pub use scene::Scene;
pub use setup::{Run, Setup};
pub use under::{probe, under};

/// A process of one of belljar's own roles, outside of any sandbox.
fn own_role(name: &str) -> crate::reexec::Command {
    let mut command = crate::reexec::command(name);
    command.own = true;
    command
}

/// A variable that the caller sets in its own environment, to [`SECRET_VALUE`], before [`run`]: the rows
/// about leaks look for it. Without it they are not testable.
pub const SECRET: &str = "BELLJAR_SELFTEST_SECRET";
/// Its value.
pub const SECRET_VALUE: &str = "glass-and-bell-7c1f";
