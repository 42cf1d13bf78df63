//! Profiles: what a sandbox is asked to be.

mod builtin;
mod check;
mod decode;
mod error;
mod filter;
mod filter_source;
mod find;
mod hash;
mod keys;
mod layer;
mod list;
mod load;
mod model;
mod mounts;
mod names;
mod overrides;
mod print;
mod reader;
mod resolve;
mod set;
mod text;
pub mod units;
mod validate;
mod value_error;

pub use builtin::builtin_names;
pub use error::*;
pub use find::user_folder;
pub use keys::KEYS;
pub use list::{Listed, Shown, list, show};
pub use load::MAX_CHAIN;
pub use model::*;
pub use names::{CAPABILITIES, RLIMITS};
pub use set::Network;
pub use validate::Conflict;
pub use value_error::ValueError;
