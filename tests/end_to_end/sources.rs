//! What a sandbox is shown of the host: the plan's answer is the run's, and what an earlier run did changes neither.

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (who, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        let mut add = |name: &str, check: fn(Caller) -> Result<(), Failed>| {
            trials.push(trial(format!("sources::{name} as {who:?}"), needs, move || check(who)));
        };
        add("no_run_chooses_the_next_ones_mounts", no_run_chooses_the_next_ones_mounts);
    }
    trials
}

/// An optional mount is missing where the task could make its source.
fn no_run_chooses_the_next_ones_mounts(who: Caller) -> Result<(), Failed> {
    let folder = caller::folder(who);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let project = at("project");
    std::fs::create_dir(&project)?;
    caller::give(who, project.as_ref());
    for (name, base, destination) in
        [("strict", "strict", "/hooks"), ("same", "strict", ""), ("lite", "lite", "")]
    {
        let source = format!("{project}/hooks");
        let destination = if destination.is_empty() { &source } else { destination };
        let text = format!(
            "extends = {base:?}\n[[mounts]]\ndestination = {project:?}\noptions = [\"rw\"]\n\
             [[mounts]]\nsource = {source:?}\ndestination = {destination:?}\noptions = [\"ro\", \"optional\"]\n"
        );
        let profile = at(&format!("{name}.toml"));
        caller::file(who, profile.as_ref(), text);
        for dry in [&["--dry-run"][..], &[]] {
            let run = ["run", "-p", &profile].into_iter().chain(dry.iter().copied());
            let touch = ["--", "/usr/bin/mkdir", &source];
            caller::run(who, run.chain(touch))
                .refused(125, &["it does not exist, and the task could make it"])?;
            if std::fs::exists(&source)? {
                return Err(format!("{name}: the task ran").into());
            }
        }
    }
    Ok(())
}
