//! `belljar doctor`: what this host supports, what it lacks, and the command that mends it.

use clap::Args;

use super::error::Error;
use super::{engine, stdio};

/// Tell what this host supports, what it lacks, and how to mend it
///
/// Each layer is tried in a child, not guessed. Exits 0 where the default profile can be had, 1 where it cannot.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn main(args: &DoctorArgs) -> Result<u8, Error> {
    let (text, healthy) = engine::doctor(args.json)?;
    stdio::print(text.as_bytes())?;
    Ok(u8::from(!healthy))
}
