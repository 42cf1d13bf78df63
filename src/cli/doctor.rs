//! `belljar doctor`: what this host supports, what it lacks, and the command that fixes it.

use clap::Args;

use super::error::Error;
use super::stdio;
use crate::doctor::{self, Doctor};
use crate::profile::{Profile, builtin_names};

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn main(args: &DoctorArgs) -> Result<u8, Error> {
    let mut profiles = Vec::new();
    for name in builtin_names() {
        profiles.push(Profile::load_with::<&str>(name, &[])?);
    }
    let findings = Doctor::new(profiles).examine();
    let mut text = Vec::new();
    let written =
        if args.json { doctor::json(&findings, &mut text) } else { doctor::render(&findings, &mut text) };
    written.map_err(|source| Error::Output { source })?;
    stdio::print(&text)?;
    Ok(doctor::exit_code(&findings))
}
