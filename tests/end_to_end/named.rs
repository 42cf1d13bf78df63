//! Sandboxes with a name: `run --name`, `exec`, `kill`, `wait`, `ps`, and what is left of them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::caller::{self, Caller, Run};
use crate::need::{Need, skipped, trial};

type Check = fn(&Place) -> Result<(), Failed>;

const CHECKS: &[(&str, Check)] = &[
    ("one_more_program_has_the_walls_and_files_of_the_first", exec_in_the_same_walls),
    ("a_name_is_taken_once_and_free_again", taken_once),
    ("kill_and_wait_tell_the_end", kill_and_wait),
    ("what_was_killed_leaves_a_name_that_can_be_taken", left_by_a_kill),
    ("others_cannot_reach_it", others),
    ("an_exec_ends_with_its_belljar", exec_ends),
    ("many_at_once", many),
    ("what_is_given_up_is_not_done_later", given_up),
    ("the_name_is_free_and_the_report_written_once_the_end_is_told", all_done),
    ("the_end_is_told_by_what_ended_it", meets_the_end),
];

/// Each, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        for (name, check) in CHECKS {
            trials.push(trial(format!("named::{name} as {caller:?}"), needs, move || {
                check(&Place { caller, directory: caller::directory(caller) })
            }));
        }
    }
    trials.push(in_a_group());
    trials
}

/// By who runs the tests: root, or a login that a group may have been delegated to.
fn in_a_group() -> Trial {
    let caller = if nix::unistd::geteuid().is_root() { Caller::Root } else { Caller::User };
    let name = format!("named::more_programs_are_in_the_same_control_group as {caller:?}");
    let place = Place { caller, directory: caller::directory(caller) };
    let dry = place.run(&["run", "--dry-run", "--pids", "20", "--", "true"]);
    if dry.code != Some(0) {
        return skipped(name, "cgroup", dry.stderr.lines().next().unwrap_or_default().to_owned());
    }
    trial(name, &[], move || control_group(&place))
}

/// A caller with a runtime directory of its own (root's is /run: names that no other test uses).
struct Place {
    caller: Caller,
    directory: tempfile::TempDir,
}

impl Place {
    fn belljar(&self, args: &[&str]) -> Command {
        let mut command = Command::new(caller::shelf().join("belljar"));
        caller::as_caller(self.caller, &mut command);
        command
            .args(args)
            .current_dir("/tmp")
            .stdin(Stdio::null())
            .env("XDG_RUNTIME_DIR", self.directory.path());
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        caller::finish(self.belljar(args))
    }

    /// Starts one in the foreground, so that its process is known.
    fn foreground(&self, name: &str, options: &[&str], script: &str) -> Result<Child, Failed> {
        let mut command = self.belljar(&["run", "--name", name]);
        let runs = command.args(options).args(["--", "sh", "-c", script]).stderr(Stdio::null()).spawn()?;
        within(|| self.run(&["exec", name, "--", "true"]).code == Some(0), self)?;
        Ok(runs)
    }

    /// A name of this test's own.
    fn name(&self, name: &str) -> String {
        format!("test-{}-{name}", std::process::id())
    }

    /// Starts one in the background.
    fn start(&self, name: &str, options: &[&str], script: &str) -> Result<(), Failed> {
        let mut command = self.belljar(&["run", "--name", name, "--detach"]);
        command.args(options).args(["--", "sh", "-c", script]);
        let output = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        check(output.success(), output)
    }

    /// What there is of a name.
    fn files(&self, name: &str) -> Vec<String> {
        let directory = match self.caller {
            Caller::Root => Path::new("/run/belljar").to_owned(),
            Caller::User => self.directory.path().join("belljar"),
        };
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|file| file.starts_with(name)).collect()
    }
}

fn check(holds: bool, what: impl std::fmt::Debug) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("{what:#?}").into()) }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} in {:?}", self.caller, self.directory)
    }
}

