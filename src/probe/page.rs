//! The page for a person: one block a subject, the short answers first.

use std::io::{self, Write};

use super::attempt::{Attempt, Outcome};
use super::files::Listing;
use super::process::Limit;
use super::{Files, Hardening, Identity, Network, Process, Sight};

/// Lists longer than this are cut on the page, not in JSON.
const SHOWN: usize = 12;

pub(super) fn render(sight: &Sight, to: &mut impl Write) -> io::Result<()> {
    identity(&sight.identity, to)?;
    hardening(&sight.hardening, to)?;
    process(&sight.process, to)?;
    files(&sight.files, to)?;
    network(&sight.network, to)?;
    head("attempts", to)?;
    for outcome in [Outcome::Allowed, Outcome::Killed, Outcome::Refused, Outcome::Absent, Outcome::Unknown] {
        attempts(outcome, &sight.attempts, to)?;
    }
    Ok(())
}

fn head(name: &str, to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "{name}")
}

fn line(name: &str, value: impl AsRef<str>, to: &mut impl Write) -> io::Result<()> {
    let value = value.as_ref();
    // What a sandbox is shown may have any name: nothing of it reaches the terminal as a control character.
    let value: String = value.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    writeln!(to, "  {name:<16} {}", if value.is_empty() { "none" } else { &value })
}

fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

fn list(items: &[String]) -> String {
    let mut text = items.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(" ");
    if items.len() > SHOWN {
        text += &format!(" and {} more", items.len() - SHOWN);
    }
    text
}

fn ids(ids: Option<[u32; 3]>) -> String {
    match ids {
        Some([real, effective, saved]) if real == effective && real == saved => real.to_string(),
        Some([real, effective, saved]) => format!("real {real}, effective {effective}, saved {saved}"),
        None => "unknown".to_owned(),
    }
}

fn identity(identity: &Identity, to: &mut impl Write) -> io::Result<()> {
    head("identity", to)?;
    line("uid", ids(identity.uid), to)?;
    line("gid", ids(identity.gid), to)?;
    let groups =
        identity.groups.as_ref().map(|ids| list(&ids.iter().map(u32::to_string).collect::<Vec<_>>()));
    line("groups", known(groups), to)?;
    line("uid map", known(identity.uid_map.as_ref().map(|map| map.join(", "))), to)?;
    line("gid map", known(identity.gid_map.as_ref().map(|map| map.join(", "))), to)?;
    line("setgroups", known(identity.setgroups.as_ref()), to)
}

