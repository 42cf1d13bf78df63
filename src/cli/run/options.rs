//! The options of `belljar run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

use crate::cli::units::{self, Limit};
use crate::cli::values::{self, Bind, Tmpfs, Variable};
use crate::profile::{IdRange, IoPriority, Scheduler, Throttle, User, units as ids};

const USAGE: &str = "belljar run [OPTIONS] <ROLE> [ARGS]...
       belljar run [OPTIONS] -- <COMMAND> [ARGS]...";

const EXAMPLES: &str = "\
Everything after the name of a role is passed to the role, even a --.
Everything after the first -- is passed to the command.
Write a value that starts with - after =, as in --bind=-dir:/data.

Examples:
  belljar run -- python3 -c 'print(6 * 7)'
  belljar run --ro-bind data.csv:/data.csv --timeout 10s -- sort /data.csv
  belljar run -p build -- make -j2
  belljar run --rootfs ./alpine --overlay-tmp -- /bin/sh
  belljar run -p strict probe --json

The exit status is the program's own. See belljar --help for the others.";

#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub struct RunArgs {
    /// A role, or after -- a program, and its arguments
    #[arg(value_name = "ROLE|COMMAND", trailing_var_arg = true)]
    pub(super) task: Vec<OsString>,
    /// Whether `task` came after `--`.
    #[arg(skip)]
    pub(super) is_program: bool,

    #[command(flatten)]
    pub(super) profile: ProfileOptions,
    #[command(flatten)]
    pub(super) files: FileOptions,
    #[command(flatten)]
    pub(super) process: ProcessOptions,
    #[command(flatten)]
    pub(super) limits: LimitOptions,
    #[command(flatten)]
    pub(super) output: OutputOptions,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Profile")]
pub(super) struct ProfileOptions {
    /// The profile: a name from `belljar profile list`, or a path with a / in it
    #[arg(short, long, value_name = "NAME|FILE", default_value = "strict")]
    pub profile: String,
    /// Set a key of the profile, as in --set root.readonly=false (repeatable). Options for the same thing
    /// (--net, --userns, --memory) win over it
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The network: none, or the host's. It wins over a network that the profile joins
    #[arg(long, value_name = "MODE")]
    pub net: Option<Net>,
}

/// `--net`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Net {
    /// A network namespace with only a loopback interface
    None,
    /// The host's network. The profile's system-call filter still applies: strict's allows no internet
    /// sockets
    Host,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(super) struct FileOptions {
    /// Show a file or directory of the host inside, writable (repeatable). Write a colon in a path as \:
    #[arg(long, value_name = "SRC[:DST]", value_parser = OsStringValueParser::new().try_map(values::bind))]
    pub bind: Vec<Bind>,
    /// Show a file or directory of the host inside, read-only (repeatable)
    #[arg(long, value_name = "SRC[:DST]", value_parser = OsStringValueParser::new().try_map(values::bind))]
    pub ro_bind: Vec<Bind>,
    /// Mount an empty directory in memory, of 64M unless SIZE is given (repeatable)
    #[arg(long, value_name = "DST[:SIZE]", value_parser = OsStringValueParser::new().try_map(values::tmpfs))]
    pub tmpfs: Vec<Tmpfs>,
    /// Use a directory of the host as the root directory
    #[arg(long, value_name = "DIR", value_parser = OsStringValueParser::new().try_map(values::host_path))]
    pub rootfs: Option<PathBuf>,
    /// Keep changes to the root directory in memory, and discard them at the end
    #[arg(long)]
    pub overlay_tmp: bool,
    /// Follow symlinks in the paths of what is shown. Without this, only those of the system (such as /bin)
    /// are followed
    #[arg(long)]
    pub follow_symlinks: bool,
    /// Show directories even if they hold sockets or FIFOs of the host. The program may reach processes
    /// outside through them
    #[arg(long)]
    pub allow_sockets: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Process")]
pub(super) struct ProcessOptions {
    /// The working directory inside. A relative path starts at the current directory
    #[arg(short, long, value_name = "DIR", value_parser = OsStringValueParser::new().try_map(values::host_path))]
    pub workdir: Option<PathBuf>,
    /// Set a variable, or without =V pass on the caller's (repeatable). No other variable of the caller is
    /// passed on
    #[arg(short, long, value_name = "K[=V]", value_parser = OsStringValueParser::new().try_map(values::variable))]
    pub env: Vec<Variable>,
    /// The host name inside
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// The user and group id inside. Without GID it is the same number as UID
    #[arg(long, value_name = "UID[:GID]", value_parser = ids::user)]
    pub user: Option<User>,
    /// Map a range of COUNT user ids, from INSIDE in the sandbox and from OUTSIDE on the host (repeatable).
    /// Needs --gidmap
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", value_parser = ids::id_range, requires = "gidmap")]
    pub uidmap: Vec<IdRange>,
    /// Map a range of group ids (repeatable). Needs --uidmap
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", value_parser = ids::id_range, requires = "uidmap")]
    pub gidmap: Vec<IdRange>,
    /// Map a range of ids that belljar chooses
    #[arg(long, value_name = "MODE", conflicts_with_all = ["uidmap", "gidmap"])]
    pub userns: Option<UserNs>,
    /// Set the scheduling policy: other, batch, idle, fifo or rr. N is the nice value of other and batch, or the
    /// priority of fifo and rr
    #[arg(long, value_name = "POLICY[:N]")]
    pub scheduler: Option<Scheduler>,
    /// Set the I/O scheduling class: best-effort or idle. N is the priority of best-effort, from 0 (highest) to 7
    #[arg(long, value_name = "CLASS[:N]")]
    pub ionice: Option<IoPriority>,
    /// Give the program its own terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Name the sandbox, for `belljar exec`, `kill` and `wait`
    #[arg(long, value_name = "NAME", value_parser = crate::cli::named::name)]
    pub name: Option<String>,
    /// Return when the program has started, and let it run in the background. Its standard input is empty. Its
    /// output stays the caller's: a pipe or $(...) around this waits for its end unless output goes elsewhere
    #[arg(short, long, requires = "name", conflicts_with_all = ["tty", "dry_run"])]
    pub detach: bool,
    /// Pass on an open file descriptor, under the same number (repeatable). All others are closed
    #[arg(long, value_name = "N", value_parser = values::descriptor)]
    pub keep_fd: Vec<i32>,
}

/// `--userns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum UserNs {
    /// For an ordinary user: 0 is the caller, and the ids from 1 are the caller's subordinate ids
    /// (/etc/subuid, /etc/subgid). For root: 0 to 65535 are ids that nothing else on the host uses
    Auto,
}