fn exec_in_the_same_walls(place: &Place) -> Result<(), Failed> {
    let name = place.name("walls");
    place.start(
        &name,
        &["--env", "A=first"],
        "echo kept >/tmp/file; readlink /proc/self/ns/* >/tmp/namespaces; sleep 60",
    )?;
    let look = "grep -E '^(Cap|NoNewPrivs|Seccomp|Uid)' /proc/self/status; readlink /proc/self/ns/*";
    let outside =
        place.run(&["run", "--", "sh", "-c", "grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status"]);
    let inside = place.run(&["exec", &name, "--", "sh", "-c", look]);
    check(inside.code == Some(0), &inside)?;
    check(
        outside.stdout.lines().all(|line| inside.stdout.lines().any(|other| other == line)),
        (&outside, &inside),
    )?;
    let first = place.run(&["exec", &name, "--", "sh", "-c", "sleep 0.1; cat /tmp/namespaces"]);
    check(first.code == Some(0) && inside.stdout.ends_with(&first.stdout), (&first, &inside))?;
    // Each is in a Landlock domain of its own.
    let reach = place.run(&["exec", &name, "--", "sh", "-c", "readlink /proc/2/ns/mnt"]);
    check(reach.code != Some(0), &reach)?;
    std::thread::sleep(Duration::from_millis(50));
    let file =
        place.run(&["exec", "-e", "B=more", &name, "--", "sh", "-c", "cat /tmp/file; echo $A $B; exit 9"]);
    check(file.stdout == "kept\nmore\n" && file.code == Some(9), &file)?;
    let missing = place.run(&["exec", &name, "--", "no-such-program"]);
    check(missing.code == Some(127) && missing.stderr.contains("no-such-program"), &missing)?;
    let elsewhere = place.run(&["exec", "-w", "/nosuch", &name, "--", "true"]);
    check(elsewhere.code == Some(125) && elsewhere.stderr.contains("takes no more mounts"), &elsewhere)?;
    let undashed = place.run(&["exec", &name, "id"]);
    check(undashed.code == Some(125) && undashed.stderr.contains("put -- before the command"), &undashed)?;
    let signal = place.run(&["exec", &name, "--", "sh", "-c", "kill -USR1 $$"]);
    check(signal.code == Some(138), &signal)?;
    let listed = place.run(&["ps"]);
    check(listed.stdout.contains(&name), &listed)?;
    check(place.run(&["kill", "-s", "KILL", &name]).code == Some(0), "kill")
}

fn taken_once(place: &Place) -> Result<(), Failed> {
    let name = place.name("once");
    place.start(&name, &[], "sleep 60")?;
    let again = place.run(&["run", "--name", &name, "--", "true"]);
    check(again.code == Some(125) && again.stderr.contains("runs already"), &again)?;
    place.run(&["kill", "-s", "KILL", &name]);
    place.run(&["wait", &name]);
    within(|| place.files(&name).is_empty(), place)?;
    let free = place.run(&["run", "--name", &name, "--", "true"]);
    check(free.code == Some(0) && place.files(&name).is_empty(), (&free, place.files(&name)))?;
    let unknown = place.run(&["exec", &name, "--", "true"]);
    check(unknown.code == Some(125) && unknown.stderr.contains("no sandbox"), &unknown)?;
    for bad in ["../x", "", "-x", ".hidden", "a b"] {
        let refused = place.run(&["run", &format!("--name={bad}"), "--", "true"]);
        check(refused.code == Some(125), (bad, &refused))?;
    }
    let detached = place.belljar(&["run", "--detach", "--name", &name, "--", "no-such-program"]).output()?;
    check(detached.status.code() == Some(127), &detached)?;
    check(place.files(&name).is_empty(), place.files(&name))
}

