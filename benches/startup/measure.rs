//! Times starts, interleaved: every case once, then every case again, so that what the machine does meanwhile
//! hits all alike.
//!
//! `measure --runs N --title TEXT --floor CASE --peer CASE --tsv FILE --svg FILE < CASES`. A line of CASES is
//! `NAME<tab>KIND<tab>WORD<tab>WORD…`; KIND is
//!
//! * `run`: the words are a command, timed from before it is started until it was waited for; a first word
//!   `9<FILE` opens FILE as descriptor 9 for it;
//! * `runN`: N threads, each of which runs the command a few times; what one run comes to is the time by the
//!   number of all runs;
//! * `serve`: the words are a command that stays: for each byte that it reads it does its work once and
//!   answers with the nanoseconds that it took (8 bytes, of this machine's order). What it costs to start it
//!   is not in them.
//!
//! A markdown table goes to standard output. A case that fails is named, with what it said, and left out.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::{env, fs, io, ptr};

type Result<T> = std::result::Result<T, String>;

/// Runs before those that count.
const WARM_UP: usize = 5;

/// Runs of each thread of a `runN`.
const IN_A_ROW: u32 = 5;

struct Case {
    name: String,
    what: What,
    nanoseconds: Vec<u64>,
    failed: Option<String>,
}

enum What {
    Run { threads: u32, opened: Option<CString>, argv: Vec<CString>, stderr: File },
    Serve { child: Child },
}

#[derive(Default)]
struct Options {
    runs: usize,
    title: String,
    floor: String,
    peer: String,
    tsv: Option<String>,
    svg: Option<String>,
}

fn main() -> std::process::ExitCode {
    match measure() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let options = options()?;
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(said("standard input"))?;
    let mut cases = text.lines().filter(|line| !line.is_empty()).map(case).collect::<Result<Vec<Case>>>()?;
    for round in 0..options.runs + WARM_UP {
        for case in &mut cases {
            if case.failed.is_some() {
                continue;
            }
            match case.once() {
                Ok(took) if round >= WARM_UP => case.nanoseconds.push(took),
                Ok(_) => {}
                Err(error) => case.failed = Some(error),
            }
        }
    }
    for case in &mut cases {
        if let What::Serve { child } = &mut case.what {
            drop(child.stdin.take());
            child.wait().map_err(said(&case.name))?;
        }
    }
    print!("{}", table(&options, &cases));
    if let Some(path) = &options.tsv {
        fs::write(path, tsv(&cases)).map_err(said(path))?;
    }
    if let Some(path) = &options.svg {
        fs::write(path, svg(&options, &cases)).map_err(said(path))?;
    }
    Ok(())
}

fn said(what: &str) -> impl FnOnce(io::Error) -> String {
    let what = what.to_owned();
    move |error| format!("{what}: {error}")
}

fn options() -> Result<Options> {
    let mut options = Options { runs: 100, ..Options::default() };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} takes a value"))?;
        match word.as_str() {
            "--runs" => options.runs = value.parse().map_err(|_| format!("{value:?} is no number"))?,
            "--title" => options.title = value,
            "--floor" => options.floor = value,
            "--peer" => options.peer = value,
            "--tsv" => options.tsv = Some(value),
            "--svg" => options.svg = Some(value),
            _ => return Err(format!("no such option: {word}")),
        }
    }
    Ok(options)
}

fn case(line: &str) -> Result<Case> {
    let mut words = line.split('\t');
    let (Some(name), Some(kind)) = (words.next(), words.next()) else {
        return Err(format!("not a case: {line:?}"));
    };
    let words: Vec<&str> = words.collect();
    let Some((program, arguments)) = words.split_first() else {
        return Err(format!("{name}: no command"));
    };
    let what = match kind {
        "run" | "run1" | "run2" | "run4" => What::Run {
            threads: kind.trim_start_matches("run").parse().unwrap_or(0),
            opened: program.strip_prefix("9<").and_then(|path| CString::new(path).ok()),
            argv: words
                .iter()
                .skip_while(|word| word.starts_with("9<"))
                .map(|word| CString::new(*word).map_err(|_| format!("{name}: a NUL byte")))
                .collect::<Result<_>>()?,
            stderr: unnamed().map_err(said(name))?,
        },
        "serve" => What::Serve {
            child: Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(said(program))?,
        },
        _ => return Err(format!("{name}: no such kind: {kind}")),
    };
    Ok(Case { name: name.to_owned(), what, nanoseconds: Vec::new(), failed: None })
}

