//! The network (N).

use crate::selftest::Row;

pub(super) const ROWS: &[Row] = &[];
