//! The command line, profiles and the library (C).

use crate::selftest::Row;

pub(super) const ROWS: &[Row] = &[];
