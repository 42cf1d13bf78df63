//! What people read of a plan.

pub(crate) mod note;
pub(crate) mod text;
