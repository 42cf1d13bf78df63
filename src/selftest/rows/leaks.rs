//! Leaks (L).

use crate::selftest::row::{ALL, nothing};
use crate::selftest::{Answer, Check, Claim, Control, Probe, Removal, Row, SECRET};

pub(super) const ROWS: &[Row] = &[Row {
    id: "L1",
    title: "secrets in the environment",
    source: "environ(7)",
    check: Check::Probe(Probe {
        run: |_| match std::env::var(SECRET) {
            Ok(_) => Answer::allowed("getenv"),
            Err(_) => Answer::blocked("getenv"),
        },
        setup: nothing,
        control: Control::Outside,
        claims: &[Claim {
            profiles: ALL,
            walls: &["process.env: an allow-list"],
            removal: Removal::Edit(|profile, _| Ok(profile.set_env(SECRET)?)),
        }],
    }),
}];