/// A file in memory, for what a command says.
fn unnamed() -> io::Result<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: a string that ends with NUL; nothing else owns the descriptor.
    unsafe {
        match libc::memfd_create(c"stderr".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(File::from(OwnedFd::from_raw_fd(fd))),
        }
    }
}

impl Case {
    fn once(&mut self) -> Result<u64> {
        match &mut self.what {
            What::Run { threads, opened, argv, stderr } => {
                let once = || run(opened.as_deref(), argv, stderr);
                let (took, status) = match *threads {
                    0 => once(),
                    threads => at_once(threads, once),
                }
                .map_err(said("posix_spawn"))?;
                if status == 0 {
                    return Ok(took);
                }
                let mut text = String::new();
                let mut from =
                    File::open(format!("/proc/self/fd/{}", stderr.as_raw_fd())).map_err(said("stderr"))?;
                from.read_to_string(&mut text).map_err(said("stderr"))?;
                Err(format!("wait status {status:#x}: {}", text.trim()))
            }
            What::Serve { child } => {
                let (Some(to), Some(from)) = (&mut child.stdin, &mut child.stdout) else {
                    return Err("no pipes".to_owned());
                };
                let mut took = [0u8; 8];
                to.write_all(&[1]).and_then(|()| from.read_exact(&mut took)).map_err(said("its pipes"))?;
                Ok(u64::from_ne_bytes(took))
            }
        }
    }
}

/// Many runs by several threads: the time that one comes to, and the worst status.
fn at_once(threads: u32, once: impl Fn() -> io::Result<(u64, i32)> + Sync) -> io::Result<(u64, i32)> {
    let before = now();
    let statuses = std::thread::scope(|scope| {
        let row =
            || (0..IN_A_ROW).map(|_| once().map(|(_, status)| status)).collect::<io::Result<Vec<i32>>>();
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(row)).collect();
        started
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
            .collect::<io::Result<Vec<_>>>()
    })?;
    let took = (now() - before) / u64::from(threads * IN_A_ROW);
    Ok((took, statuses.into_iter().flatten().max().unwrap_or(0)))
}

