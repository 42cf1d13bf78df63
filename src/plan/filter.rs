//! The system-call filter, compiled for this machine.

use super::{PlanError, Seccomp};
use crate::host::Facts;
use crate::profile::Profile;
use crate::seccomp::{self, Arch, Program, Unknown};