fn hardening(hardening: &Hardening, to: &mut impl Write) -> io::Result<()> {
    head("hardening", to)?;
    match &hardening.capabilities {
        None => line("capabilities", "unknown", to)?,
        Some(sets) if sets.values().all(Vec::is_empty) => line("capabilities", "", to)?,
        Some(sets) => {
            for (name, set) in sets.iter().filter(|(_, set)| !set.is_empty()) {
                line(&format!("{name} caps"), list(set), to)?;
            }
        }
    }
    line("securebits", known(hardening.securebits.map(|bits| format!("{bits:#x}"))), to)?;
    line("no_new_privs", known(hardening.no_new_privs.map(yes)), to)?;
    let seccomp = match hardening.seccomp {
        Some(0) => "off".to_owned(),
        Some(2) => format!("filter ({})", known(hardening.seccomp_filters)),
        mode => known(mode),
    };
    line("seccomp", seccomp, to)?;
    let landlock = &hardening.landlock;
    let layers = match landlock.layers {
        Some(0) => "off".to_owned(),
        Some(1) => "1 ruleset".to_owned(),
        Some(layers) => format!("{layers} rulesets"),
        None => format!("unknown ({})", known(landlock.errno.as_ref())),
    };
    line("landlock", layers + &landlock.abi.map(|abi| format!(", ABI {abi}")).unwrap_or_default(), to)?;
    line("umask", known(hardening.umask.as_ref()), to)?;
    line("dumpable", known(hardening.dumpable.map(yes)), to)?;
    let namespaces: Vec<_> =
        hardening.namespaces.iter().map(|(name, inode)| format!("{name}:{}", known(*inode))).collect();
    line("namespaces", list(&namespaces), to)
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn process(process: &Process, to: &mut impl Write) -> io::Result<()> {
    head("process", to)?;
    line(
        "pid",
        format!("{} (parent {}, session {})", process.pid, process.ppid, known(process.session)),
        to,
    )?;
    let visible = process.visible.as_ref().map(|all| {
        let names: Vec<_> = all.iter().map(|process| format!("{}:{}", process.pid, process.name)).collect();
        format!("{}: {}", all.len(), list(&names))
    });
    line("sees processes", known(visible), to)?;
    line("hostname", known(process.hostname.as_ref()), to)?;
    line("kernel", known(process.kernel.as_ref()), to)?;
    line("cwd", known(process.cwd.as_ref()), to)?;
    let terminals: Vec<_> = process.terminals.iter().map(i32::to_string).collect();
    line("terminals", list(&terminals), to)?;
    line("controlling tty", yes(process.controlling_terminal), to)?;
    let descriptors: Vec<_> =
        process.descriptors.iter().map(|(fd, target)| format!("{fd}:{target}")).collect();
    line("descriptors", list(&descriptors), to)?;
    line("environment", list(&process.environment), to)?;
    let limits: Vec<_> =
        process.limits.iter().map(|(name, limit)| format!("{name}={}", shown(*limit))).collect();
    for (at, limits) in limits.chunks(6).enumerate() {
        line(if at == 0 { "limits" } else { "" }, limits.join(" "), to)?;
    }
    Ok(())
}

fn shown(limit: Limit) -> String {
    let text = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    if limit.soft == limit.hard {
        text(limit.soft)
    } else {
        format!("{}:{}", text(limit.soft), text(limit.hard))
    }
}

fn files(files: &Files, to: &mut impl Write) -> io::Result<()> {
    head("files", to)?;
    for listing in std::iter::once(&files.root).chain(&files.homes) {
        line(&listing.path, listed(listing), to)?;
    }
    line("writable", list(&files.writable), to)?;
    match &files.mounts {
        None => line("mounts", "unknown", to),
        Some(mounts) => {
            line("mounts", mounts.len().to_string(), to)?;
            for mount in mounts {
                line("", format!("{} {} {}", mount.path, mount.kind, mount.options), to)?;
            }
            Ok(())
        }
    }
}

fn listed(listing: &Listing) -> String {
    match &listing.entries {
        Some(entries) if entries.is_empty() => "empty".to_owned(),
        Some(entries) => format!("{}: {}", listing.count, list(entries)),
        None => known(listing.errno.as_ref()),
    }
}

fn network(network: &Network, to: &mut impl Write) -> io::Result<()> {
    head("network", to)?;
    line(
        "interfaces",
        network.interfaces.as_ref().map_or_else(|| "unknown".to_owned(), |all| list(all)),
        to,
    )?;
    line("abstract sockets", known(network.abstract_sockets), to)?;
    for (title, all) in [("sockets", &network.sockets), ("reach", &network.reach)] {
        let names: Vec<_> = all.iter().map(described).collect();
        for (at, name) in names.iter().enumerate() {
            line(if at == 0 { title } else { "" }, name, to)?;
        }
    }
    Ok(())
}

fn described(attempt: &Attempt) -> String {
    let answer = attempt.answer.as_deref().map(|answer| format!(" ({answer})")).unwrap_or_default();
    format!("{} {}{answer}", attempt.name, attempt.outcome)
}

fn attempts(outcome: Outcome, all: &[Attempt], to: &mut impl Write) -> io::Result<()> {
    for (at, attempt) in all.iter().filter(|attempt| attempt.outcome == outcome).enumerate() {
        let answer = attempt.answer.as_deref().map(|answer| format!(" ({answer})")).unwrap_or_default();
        let title = if at == 0 { outcome.to_string() } else { String::new() };
        line(&title, format!("{}{answer}", attempt.name), to)?;
    }
    Ok(())
}
