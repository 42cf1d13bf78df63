//! What this crate's own tests, benches and fuzzers see of it, by the feature `internals`. No part of the
//! public interface: anything here may change at any time.

#![allow(missing_docs)]

pub mod doctor {
    pub use crate::doctor::report::{exit_code, json};
}
pub mod host {
    pub use crate::host::*;
}
pub mod plan {
    pub use crate::plan::*;
}
pub mod probe {
    pub use crate::probe::*;
}
pub mod profile {
    pub use crate::profile::conflict::Conflict;
    pub use crate::profile::error::*;
    pub use crate::profile::find::user_directory;
    pub use crate::profile::keys::{KEYS, Key};
    pub use crate::profile::list::{list, show};
    pub use crate::profile::model::*;
    pub use crate::profile::mount::*;
    pub use crate::profile::names::RLIMITS;
    pub use crate::profile::scheduling::*;
    pub use crate::profile::value_error::ValueError;
    pub use crate::profile::*;

    pub mod units {
        pub use crate::profile::units::*;
    }
}
pub mod reexec {
    pub use crate::reexec::image::ImageError;
    pub use crate::reexec::launch_error::LaunchError;
    pub use crate::reexec::refusal::Refusal;
    pub use crate::reexec::registry::LookupError;
    pub use crate::reexec::*;
}
pub mod seccomp {
    pub use crate::seccomp::errno::errno;
    pub use crate::seccomp::interpret::{Data, EvaluateError};
    pub use crate::seccomp::rules::Rules;
    pub use crate::seccomp::validate::ValidateError;
    pub use crate::seccomp::*;

    pub mod groups {
        pub use crate::seccomp::groups::*;
    }
    pub mod names {
        pub use crate::seccomp::names::*;
    }
    pub mod oci {
        pub use crate::seccomp::oci::*;
    }
}
pub mod selftest {
    pub use crate::selftest::*;
}
