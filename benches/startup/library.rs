//! belljar from within a program, for `measure`'s kind `serve`: what one start costs a caller that goes on
//! living.
//!
//! `library WHAT [OPTION VALUE]...`, WHAT one of
//!
//! * `program DIRECTORY`: `/job/noop` with DIRECTORY as /job, from spawn to exit
//! * `role`, `call`: an empty role, an empty function
//! * `idle DIRECTORY`: no server; writes what belljar's processes take of memory for `/job/pause`, in KiB (PSS)
//! * `filter`: no server; writes the profile's system-call filter to standard output, as an array of `struct
//!   sock_filter`
//! * `linear`: no server; as `filter`, but the same list as one comparison after the other, as most other
//!   tools compile it
//! * `names`: no server; writes the names of the system calls that the filter lets through, always or with
//!   some arguments
//!
//! and the options `--profile NAME`, `--heap MIB` (touched before the first run), `--threads N`, `--live N`
//! (idle sandboxes besides).

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use belljar::internals::plan::{Call, TaskRequest};
use belljar::internals::profile::Profile;
use belljar::internals::seccomp::{Arch, Instruction, names};
use belljar::{Child, Sandbox};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// As in belljar's own program: with musl's every start would cost some hundred system calls more.
#[cfg(target_env = "musl")]
#[path = "../../src/allocator.rs"]
mod allocator;
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator::new();

/// `SECCOMP_RET_ALLOW`
const ALLOW: u32 = 0x7fff_0000;

fn nothing() {}
belljar::role!("nothing", nothing);

fn answer(number: u32) -> u32 {
    number
}

struct Options {
    profile: String,
    heap: usize,
    threads: usize,
    live: usize,
    directory: Option<String>,
}

fn main() -> ExitCode {
    belljar::init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("library: {}", belljar::error_chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut words = env::args().skip(1);
    let what = words.next().ok_or("what?")?;
    let mut options = Options { profile: "strict".to_owned(), heap: 0, threads: 0, live: 0, directory: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} takes a value"));
        match word.as_str() {
            "--profile" => options.profile = value()?,
            "--heap" => options.heap = value()?.parse()?,
            "--threads" => options.threads = value()?.parse()?,
            "--live" => options.live = value()?.parse()?,
            _ => options.directory = Some(word),
        }
    }
    let sandbox = sandbox(&options)?;
    match what.as_str() {
        "filter" => return write(&program(&options.profile)?.instructions),
        "linear" => return linear(&options.profile),
        "idle" => {
            let mut child = sandbox.command("/job/pause").spawn()?;
            // After a tenth of a second its init lets go of what it started with.
            thread::sleep(Duration::from_millis(500));
            println!("{}", memory(child.id())?);
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
        "names" => {
            for (name, _) in allowed(&options.profile)? {
                println!("{name}");
            }
            return Ok(());
        }
        _ => {}
    }

    let heap = vec![1u8; options.heap << 20];
    for _ in 0..options.threads {
        thread::Builder::new().stack_size(64 << 10).spawn(|| {
            loop {
                thread::park()
            }
        })?;
    }
    let idle = |sandbox: &Sandbox| sandbox.command("/job/pause").spawn();
    let live: Vec<Child> =
        (0..options.live).map(|_| idle(&sandbox)).collect::<std::result::Result<_, _>>()?;

    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut byte = [0u8];
    while input.read(&mut byte)? == 1 {
        let before = Instant::now();
        match what.as_str() {
            "program" => ended_well(sandbox.command("/job/noop").status()?)?,
            "role" => ended_well(sandbox.role("nothing").status()?)?,
            "call" => drop(sandbox.call(answer, &1)?),
            _ => return Err(format!("no such thing: {what}").into()),
        }
        let took = u64::try_from(before.elapsed().as_nanos())?;
        output.write_all(&took.to_ne_bytes())?;
        output.flush()?;
    }
    drop(heap);
    for mut child in live {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

fn sandbox(options: &Options) -> Result<Sandbox> {
    let Some(directory) = &options.directory else { return Ok(Sandbox::new(&options.profile)?) };
    // In lite, where nothing is mounted, it is at its own path.
    let text = format!(
        "extends = {:?}\nmounts = [{{ destination = \"/job\", source = {directory:?}, options = [\"ro\"] }}]\n",
        options.profile
    );
    Ok(Sandbox::with_profile(Profile::from_toml(&text, "job")?))
}

fn ended_well(status: std::process::ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(format!("the task: {status}").into()) }
}

/// The proportional share of the memory that init, whose id this is, takes (proc_pid_smaps(5)); the task is
/// its child.
fn memory(init: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{init}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with("Pss:")).ok_or("no Pss")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

fn program(profile: &str) -> Result<belljar::internals::seccomp::Program> {
    let profile = Profile::load(profile)?;
    let call = Call::new(TaskRequest::Role { name: "nothing".to_owned(), args: Vec::new() });
    let facts = belljar::internals::host::Facts::detect()?;
    let plan =
        belljar::internals::plan::resolve(&profile, &facts, &belljar::internals::host::RealFiles, &call)?;
    Ok(plan.task.seccomp.ok_or("no filter")?.program)
}

fn write(instructions: &[Instruction]) -> Result<()> {
    let mut bytes = Vec::new();
    for instruction in instructions {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.jt, instruction.jf]);
        bytes.extend(instruction.k.to_ne_bytes());
    }
    Ok(io::stdout().write_all(&bytes)?)
}

fn linear(profile: &str) -> Result<()> {
    // The same three kinds of instruction over and over: load a word, jump if equal, return.
    let instruction = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let errno = 0x0005_0001;
    let mut list = vec![
        instruction(0x20, 0, 0, 4),
        instruction(0x15, 1, 0, Arch::NATIVE.audit()),
        instruction(0x06, 0, 0, 0x8000_0000),
        instruction(0x20, 0, 0, 0),
    ];
    for (_, number) in allowed(profile)? {
        list.extend([instruction(0x15, 0, 1, number), instruction(0x06, 0, 0, ALLOW)]);
    }
    list.push(instruction(0x06, 0, 0, errno));
    write(&list)
}

/// Those of the filter's system calls that it lets through, always or with some arguments.
fn allowed(profile: &str) -> Result<Vec<(&'static str, u32)>> {
    let program = program(profile)?;
    let refused = |number| program.constant(number, Arch::NATIVE).is_some_and(|verdict| verdict != ALLOW);
    Ok(names::all(Arch::NATIVE).filter(|(_, number)| !refused(*number)).collect())
}
