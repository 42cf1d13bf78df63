//! Descriptors, execution and re-execution (X).

use crate::selftest::Row;

pub(super) const ROWS: &[Row] = &[];
