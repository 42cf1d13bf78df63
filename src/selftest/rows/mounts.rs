//! Mounts and files (M).

use crate::selftest::Row;

pub(super) const ROWS: &[Row] = &[];
