//! Filters: what a policy means, what is compiled of it, and what the kernel makes of that.

mod by_policy;
mod compile;
mod groups;
mod kernel;
mod oci;
mod oracle;
mod policies;
