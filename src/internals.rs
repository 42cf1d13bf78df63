//! What this crate's own tests, benches and fuzzers see of it, by the feature `internals`. No part of the
//! public interface: anything here may change at any time.

#![allow(missing_docs)]

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
    pub use crate::profile::*;
}
pub mod seccomp {
    pub use crate::seccomp::*;
}
pub mod selftest {
    pub use crate::selftest::*;
}
