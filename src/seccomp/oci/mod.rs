//! Docker's and the OCI runtime-spec's seccomp profiles.