#[derive(Debug, Args)]
#[command(
    next_help_heading = "Limits (a size as 64MiB or 64m; a time as 10s, 1m30s or 90; or \"unlimited\")"
)]
pub(super) struct LimitOptions {
    /// Memory of all processes together
    #[arg(short, long, value_name = "SIZE", value_parser = units::limit(units::size))]
    pub memory: Option<Limit<u64>>,
    /// Memory and swap together. Without this there is no swap
    #[arg(long, value_name = "SIZE", value_parser = units::size, requires = "memory")]
    pub memory_swap: Option<u64>,
    /// Number of processes and threads
    #[arg(long, value_name = "N", value_parser = units::limit(units::count))]
    pub pids: Option<Limit<u64>>,
    /// Number of CPUs, as in 1.5
    #[arg(long, value_name = "N", value_parser = units::limit(units::cpus))]
    pub cpus: Option<Limit<u64>>,
    /// Share of the CPUs when others compete for them: 1 to 10000, where 100 is the kernel's default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub cpu_weight: Option<u64>,
    /// Share of the disks when others compete for them: 1 to 1000, where 100 is the kernel's default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub io_weight: Option<u64>,
    /// Bytes read per second from the disk that PATH is, or is on (repeatable)
    #[arg(long, value_name = "PATH:SIZE", value_parser = OsStringValueParser::new().try_map(values::read_bps))]
    pub io_read_bps: Vec<Throttle>,
    /// Bytes written per second (repeatable)
    #[arg(long, value_name = "PATH:SIZE", value_parser = OsStringValueParser::new().try_map(values::write_bps))]
    pub io_write_bps: Vec<Throttle>,
    /// Reads per second (repeatable)
    #[arg(long, value_name = "PATH:N", value_parser = OsStringValueParser::new().try_map(values::read_iops))]
    pub io_read_iops: Vec<Throttle>,
    /// Writes per second (repeatable)
    #[arg(long, value_name = "PATH:N", value_parser = OsStringValueParser::new().try_map(values::write_iops))]
    pub io_write_iops: Vec<Throttle>,
    /// Create the sandbox's control group below this one instead of below the caller's. PATH starts at the
    /// root of the tree
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<PathBuf>,
    /// What enforces the limits of memory, processes, CPUs and CPU time
    #[arg(long, value_name = "WAY")]
    pub limits: Option<Way>,
    /// Wall-clock time. Time in which the run is stopped (Ctrl-Z) counts
    #[arg(long, value_name = "DURATION", value_parser = units::limit(units::duration))]
    pub timeout: Option<Limit<Duration>>,
    /// CPU time of all processes together
    #[arg(long, value_name = "DURATION", value_parser = units::limit(units::duration))]
    pub cpu_time: Option<Limit<Duration>>,
    /// Size of each file that is written
    #[arg(long, value_name = "SIZE", value_parser = units::limit(units::size))]
    pub file_size: Option<Limit<u64>>,
    /// Bytes written to standard output and standard error together. At the limit the program is killed; with
    /// :truncate, further output is discarded instead
    #[arg(long, value_name = "SIZE[:truncate]", value_parser = units::limit(units::output))]
    pub output_limit: Option<Limit<(u64, bool)>>,
}

/// `--limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Way {
    /// A control group, for all processes together
    Cgroup,
    /// Resource limits. They are weaker: memory and CPU time are limited for each process
    Rlimit,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Result")]
pub(super) struct OutputOptions {
    /// Write a JSON report of how the run ended, also if belljar itself failed. - is standard error
    #[arg(long, value_name = "FILE|-", value_parser = OsStringValueParser::new().try_map(values::host_path))]
    pub report: Option<PathBuf>,
    /// Write the report to an open file descriptor
    #[arg(long, value_name = "N", value_parser = values::descriptor, conflicts_with = "report")]
    pub report_fd: Option<i32>,
    /// Print resource usage to standard error while the program runs: one line that is updated on a terminal,
    /// otherwise a line of JSON each time. Needs a limit that a control group enforces
    #[arg(
        long, value_name = "INTERVAL", num_args = 0..=1, require_equals = true, default_missing_value = "1s",
        value_parser = units::duration, conflicts_with = "tty"
    )]
    pub stats: Option<Duration>,
    /// Print how long each step of the start took, to standard error and in the report
    #[arg(long, conflicts_with = "dry_run")]
    pub timing: bool,
    /// Print the plan and stop. Fails if the run would fail, as far as that can be known
    #[arg(long, conflicts_with_all = ["report", "report_fd", "stats"])]
    pub dry_run: bool,
    /// With --dry-run: print JSON
    #[arg(long, requires = "dry_run")]
    pub json: bool,
}
