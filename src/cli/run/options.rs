//! The options of `belljar run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

use crate::cli::units::{self, Limit};
use crate::cli::values::{self, Bind, Tmpfs, Variable};
use crate::profile::{IdRange, Throttle, User, units as ids};

const USAGE: &str = "belljar run [OPTIONS] <ROLE> [ARGS]...
       belljar run [OPTIONS] -- <COMMAND> [ARGS]...";

const EXAMPLES: &str = "\
Everything after the role's name belongs to the role, a -- included.
Everything after the first -- belongs to the command.
A value that starts with - is written with =, as in --bind=-dir:/data.

Examples:
  belljar run -- python3 -c 'print(6 * 7)'
  belljar run --ro-bind data.csv:/data.csv --timeout 10s -- sort /data.csv
  belljar run -p build -- make -j2
  belljar run --rootfs ./alpine --overlay-tmp -- /bin/sh
  belljar run -p strict probe --json

The exit status is the program's own; belljar --help names the others.";

#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub struct RunArgs {
    /// A role, or after -- a program; what follows is its own
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
    /// What the sandbox is: a name that `belljar profile list` knows, or a path with a / in it
    #[arg(short, long, value_name = "NAME|FILE", default_value = "strict")]
    pub profile: String,
    /// Set one key of the profile, as in --set root.readonly=false (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The network: none, or the host's own
    #[arg(long, value_name = "MODE")]
    pub net: Option<Net>,
}

/// `--net`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Net {
    /// A network of its own with nothing but a loopback interface
    None,
    /// The host's; the profile's system-call filter stays as it is, and strict's has no internet sockets
    Host,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(super) struct FileOptions {
    /// Show a file or directory of the host inside, writable (repeatable; a colon in a path is written \:)
    #[arg(long, value_name = "SRC[:DST]", value_parser = OsStringValueParser::new().try_map(values::bind))]
    pub bind: Vec<Bind>,
    /// Show a file or directory of the host inside, read-only (repeatable)
    #[arg(long, value_name = "SRC[:DST]", value_parser = OsStringValueParser::new().try_map(values::bind))]
    pub ro_bind: Vec<Bind>,
    /// Mount an empty directory in memory, of 64M where no size is given (repeatable)
    #[arg(long, value_name = "DST[:SIZE]", value_parser = OsStringValueParser::new().try_map(values::tmpfs))]
    pub tmpfs: Vec<Tmpfs>,
    /// Use a directory of the host as the root
    #[arg(long, value_name = "DIR", value_parser = OsStringValueParser::new().try_map(values::host_path))]
    pub rootfs: Option<PathBuf>,
    /// Let writes to the root go to memory, and throw them away
    #[arg(long)]
    pub overlay_tmp: bool,
    /// Follow symlinks on the way to what is shown; otherwise only the system's own (/bin) are
    #[arg(long)]
    pub follow_symlinks: bool,
    /// Show directories with sockets or FIFOs of the host, by which the program may reach processes outside
    #[arg(long)]
    pub allow_sockets: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Process")]
pub(super) struct ProcessOptions {
    /// The working directory inside; a relative one starts from the caller's
    #[arg(short, long, value_name = "DIR", value_parser = OsStringValueParser::new().try_map(values::host_path))]
    pub workdir: Option<PathBuf>,
    /// Set a variable, or pass the caller's on (repeatable); nothing else of the environment goes in
    #[arg(short, long, value_name = "K[=V]", value_parser = OsStringValueParser::new().try_map(values::variable))]
    pub env: Vec<Variable>,
    /// The host name inside
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// The ids inside; without GID it is UID's number
    #[arg(long, value_name = "UID[:GID]", value_parser = ids::user)]
    pub user: Option<User>,
    /// Map a range of user ids (repeatable): COUNT of them, from INSIDE on inside and from OUTSIDE on on the
    /// host; with --gidmap
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", value_parser = ids::id_range, requires = "gidmap")]
    pub uidmap: Vec<IdRange>,
    /// Map a range of group ids (repeatable); with --uidmap
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", value_parser = ids::id_range, requires = "uidmap")]
    pub gidmap: Vec<IdRange>,
    /// Map more than one id. auto: 0 inside is the caller, and the ids above are its subordinate ids
    /// (/etc/subuid, /etc/subgid); for root 0 to 65535 are ids that nothing else has
    #[arg(long, value_name = "MODE", conflicts_with_all = ["uidmap", "gidmap"])]
    pub userns: Option<UserNs>,
    /// Give the program a terminal of its own
    #[arg(short, long)]
    pub tty: bool,
    /// Give the sandbox a name: 'belljar exec', 'kill' and 'wait' know it by that
    #[arg(long, value_name = "NAME", value_parser = crate::cli::named::name)]
    pub name: Option<String>,
    /// Return once the program has started; it goes on in the background, without standard input
    #[arg(short, long, requires = "name", conflicts_with_all = ["tty", "dry_run"])]
    pub detach: bool,
    /// Pass an open descriptor on, under the same number (repeatable); all others are closed
    #[arg(long, value_name = "N", value_parser = values::descriptor)]
    pub keep_fd: Vec<i32>,
}

/// `--userns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum UserNs {
    /// Ranges that belljar chooses
    Auto,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (64MiB or 64m; 10s, 1m30s or 90; \"unlimited\")")]
