//! reexec

/// Placeholder.
pub fn init() {}