fn kill_and_wait(place: &Place) -> Result<(), Failed> {
    let name = place.name("end");
    place.start(&name, &[], "trap 'exit 42' TERM; while :; do sleep 0.05; done")?;
    let waiting = place.belljar(&["wait", &name]).spawn()?;
    std::thread::sleep(Duration::from_millis(200));
    let killed = place.run(&["kill", &name]);
    check(killed.code == Some(0), &killed)?;
    let waited = waiting.wait_with_output()?;
    check(waited.status.code() == Some(42), &waited)?;
    let refused = place.run(&["kill", "-s", "SEGV", &name]);
    check(refused.code == Some(125), &refused)?;
    place.start(&name, &["--timeout", "300ms"], "sleep 60")?;
    let timed = place.run(&["wait", &name]);
    check(timed.code == Some(124), &timed)?;
    // All of it, where no pid namespace ends the rest, too.
    let seconds = format!("{}{}", 100_000 + std::process::id(), place.caller as u8);
    let there = || {
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.any(|line| line == format!("sleep\0{seconds}\0").as_bytes())
    };
    place.start(&name, &["-p", "lite"], &format!("(setsid sleep {seconds} &) ; sleep 60"))?;
    within(there, "the second process")?;
    check(place.run(&["kill", "-s", "KILL", &name]).code == Some(0), "kill")?;
    within(|| !there(), "ended by KILL")
}

fn left_by_a_kill(place: &Place) -> Result<(), Failed> {
    let name = place.name("killed");
    let mut runs = place.belljar(&["run", "--name", &name, "--", "sleep", "60"]).spawn()?;
    within(|| place.run(&["exec", &name, "--", "true"]).code == Some(0), place)?;
    runs.kill()?;
    runs.wait()?;
    check(!place.files(&name).is_empty(), "what this test is about")?;
    let gone = place.run(&["exec", &name, "--", "true"]);
    check(gone.code == Some(125) && gone.stderr.contains("no sandbox"), &gone)?;
    let again = place.run(&["run", "--name", &name, "--", "true"]);
    check(again.code == Some(0) && place.files(&name).is_empty(), (&again, place.files(&name)))
}

fn others(place: &Place) -> Result<(), Failed> {
    if place.caller == Caller::Root {
        // Root's own: no other user enters the directory.
        let name = place.name("roots");
        place.start(&name, &[], "sleep 60")?;
        let user = Place { caller: Caller::User, directory: caller::directory(Caller::User) };
        let tried = user.run(&["exec", &name, "--", "true"]);
        check(tried.code == Some(125), &tried)?;
        let mut direct = user.belljar(&[]);
        direct.env("XDG_RUNTIME_DIR", "/run").args(["exec", &name, "--", "true"]);
        let direct = caller::finish(direct);
        check(direct.code == Some(125) && direct.stderr.contains("not this user's alone"), &direct)?;
        return check(place.run(&["kill", "-s", "KILL", &name]).code == Some(0), "kill");
    }
    let open = place.directory.path().join("belljar");
    std::fs::create_dir(&open)?;
    caller::give(place.caller, &open);
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let refused = place.run(&["run", "--name", "x", "--", "true"]);
    check(refused.code == Some(125) && refused.stderr.contains("not this user's alone"), &refused)
}

fn exec_ends(place: &Place) -> Result<(), Failed> {
    let name = place.name("exec-ends");
    place.start(&name, &[], "sleep 60")?;
    let mut long = place.belljar(&["exec", &name, "--", "sleep", "59"]).spawn()?;
    let there = || {
        place.run(&["exec", &name, "--", "sh", "-c", "cat /proc/*/cmdline"]).stdout.contains("sleep\u{0}59")
    };
    within(there, place)?;
    long.kill()?;
    long.wait()?;
    within(|| !there(), place)?;
    // A request to end is the task's to answer.
    let asked = place.belljar(&[
        "exec",
        &name,
        "--",
        "sh",
        "-c",
        "trap 'exit 3' TERM; echo; while :; do sleep 0.05; done",
    ]);
    let mut asked = { asked }.stdout(Stdio::piped()).spawn()?;
    std::io::Read::read_exact(asked.stdout.as_mut().ok_or("no pipe")?, &mut [0])?;
    send(&asked, Signal::SIGTERM)?;
    check(asked.wait()?.code() == Some(3), "the status that the task chose")?;
    check(place.run(&["kill", "-s", "KILL", &name]).code == Some(0), "kill")
}

