//! Every command of docs/recipes.md does what it says.

use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

const PAGE: &str = include_str!("../../docs/recipes.md");

/// A block of the page: its heading, the programs that it needs, its commands.
struct Recipe {
    heading: &'static str,
    programs: Vec<&'static str>,
    script: String,
}

/// The blocks that begin with "```sh", but for those that need the Internet.
fn recipes() -> Vec<Recipe> {
    let (mut recipes, mut heading) = (Vec::new(), "");
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text;
        }
        let Some(programs) = line.strip_prefix("```sh") else { continue };
        let script =
            lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        let programs: Vec<_> = programs.split_whitespace().collect();
        if programs != ["no-run"] {
            recipes.push(Recipe { heading, programs, script });
        }
    }
    recipes
}

/// Each recipe, as each caller.
pub fn trials() -> Vec<Trial> {
    let recipes = recipes();
    assert!(recipes.len() > 9, "the page's blocks are not found");
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        for (number, Recipe { heading, programs, script }) in recipes.iter().enumerate() {
            let programs = programs.iter().map(|name| Need::Program(name));
            let needs: Vec<Need> = needs.iter().copied().chain(programs).collect();
            let script = script.clone();
            let name = format!("recipes::{number}: {heading} as {caller:?}");
            trials.push(trial(name, &needs, move || runs(caller, &script)));
        }
    }
    trials
}

fn runs(caller: Caller, script: &str) -> Result<(), Failed> {
    let (place, home) = (caller::directory(caller), caller::directory(caller));
    let mut command = Command::new("/bin/sh");
    command.args(["-ec", script]);
    caller::as_caller(caller, &mut command);
    let path = format!("{}:/usr/bin:/bin", caller::shelf().display());
    command.current_dir(place.path()).env("PATH", path).env("HOME", home.path());
    // Of named sandboxes; root has its own.
    command.env("XDG_RUNTIME_DIR", home.path());
    let run = caller::finish(command);
    // Nothing is said where nothing is wrong.
    if run.code == Some(0) && run.stderr.is_empty() { Ok(()) } else { Err(format!("{run:#?}").into()) }
}
