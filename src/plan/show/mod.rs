//! What people read of a plan.

pub(super) mod note;
pub(crate) mod text;
