//! Paths: what is shown where, with what rights, and what keeps it there.

pub(crate) mod candidate;
pub(crate) mod configuration;
pub(crate) mod dev;
pub(crate) mod device;
pub(crate) mod etc;
pub(crate) mod filesystem;
pub(crate) mod inputs;
pub(crate) mod lite;
pub(crate) mod marks;
pub(crate) mod mount_points;
pub(crate) mod mounts;
pub(crate) mod place;
pub(crate) mod places;
pub(crate) mod reach;
pub(crate) mod root;
pub(crate) mod sockets;
pub(crate) mod source;
pub(crate) mod view;
pub(crate) mod walls;
