//! Paths: what is shown where, with what rights, and what keeps it there.

pub(crate) mod configuration;
pub(crate) mod dev;
pub(crate) mod etc;
pub(crate) mod filesystem;
pub(crate) mod item;
pub(crate) mod lite;
pub(crate) mod mount_points;
pub(crate) mod mounts;
pub(crate) mod node;
pub(crate) mod place;
pub(crate) mod places;
pub(crate) mod reach;
pub(crate) mod sockets;
pub(crate) mod source;
pub(crate) mod view;
pub(crate) mod walls;
