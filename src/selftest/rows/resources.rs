//! Resources and life cycle (R).

use crate::selftest::Row;

pub(super) const ROWS: &[Row] = &[];