pub(super) struct LimitOptions {
    /// Memory that all processes together may use
    #[arg(short, long, value_name = "SIZE", value_parser = units::limit(units::size))]
    pub memory: Option<Limit<u64>>,
    /// Memory and swap together; without it there is no swap
    #[arg(long, value_name = "SIZE", value_parser = units::size, requires = "memory")]
    pub memory_swap: Option<u64>,
    /// Processes and threads that there may be at once
    #[arg(long, value_name = "N", value_parser = units::limit(units::count))]
    pub pids: Option<Limit<u64>>,
    /// CPUs that may be used, as in 1.5
    #[arg(long, value_name = "N", value_parser = units::limit(units::cpus))]
    pub cpus: Option<Limit<u64>>,
    /// Its part of the CPUs where others want them too: 1 to 10000, and 100 is everybody's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub cpu_weight: Option<u64>,
    /// Its part of what disks do where others want them too: 1 to 1000, and 100 is everybody's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub io_weight: Option<u64>,
    /// Bytes that may be read in a second from a disk, or from the one that a path is on (repeatable)
    #[arg(long, value_name = "PATH:SIZE", value_parser = OsStringValueParser::new().try_map(values::read_bps))]
    pub io_read_bps: Vec<Throttle>,
    /// Bytes that may be written in a second (repeatable)
    #[arg(long, value_name = "PATH:SIZE", value_parser = OsStringValueParser::new().try_map(values::write_bps))]
    pub io_write_bps: Vec<Throttle>,
    /// Reads in a second (repeatable)
    #[arg(long, value_name = "PATH:N", value_parser = OsStringValueParser::new().try_map(values::read_iops))]
    pub io_read_iops: Vec<Throttle>,
    /// Writes in a second (repeatable)
    #[arg(long, value_name = "PATH:N", value_parser = OsStringValueParser::new().try_map(values::write_iops))]
    pub io_write_iops: Vec<Throttle>,
    /// The control group to make the sandbox's in, from the tree's root, in place of the caller's own
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<PathBuf>,
    /// What enforces memory, processes, CPUs and CPU time: a control group, for the whole sandbox, or
    /// resource limits, which are weaker (memory and CPU time of each process)
    #[arg(long, value_name = "WAY")]
    pub limits: Option<Way>,
    /// Time that may pass, also while the run is stopped (Ctrl-Z)
    #[arg(long, value_name = "DURATION", value_parser = units::limit(units::duration))]
    pub timeout: Option<Limit<Duration>>,
    /// CPU time that all processes together may use
    #[arg(long, value_name = "DURATION", value_parser = units::limit(units::duration))]
    pub cpu_time: Option<Limit<Duration>>,
    /// Size that a file may reach
    #[arg(long, value_name = "SIZE", value_parser = units::limit(units::size))]
    pub file_size: Option<Limit<u64>>,
    /// Bytes that may be written to standard output and standard error together; beyond them the program is
    /// ended or, with :truncate, what it writes is thrown away
    #[arg(long, value_name = "SIZE[:truncate]", value_parser = units::limit(units::output))]
    pub output_limit: Option<Limit<(u64, bool)>>,
}

/// `--limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Way {
    /// A control group of the sandbox's own
    Cgroup,
    /// Resource limits
    Rlimit,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Result")]
pub(super) struct OutputOptions {
    /// Write how it ended as JSON, also when belljar itself failed (-: to standard error)
    #[arg(long, value_name = "FILE|-", value_parser = OsStringValueParser::new().try_map(values::host_path))]
    pub report: Option<PathBuf>,
    /// The same, to an open descriptor
    #[arg(long, value_name = "N", value_parser = values::descriptor, conflicts_with = "report")]
    pub report_fd: Option<i32>,
    /// Tell on standard error, while it runs, what everything in the sandbox uses: one line that changes on a
    /// terminal, else a line of JSON each time (needs a limit that a control group holds)
    #[arg(
        long, value_name = "INTERVAL", num_args = 0..=1, require_equals = true, default_missing_value = "1s",
        value_parser = units::duration, conflicts_with = "tty"
    )]
    pub stats: Option<Duration>,
    /// Tell where the time went, a line a step, on standard error and in the report
    #[arg(long, conflicts_with = "dry_run")]
    pub timing: bool,
    /// Print what would be done, and stop; an error if it cannot be, as far as can be told
    #[arg(long, conflicts_with_all = ["report", "report_fd", "stats"])]
    pub dry_run: bool,
    /// With --dry-run: print JSON
    #[arg(long, requires = "dry_run")]
    pub json: bool,
}