fn many(place: &Place) -> Result<(), Failed> {
    let name = place.name("many");
    place.start(&name, &[], "sleep 60")?;
    let runs: Result<Vec<_>, _> = (0..20)
        .map(|n| place.belljar(&["exec", &name, "--", "sh", "-c", &format!("exit {n}")]).spawn())
        .collect();
    for (n, mut run) in runs?.into_iter().enumerate() {
        let status = run.wait()?;
        check(status.code() == i32::try_from(n).ok(), (n, status))?;
    }
    check(place.run(&["kill", "-s", "KILL", &name]).code == Some(0), "kill")
}

fn within(mut holds: impl FnMut() -> bool, what: impl std::fmt::Debug) -> Result<(), Failed> {
    let began = Instant::now();
    while !holds() {
        check(began.elapsed() < Duration::from_secs(10), &what)?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn control_group(place: &Place) -> Result<(), Failed> {
    let name = place.name("group");
    place.start(&name, &["--pids", "20"], "sleep 60")?;
    for _ in 0..3 {
        let in_group = place.run(&["exec", &name, "--", "true"]);
        check(in_group.code == Some(0), &in_group)?;
    }
    let many =
        place.run(&["exec", &name, "--", "sh", "-c", "for i in $(seq 40); do sleep 5 & done; echo all"]);
    check(many.code != Some(0) && many.stdout.is_empty(), &many)?;
    check(place.run(&["kill", "-s", "KILL", &name]).code == Some(0), "kill")?;
    // One that joins is counted, too.
    place.start(&name, &["--pids", "5"], "exec sleep 60")?;
    let clients: Result<Vec<_>, _> = (0..9)
        .map(|_| place.belljar(&["exec", &name, "--", "sleep", "60"]).stderr(Stdio::piped()).spawn())
        .collect();
    let (mut clients, mut refused) = (clients?, Vec::new());
    let more = |clients: &mut Vec<Child>, refused: &mut Vec<_>| {
        clients.retain_mut(|client| {
            let over = client.try_wait().is_ok_and(|ended| ended.is_some());
            refused.extend(over.then(|| client.stderr.take()).flatten());
            !over
        });
        refused.len()
    };
    within(|| more(&mut clients, &mut refused) >= 5, "those that are too many")?;
    std::thread::sleep(Duration::from_millis(200));
    check(more(&mut clients, &mut refused) == 5, clients.len())?;
    for mut pipe in refused {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut pipe, &mut text)?;
        check(text.contains("has 5 processes already, its limit") && text.contains("--pids"), text)?;
    }
    check(place.run(&["kill", "-s", "KILL", &name]).code == Some(0), "kill")?;
    clients.iter_mut().try_for_each(|client| client.wait().map(drop))?;
    Ok(())
}

fn send(child: &Child, signal: Signal) -> Result<(), Failed> {
    Ok(kill(Pid::from_raw(child.id().cast_signed()), signal)?)
}

/// 125 of a client means that nothing was done, now or later.
fn given_up(place: &Place) -> Result<(), Failed> {
    let name = place.name("given-up");
    let mut runs =
        place.foreground(&name, &[], "trap 'touch /tmp/term' TERM; while :; do sleep 0.05; done")?;
    send(&runs, Signal::SIGSTOP)?;
    let touch = |file: &str| format!(": >/tmp/{file}; sleep 20");
    let mut killed = Vec::new();
    for number in 0..20 {
        let mut client = place.belljar(&["exec", &name, "--", "sh", "-c", &touch(&number.to_string())]);
        killed.push(client.stderr(Stdio::null()).spawn()?);
    }
    let began = Instant::now();
    let (script, mut patient) = (touch("patient"), Vec::new());
    for arguments in
        [&["exec", &name, "--", "sh", "-c", &script][..], &["kill", &name], &["kill", "-s", "KILL", &name]]
    {
        patient.push(place.belljar(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?);
    }
    std::thread::sleep(Duration::from_millis(500));
    for mut client in killed {
        client.kill()?;
        client.wait()?;
    }
    let stopped = format!("kill -CONT {}", runs.id());
    let mut told = Vec::new();
    for mut client in patient {
        while client.try_wait()?.is_none() && began.elapsed() < Duration::from_secs(14) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let ended = client.try_wait()?;
        client.kill().ok();
        let output = client.wait_with_output()?;
        told.push((
            ended.and_then(|status| status.code()),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ));
    }
    send(&runs, Signal::SIGCONT)?;
    check(
        told.iter().all(|(code, text)| {
            *code == Some(125) && text.contains("has not answered") && text.contains(&stopped)
        }),
        &told,
    )?;
    std::thread::sleep(Duration::from_millis(500));
    let files = place.run(&["exec", &name, "--", "ls", "/tmp"]);
    check(files.code == Some(0) && files.stdout.is_empty(), &files)?;
    check(runs.try_wait()?.is_none(), "it goes on")?;
    check(place.run(&["kill", "-s", "KILL", &name]).code == Some(0), "kill")?;
    runs.wait()?;
    Ok(())
}

fn all_done(place: &Place) -> Result<(), Failed> {
    let name = place.name("all-done");
    let report = place.directory.path().join("report");
    for turn in 0..60 {
        std::fs::remove_file(&report).ok();
        place.start(&name, &["--report", &report.to_string_lossy()], "sleep 60")?;
        let waiting = (turn % 2 == 0).then(|| place.belljar(&["wait", &name]).spawn()).transpose()?;
        let told = match waiting {
            Some(mut waiting) => {
                // Whether it is there before the end or not.
                std::thread::sleep(Duration::from_millis(turn));
                let killer = place.belljar(&["kill", "-s", "KILL", &name]).spawn()?;
                let told = waiting.wait()?.code();
                { killer }.wait()?;
                told
            }
            None => place.run(&["kill", "-s", "KILL", &name]).code,
        };
        check(matches!(told, Some(0 | 137 | 125)), told)?;
        let text = std::fs::read_to_string(&report).unwrap_or_default();
        check(text.ends_with("}\n") && place.files(&name).is_empty(), (turn, text, place.files(&name)))?;
    }
    Ok(())
}

/// A task that ends with the sandbox, for each reason.
fn meets_the_end(place: &Place) -> Result<(), Failed> {
    let name = place.name("meets");
    place.start(&name, &["--timeout", "1s"], "sleep 60")?;
    let timed = place.run(&["exec", &name, "--", "sleep", "60"]);
    check(
        timed.code == Some(125)
            && timed.stderr.contains("the sandbox has ended: sh was ended: it ran for 1s"),
        &timed,
    )?;
    let unknown = place.run(&["wait", &name]);
    check(unknown.code == Some(125) && unknown.stderr.contains("or it has ended already"), &unknown)?;
    // Its belljar is killed.
    let mut runs = place.foreground(&name, &[], "sleep 60")?;
    let mut waiting = place.belljar(&["wait", &name]);
    let mut following = place.belljar(&["exec", &name, "--", "sleep", "60"]);
    let clients = [waiting.stderr(Stdio::piped()).spawn()?, following.stderr(Stdio::piped()).spawn()?];
    std::thread::sleep(Duration::from_millis(500));
    runs.kill()?;
    runs.wait()?;
    for (client, expected) in clients.into_iter().zip(["ended without saying how", "the sandbox has ended"]) {
        let output = client.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        check(output.status.code() == Some(125) && text.contains(expected), (&output, expected))?;
    }
    // Those that come just as it ends.
    for turn in 0..20 {
        place.start(&name, &["--timeout", "300ms"], "sleep 60")?;
        std::thread::sleep(Duration::from_millis(270 + 2 * turn));
        let late = place.run(&["exec", &name, "--", "sleep", "60"]);
        let expected = ["the sandbox has ended", "no sandbox of this user"];
        check(late.code == Some(125) && expected.iter().any(|text| late.stderr.contains(text)), &late)?;
    }
    Ok(())
}
