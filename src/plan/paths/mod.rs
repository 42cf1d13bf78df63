//! Paths: what is shown where, with what rights, and what keeps it there.

pub(super) mod candidate;
pub(super) mod configuration;
pub(super) mod convert;
pub(super) mod dev;
pub(super) mod device;
pub(super) mod etc;
pub(super) mod filesystem;
pub(super) mod inputs;
pub(crate) mod landlock;
pub(super) mod lite;
pub(super) mod marks;
pub(super) mod mount_points;
pub(super) mod mounts;
pub(super) mod place;
pub(super) mod places;
pub(super) mod reach;
pub(super) mod root;
pub(super) mod sockets;
pub(super) mod source;
pub(super) mod view;
pub(super) mod walls;