/// From before posix_spawn(3), which costs the same for any size of this process, until the command was
/// reaped.
fn run(opened: Option<&CStr>, argv: &[CString], stderr: &File) -> io::Result<(u64, i32)> {
    let mut pointers: Vec<*mut libc::c_char> = argv.iter().map(|word| word.as_ptr().cast_mut()).collect();
    pointers.push(ptr::null_mut());
    let environment =
        [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", c"XDG_RUNTIME_DIR=/tmp"];
    let mut environment: Vec<*mut libc::c_char> =
        environment.iter().map(|entry| entry.as_ptr().cast_mut()).collect();
    environment.push(ptr::null_mut());
    // SAFETY: everything that is pointed to lives through the calls, and each is used as its manual page
    // says.
    unsafe {
        let mut actions: libc::posix_spawn_file_actions_t = std::mem::zeroed();
        check(libc::posix_spawn_file_actions_init(&raw mut actions))?;
        let null = c"/dev/null".as_ptr();
        check(libc::posix_spawn_file_actions_addopen(&raw mut actions, 0, null, libc::O_RDONLY, 0))?;
        check(libc::posix_spawn_file_actions_addopen(&raw mut actions, 1, null, libc::O_WRONLY, 0))?;
        check(libc::posix_spawn_file_actions_adddup2(&raw mut actions, stderr.as_raw_fd(), 2))?;
        if let Some(path) = opened {
            check(libc::posix_spawn_file_actions_addopen(
                &raw mut actions,
                9,
                path.as_ptr(),
                libc::O_RDONLY,
                0,
            ))?;
        }
        let mut pid = 0;
        let before = now();
        let spawned = libc::posix_spawnp(
            &raw mut pid,
            pointers[0],
            &raw const actions,
            ptr::null(),
            pointers.as_ptr(),
            environment.as_ptr(),
        );
        let mut status = 0;
        if spawned == 0 && libc::waitpid(pid, &raw mut status, 0) != pid {
            return Err(io::Error::last_os_error());
        }
        let took = now() - before;
        libc::posix_spawn_file_actions_destroy(&raw mut actions);
        check(spawned)?;
        Ok((took, status))
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A share of the runs took at most this, in nanoseconds.
fn quantile(sorted: &[u64], share: f64) -> u64 {
    sorted.get(((sorted.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(0)
}

fn sorted(case: &Case) -> Vec<u64> {
    let mut sorted = case.nanoseconds.clone();
    sorted.sort_unstable();
    sorted
}

fn table(options: &Options, cases: &[Case]) -> String {
    let medians: BTreeMap<&str, u64> =
        cases.iter().map(|case| (case.name.as_str(), quantile(&sorted(case), 0.5))).collect();
    let mut text = format!(
        "| {} | median µs | p95 µs | least µs | × {} | × {} |\n| --- | ---: | ---: | ---: | ---: | ---: |\n",
        options.title, options.floor, options.peer
    );
    for case in cases.iter().filter(|case| case.failed.is_none()) {
        let sorted = sorted(case);
        let median = quantile(&sorted, 0.5);
        let times = |of: &str| match medians.get(of) {
            Some(&of) if of > 0 => format!("{:.2}", median as f64 / of as f64),
            _ => "–".to_owned(),
        };
        text += &format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            case.name,
            median / 1000,
            quantile(&sorted, 0.95) / 1000,
            quantile(&sorted, 0.0) / 1000,
            times(&options.floor),
            times(&options.peer),
        );
    }
    for case in cases {
        if let Some(why) = &case.failed {
            let why: String = why.replace('\n', " ").chars().take(300).collect();
            text += &format!("\n{} is left out, it failed: {why}\n", case.name);
        }
    }
    text
}

/// Every run, for a closer look.
fn tsv(cases: &[Case]) -> String {
    let mut text = "case\tround\tnanoseconds\n".to_owned();
    for case in cases {
        for (round, took) in case.nanoseconds.iter().enumerate() {
            text += &format!("{}\t{round}\t{took}\n", case.name);
        }
    }
    text
}

/// A bar per case to its median, a line to its p95; the axis is logarithmic, as the slowest is a hundred
/// times the fastest.
fn svg(options: &Options, cases: &[Case]) -> String {
    const LEFT: f64 = 250.0;
    const WIDTH: f64 = 560.0;
    const ROW: f64 = 24.0;
    let rows: Vec<(&Case, Vec<u64>)> =
        cases.iter().filter(|case| case.failed.is_none()).map(|case| (case, sorted(case))).collect();
    let most = rows.iter().map(|(_, sorted)| quantile(sorted, 0.95)).max().unwrap_or(1) as f64;
    let least = rows.iter().map(|(_, sorted)| quantile(sorted, 0.5)).min().unwrap_or(1).max(1) as f64;
    let from = 10f64.powf((least / 2.0).log10().floor().max((least / 4.0).log10()));
    let x = |nanoseconds: f64| {
        LEFT + WIDTH * ((nanoseconds / from).ln() / (most * 1.1 / from).ln()).clamp(0.0, 1.0)
    };
    let bottom = 50.0 + ROW * rows.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>text {{ fill: #222 }} .own {{ fill: #1f6f8b }} .other {{ fill: #a7b7c0 }} .floor {{ fill: #5b8c5a }} .grid {{ stroke: #ddd }} .tail {{ stroke: #555 }}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"10\" y=\"20\" font-weight=\"bold\">{}</text>\n\
         <text x=\"10\" y=\"38\" fill=\"#666\">median (bar) and 95th percentile (line), milliseconds, logarithmic</text>\n",
        LEFT + WIDTH + 90.0,
        bottom + 30.0,
        escape(&options.title),
    );
    for tick in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0] {
        let nanoseconds = tick * 1e6;
        if nanoseconds < from || nanoseconds > most * 1.1 {
            continue;
        }
        let at = x(nanoseconds);
        text += &format!(
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"46\" y2=\"{bottom}\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>\n",
            bottom + 18.0
        );
    }
    for (index, (case, sorted)) in rows.iter().enumerate() {
        let y = 50.0 + ROW * index as f64;
        let (median, late) = (quantile(sorted, 0.5) as f64, quantile(sorted, 0.95) as f64);
        let class = match case.name.as_str() {
            name if name.starts_with("belljar") => "own",
            name if name.starts_with("floor") => "floor",
            _ => "other",
        };
        text += &format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect class=\"{class}\" x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"{}\"/>\
             <line class=\"tail\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{}\" y2=\"{}\"/><text x=\"{:.1}\" y=\"{}\">{:.2}</text>\n",
            LEFT - 8.0,
            y + 15.0,
            escape(&case.name),
            y + 3.0,
            x(median) - LEFT,
            ROW - 7.0,
            x(median),
            x(late),
            y + 11.5,
            y + 11.5,
            x(late) + 6.0,
            y + 15.0,
            median / 1e6,
        );
    }
    text + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
