//! User namespaces, capabilities and system calls (K).

use crate::selftest::Row;

pub(super) const ROWS: &[Row] = &[];
