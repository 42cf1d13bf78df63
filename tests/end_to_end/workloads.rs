//! Real programs on real input: the same output as outside, and files that the caller owns.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller, Run};
use crate::need::{Need, trial};

/// The profiles under which a program may compute over what it is shown; *network* is *standard* here.
const ALL: &[&str] = &["strict", "standard", "build", "lite"];
/// The same, where the program has a /proc and a /tmp.
const WALLED: &[&str] = &["strict", "standard", "build"];

/// Scripts over the files of [`inputs`] that print the same inside as outside.
const SAME: &[(&str, &[&str], &[&str], &str)] = &[
    (
        "text_tools",
        &["awk", "sed", "sort"],
        ALL,
        "sort -k2,2 -k1n words | uniq -f1 -c | awk '{s += $1; print $1, $NF} END {print s}' | sed -n '1~3p;$p' | \
         tr a-z A-Z | paste -d, - - | tee /dev/stderr 2>/dev/null | cut -c1-40; \
         xargs -n 7 <words echo | tail -n 2; seq 40 | xargs -P 4 -n 5 printf '%s\\n' | sort -n | wc -l; \
         seq 50000 | sort -R --random-source=words | sort -n --parallel=2 | md5sum; grep -c a words; exit 3",
    ),
    (
        "jq",
        &["jq"],
        ALL,
        "jq -c '.items | map(select(.size > 10) | {name, twice: (.size * 2)})' data.json; \
         jq -r '.items[] | [.name, .size] | @csv' data.json | sort",
    ),
    (
        "archives",
        &["tar", "xz", "gzip"],
        ALL,
        "tar -c --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 . | sha256sum; \
         tar -c --sort=name . | xz -T2 -1 | xz -dc | tar -t; gzip -9nc words | gzip -dc | cmp - words && echo same",
    ),
    (
        "archives_on_disk",
        &["tar", "xz"],
        WALLED,
        "d=$(mktemp -d); tar -cJf $d/all.txz . && mkdir $d/out && tar -xJf $d/all.txz -C $d/out && diff -r . $d/out && \
         (cd $d/out && find . | sort); rm -r $d; test -e $d || echo gone",
    ),
    (
        "find",
        &["find"],
        ALL,
        "find . -type f -printf '%p %s %m %n %TY\\n' | sort; find . -user $(id -u) -group $(id -g) | wc -l; \
         find . -name '*.json' -exec wc -c {} +; find . ! -readable; test -w words || echo read-only >/dev/null",
    ),
    (
        "python_threads_and_processes",
        &["python3"],
        WALLED,
        r#"python3 - <<'END'
import concurrent.futures as f, multiprocessing as m, subprocess, threading, queue
total, lock = 0, threading.Lock()
def add(n):
    global total
    with lock: total += n
threads = [threading.Thread(target=add, args=(n,)) for n in range(50)]
[t.start() for t in threads]; [t.join() for t in threads]
print(total)
with f.ThreadPoolExecutor(16) as pool: print(sum(pool.map(lambda n: n * n, range(1000))))
with m.Pool(3) as pool: print(pool.map(abs, range(-5, 0)))
with f.ThreadPoolExecutor(4) as pool:
    print(list(pool.map(lambda n: subprocess.run(["expr", str(n), "+", "1"], capture_output=True).stdout, range(8))))
END"#,
    ),
    (
        "python_over_a_file",
        &["python3"],
        ALL,
        r#"python3 -c '
import collections, decimal, hashlib, json, sqlite3, statistics, zlib
words = open("words", "rb").read()
print(hashlib.sha256(words).hexdigest(), zlib.crc32(words))
sizes = [item["size"] for item in json.load(open("data.json"))["items"]]
print(statistics.median(sizes), decimal.Decimal(sum(sizes)) / 7)
db = sqlite3.connect(":memory:")
db.execute("create table t(a)"); db.executemany("insert into t values (?)", [(s,) for s in sizes])
print(db.execute("select count(*), sum(a) from t").fetchone())
print(collections.Counter(words.split()).most_common(3))
'"#,
    ),
];

type Check = fn(Caller) -> Result<(), Failed>;

const CHECKS: &[(&str, &[&str], Check)] = &[
    ("a_private_file_is_given", &["python3"], a_private_file_is_given),
    ("git_reads_a_bound_repository", &["git"], git_reads_a_bound_repository),
    ("git_commits_in_the_working_directory", &["git"], git_commits_in_the_working_directory),
    ("gcc_and_make_in_the_working_directory", &["gcc", "make"], gcc_and_make_in_the_working_directory),
    ("busybox_in_a_root_of_ones_own", &["busybox"], busybox_in_a_root_of_ones_own),
    ("an_overlay_leaves_the_root_alone", &["busybox"], an_overlay_leaves_the_root_alone),
    ("the_root_has_nothing_above", &["busybox"], the_root_has_nothing_above),
    ("a_large_stream_passes_whole", &[], a_large_stream_passes_whole),
    ("names_of_any_bytes", &["find"], names_of_any_bytes),
    ("many_arguments", &[], many_arguments),
];

/// Each workload, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        let with = |programs: &'static [&'static str]| -> Vec<Need> {
            needs.iter().copied().chain(programs.iter().map(|name| Need::Program(name))).collect()
        };
        for (name, programs, profiles, script) in SAME {
            for profile in *profiles {
                if (caller, *profile) == (Caller::Root, "lite") {
                    continue; // its own id does not reach root's files
                }
                let name = format!("workloads::{name} under {profile} as {caller:?}");
                trials.push(trial(name, &with(programs), move || same(caller, profile, script)));
            }
        }
        for (name, programs, check) in CHECKS {
            let name = format!("workloads::{name} as {caller:?}");
            trials.push(trial(name, &with(programs), move || check(caller)));
        }
    }
    // The toolchain may be in a home that only its owner may enter.
    let caller = if nix::unistd::geteuid().is_root() { Caller::Root } else { Caller::User };
    trials.push(trial(
        format!("workloads::cargo_builds_and_tests as {caller:?}"),
        &[Need::Program("gcc")],
        move || cargo_builds_and_tests(caller),
    ));
    trials
}

/// Everything that an error of the tests' own may be.
pub fn failed(what: impl std::fmt::Display) -> Failed {
    what.to_string().into()
}

/// A directory of input files that only the caller may read.
fn inputs(caller: Caller) -> tempfile::TempDir {
    let directory = caller::directory(caller);
    let word = |n: u32| format!("{n} {}\n", ["alpha", "beta", "gamma", "delta"][n as usize * 7 % 4]);
    let item = |n: u32| format!("{{\"name\": \"it\u{e9}m {n}\", \"size\": {}}}", n * 13 % 40);
    caller::file(caller, &directory.path().join("words"), (1..500).map(word).collect::<String>());
    let items = (1..60).map(item).collect::<Vec<_>>().join(",");
    caller::file(caller, &directory.path().join("data.json"), format!("{{\"items\": [{items}]}}"));
    let below = directory.path().join("below");
    fs::create_dir(&below).expect("a directory");
    caller::give(caller, &below);
    caller::file(caller, &below.join("deep file"), "deep\n");
    for (path, mode) in [("words", 0o600), ("data.json", 0o400), ("below", 0o700), ("", 0o700)] {
        fs::set_permissions(directory.path().join(path), fs::Permissions::from_mode(mode)).expect("chmod");
    }
    directory
}

/// The control: a shell script outside, as the caller.
pub fn outside(caller: Caller, directory: &Path, script: &str) -> Run {
    let mut command = Command::new("/bin/sh");
    caller::as_caller(caller, &mut command);
    command.args(["-c", script]).env("LANG", "C.UTF-8").current_dir(directory).stdin(Stdio::null());
    caller::finish(command)
}

/// A shell script inside, with options.
pub fn inside<S: AsRef<OsStr>>(
    caller: Caller,
    directory: &Path,
    options: impl IntoIterator<Item = S>,
    script: &str,
) -> Run {
    let mut command = caller::belljar(caller, ["run"]);
    command.args(options).args(["--", "sh", "-c", script]).current_dir(directory);
    caller::finish(command)
}

/// The two wrote the same and ended in the same way.
pub fn equal(inside: &Run, outside: &Run) -> Result<(), Failed> {
    if outside.bytes.is_empty() {
        return Err(format!("the control printed nothing: {outside:#?}").into());
    }
    let ended = |run: &Run| (run.code, run.bytes.clone(), run.stderr.clone());
    if ended(inside) == ended(outside) {
        return Ok(());
    }
    Err(format!("outside: {outside:?}\ninside: {inside:?}").into())
}

fn same(caller: Caller, profile: &str, script: &str) -> Result<(), Failed> {
    let directory = inputs(caller);
    let path = directory.path();
    let options = [OsStr::new("-p"), OsStr::new(profile), OsStr::new("--ro-bind"), path.as_ref()];
    let inside = inside(caller, path, options.into_iter().chain([OsStr::new("-w"), path.as_ref()]), script);
    equal(&inside, &outside(caller, path, script))
}

fn a_private_file_is_given(caller: Caller) -> Result<(), Failed> {
    let directory = inputs(caller);
    let bind = |name: &str| {
        let mut value = directory.path().join(name).into_os_string();
        value.push(format!(":/data/{name}"));
        value
    };
    caller::file(
        caller,
        &directory.path().join("job.py"),
        "import sys\nprint(sum(int(l.split()[0]) for l in open(sys.argv[1])))",
    );
    let options: Vec<OsString> = vec![
        "--ro-bind".into(),
        bind("job.py"),
        "--ro-bind".into(),
        bind("words"),
        "-w".into(),
        "/data".into(),
    ];
    for profile in WALLED {
        let options = options.iter().cloned().chain(["-p".into(), OsString::from(profile)]);
        let inside = inside(caller, directory.path(), options, "python3 job.py /data/words && ls /data");
        let outside = outside(caller, directory.path(), "python3 job.py words && echo job.py && echo words");
        equal(&inside, &outside)?;
    }
    Ok(())
}

/// A repository with two commits, a changed file and a new one.
const REPOSITORY: &str = "git init -q -b main . && git config user.name Someone && git config user.email a@b && \
     echo one >f && git add f && git commit -qm first && echo two >>f && git commit -qam 'second: \u{fc}' && git tag v1 && \
     git gc -q && echo three >>f && echo new >g";
/// What a person asks of it.
const QUESTIONS: &str = "git log --stat && git status && git diff && git log --oneline --graph --all && git blame v1 f && \
     git show v1:f && git rev-parse HEAD && git ls-files -s && git fsck --full && git grep -n o";

fn git_reads_a_bound_repository(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let made = outside(caller, directory.path(), REPOSITORY);
    if made.code != Some(0) {
        return Err(format!("{made:#?}").into());
    }
    let control = outside(caller, directory.path(), QUESTIONS);
    for profile in ["strict", "lite"] {
        if (caller, profile) == (Caller::Root, "lite") {
            continue; // git refuses a repository of another owner
        }
        for bind in ["--ro-bind", "--bind"] {
            let path = directory.path().as_os_str();
            let options =
                ["-p", profile, bind].map(OsStr::new).into_iter().chain([path, OsStr::new("-w"), path]);
            let inside = inside(caller, directory.path(), options, QUESTIONS);
            equal(&inside, &control)
                .map_err(|e| format!("{profile} {bind}: {}", e.message().unwrap_or_default()))?;
            // And under another name.
            if profile != "lite" {
                let mut place = path.to_owned();
                place.push(":/repo");
                let options = ["-p", profile, bind]
                    .map(OsString::from)
                    .into_iter()
                    .chain([place])
                    .chain(["-w".into(), "/repo".into()]);
                equal(&self::inside(caller, directory.path(), options, QUESTIONS), &control)?;
            }
        }
    }
    Ok(())
}

fn git_commits_in_the_working_directory(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let script = format!(
        "{REPOSITORY} && git add -A && git commit -qm third && git checkout -q -b side HEAD~1 && git gc -q"
    );
    let run = inside(caller, directory.path(), ["-p", "build"], &script);
    run.succeeded()?;
    let log = outside(
        caller,
        directory.path(),
        "git log --all --format=%s && git status --short && git fsck && git branch",
    );
    if log.code != Some(0) || log.stdout != "third\nsecond: \u{fc}\nfirst\n  main\n* side\n" {
        return Err(format!("{log:#?}").into());
    }
    owned_by_the_caller(caller, directory.path())
}

/// All that is in a directory is the caller's.
fn owned_by_the_caller(caller: Caller, path: &Path) -> Result<(), Failed> {
    let expected = match caller {
        Caller::Root => (0, 0),
        Caller::User if nix::unistd::geteuid().is_root() => (caller::USER, caller::USER),
        Caller::User => (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
    };
    let stat = path.symlink_metadata().map_err(failed)?;
    if (stat.uid(), stat.gid()) != expected {
        return Err(format!("{} belongs to {}:{}", path.display(), stat.uid(), stat.gid()).into());
    }
    if stat.is_dir() {
        for entry in path.read_dir().map_err(failed)? {
            owned_by_the_caller(caller, &entry.map_err(failed)?.path())?;
        }
    }
    Ok(())
}

fn gcc_and_make_in_the_working_directory(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let files = [
        (
            "main.c",
            "#include <math.h>\n#include <pthread.h>\n#include <stdio.h>\nextern double half(double);\n\
             static void *run(void *of) { *(double *)of = half(*(double *)of); return 0; }\n\
             int main(int n, char **v) { double x = sqrt(2 * n); pthread_t t; pthread_create(&t, 0, run, &x);\n\
             pthread_join(t, 0); printf(\"%.6f %s\\n\", x, n > 1 ? v[1] : \"\"); return 7; }\n",
        ),
        ("half.c", "double half(double x) { return x / 2; }\n"),
        ("Makefile", "prog: main.o half.o\n\tgcc -o $@ $^ -lm -lpthread\n%.o: %.c\n\tgcc -g -O1 -c $<\n"),
    ];
    for (name, content) in files {
        caller::file(caller, &directory.path().join(name), content);
    }
    // Test suites run what they have compiled into temporary places, too.
    let script = "make -s -j2 && cp prog \"${TMPDIR:-/tmp}/belljar-$$\" && \"${TMPDIR:-/tmp}/belljar-$$\" copied; \
                  rm \"${TMPDIR:-/tmp}/belljar-$$\"; ./prog \"an argument\"";
    let inside = inside(caller, directory.path(), ["-p", "build"], script);
    let program = directory.path().join("prog");
    if program.metadata().map_err(failed)?.mode() & 0o7777 != 0o755 {
        return Err("the program's mode is not 755".into());
    }
    owned_by_the_caller(caller, directory.path())?;
    // It is a program outside as well.
    let built = outside(caller, directory.path(), "./prog built");
    if (built.code, built.stdout.as_str()) != (Some(7), "1.000000 built\n") {
        return Err(format!("{built:#?}").into());
    }
    outside(caller, directory.path(), "rm -f prog *.o");
    equal(&inside, &outside(caller, directory.path(), script))
}

/// Where the toolchain is.
pub fn sysroot() -> Result<PathBuf, Failed> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = Command::new(rustc).args(["--print", "sysroot"]).output().map_err(failed)?;
    Ok(PathBuf::from(OsStr::from_bytes(sysroot.stdout.trim_ascii_end())))
}

fn cargo_builds_and_tests(caller: Caller) -> Result<(), Failed> {
    let sysroot = sysroot()?;
    let directory = caller::directory(caller);
    fs::create_dir(directory.path().join("src")).map_err(failed)?;
    caller::give(caller, &directory.path().join("src"));
    let manifest = "[package]\nname = \"inside\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
    caller::file(caller, &directory.path().join("Cargo.toml"), manifest);
    caller::file(
        caller,
        &directory.path().join("src/main.rs"),
        "fn main() { println!(\"built inside\"); }\n#[test]\nfn passes() { std::thread::spawn(|| ()).join().unwrap(); }\n",
    );
    let mut path = OsString::from("PATH=");
    path.push(sysroot.join("bin"));
    path.push(":/usr/local/bin:/usr/bin:/bin");
    let options = [OsStr::new("-p"), OsStr::new("build"), OsStr::new("--ro-bind"), sysroot.as_ref()];
    let options = options.into_iter().chain([OsStr::new("-e"), &path]);
    let run = inside(
        caller,
        directory.path(),
        options,
        "cargo run -q --offline && cargo test -q --offline 2>&1 | grep passed",
    );
    if run.code != Some(0) || !run.stdout.starts_with("built inside\ntest result: ok. 1 passed") {
        return Err(format!("{run:#?}").into());
    }
    owned_by_the_caller(caller, directory.path())
}

/// A root file system with nothing but busybox, the caller's.
fn root(caller: Caller) -> tempfile::TempDir {
    let directory = caller::directory(caller);
    for name in ["bin", "proc", "dev", "tmp", "etc"] {
        fs::create_dir(directory.path().join(name)).expect("a directory");
        caller::give(caller, &directory.path().join(name));
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let program = directory.path().join("bin/busybox");
    caller::copy_program(Path::new(busybox.expect("needed")), &program);
    caller::give(caller, &program);
    for name in [
        "sh",
        "ls",
        "cat",
        "id",
        "stat",
        "rm",
        "chmod",
        "mkdir",
        "mv",
        "sort",
        "awk",
        "sha256sum",
        "hostname",
    ] {
        let link = directory.path().join("bin").join(name);
        std::os::unix::fs::symlink("busybox", &link).expect("a symlink");
        caller::give(caller, &link);
    }
    caller::file(caller, &directory.path().join("etc/motd"), "welcome\n");
    directory
}

/// The options for a container in a root.
fn container(root: &Path) -> [OsString; 4] {
    ["-p".into(), "container".into(), "--rootfs".into(), root.into()]
}

fn busybox_in_a_root_of_ones_own(caller: Caller) -> Result<(), Failed> {
    let root = root(caller);
    let script = "id -u; hostname; cat /etc/motd; ls /; mkdir /made && echo kept >/made/file && sha256sum /made/file; \
                  chmod 640 /made/file; awk 'BEGIN {print 6 * 7}'; ls /usr /home /root 2>/dev/null; exit 5";
    let run = inside(caller, root.path(), container(root.path()), script);
    let kept = fs::read(root.path().join("made/file")).map_err(|error| format!("{error}: {run:#?}"))?;
    let sum = outside(caller, root.path(), "sha256sum <made/file").stdout.replace('-', "/made/file");
    let expected = format!("0\nbelljar\nwelcome\nbin\ndev\netc\nproc\ntmp\n{sum}42\n");
    if kept != b"kept\n" || run.code != Some(5) || run.stdout != expected || !run.stderr.is_empty() {
        return Err(format!("expected {expected:?}, got {run:#?}").into());
    }
    owned_by_the_caller(caller, root.path())?;
    // The example does the same.
    let program = built_example("mini_container")?;
    let mut command = Command::new(&program);
    caller::as_caller(caller, &mut command);
    command.arg(root.path()).args(["sh", "-c", "id -u; cat /made/file; exit 6"]).stdin(Stdio::null());
    let run = caller::finish(command);
    if (run.code, run.stdout.as_str(), run.stderr.as_str()) == (Some(6), "0\nkept\n", "") {
        return Ok(());
    }
    Err(format!("{run:#?}").into())
}

/// A copy of an example's program where both callers reach it.
fn built_example(name: &str) -> Result<PathBuf, Failed> {
    let copy = caller::shelf().join(name);
    static BUILD: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = BUILD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !copy.exists() {
        // .../debug/belljar: the examples are next to it.
        let built = Path::new(env!("CARGO_BIN_EXE_belljar")).with_file_name("examples").join(name);
        if !built.exists() {
            let cargo = Command::new(env!("CARGO")).args(["build", "-q", "--example", name]).status();
            let status = cargo.map_err(failed)?;
            if !status.success() {
                return Err(format!("cannot build the example: {status}").into());
            }
        }
        caller::copy_program(&built, &copy);
    }
    Ok(copy)
}

fn an_overlay_leaves_the_root_alone(caller: Caller) -> Result<(), Failed> {
    let root = root(caller);
    let before = snapshot(root.path())?;
    let script = "echo changed >/etc/motd; echo new >/etc/new; rm /bin/stat; chmod 700 /etc; mkdir -p /a/b/c; \
                  mv /bin/awk /bin/mawk; cat /etc/motd /etc/new; ls /a/b; ls /bin/stat /bin/awk 2>/dev/null; echo end";
    for options in [container(root.path()).to_vec(), vec!["--rootfs".into(), root.path().into()]] {
        let options = options.into_iter().chain(["--overlay-tmp".into()]);
        let run = inside(caller, root.path(), options, script);
        if run.code != Some(0) || run.stdout != "changed\nnew\nc\nend\n" {
            return Err(format!("{run:#?}").into());
        }
        if snapshot(root.path())? != before {
            return Err("the root has changed".into());
        }
    }
    Ok(())
}

/// What is in a directory: path, mode, owner, size, time, content or target.
fn snapshot(path: &Path) -> Result<Vec<String>, Failed> {
    let mut all = Vec::new();
    let stat = path.symlink_metadata().map_err(failed)?;
    let content = if stat.is_file() {
        format!(
            "{:?}",
            fs::read(path)
                .map_err(failed)?
                .iter()
                .fold(0u64, |sum, &b| sum.wrapping_mul(31).wrapping_add(b.into()))
        )
    } else if stat.is_symlink() {
        format!("{:?}", path.read_link().map_err(failed)?)
    } else {
        String::new()
    };
    all.push(format!(
        "{path:?} {:o} {} {} {} {content}",
        stat.mode(),
        stat.uid(),
        stat.len(),
        stat.mtime_nsec()
    ));
    if stat.is_dir() {
        let mut entries: Vec<PathBuf> =
            path.read_dir().and_then(|entries| entries.map(|e| Ok(e?.path())).collect()).map_err(failed)?;
        entries.sort();
        for entry in entries {
            all.extend(snapshot(&entry)?);
        }
    }
    Ok(all)
}

fn the_root_has_nothing_above(caller: Caller) -> Result<(), Failed> {
    let root = root(caller);
    let script = "for p in / /.. /../../.. /bin/../.. /proc/self/root/.. /proc/self/cwd/../..; do stat -c %d:%i $p/; done | \
                  sort -u | awk 'END {print NR}'; cd ../../../..; ls -d etc; ls /../../../bin/busybox";
    for overlay in [false, true] {
        let options = container(root.path()).into_iter().chain(overlay.then(|| "--overlay-tmp".into()));
        let run = inside(caller, root.path(), options, script);
        if run.succeeded()? != "1\netc\n/../../../bin/busybox\n" {
            return Err(format!("overlay {overlay}: {run:#?}").into());
        }
    }
    Ok(())
}

fn a_large_stream_passes_whole(caller: Caller) -> Result<(), Failed> {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: u64 = 100;
    /// A block that differs from every other, and within itself.
    fn block(number: u64) -> Vec<u8> {
        let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut part = Vec::with_capacity(4096);
        while part.len() < 4096 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            part.extend_from_slice(&state.to_le_bytes());
        }
        part.repeat(BLOCK / 4096)
    }
    // Directly, and through the relay that counts.
    for options in [&[][..], &["--output-limit=200M"]] {
        let mut command = caller::belljar(caller, ["run"]);
        command.args(options).args(["--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let (mut input, mut output) =
            (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let writer =
            std::thread::spawn(move || (0..BLOCKS).try_for_each(|number| input.write_all(&block(number))));
        let mut found = vec![0; BLOCK];
        for number in 0..BLOCKS {
            output.read_exact(&mut found).map_err(failed)?;
            if found != block(number) {
                return Err(format!("{options:?}: block {number} has changed").into());
            }
        }
        let rest = output.read(&mut found).map_err(failed)?;
        writer.join().expect("the writer").map_err(failed)?;
        let status = child.wait().map_err(failed)?;
        if rest != 0 || !status.success() {
            return Err(format!("{options:?}: {rest} bytes too many, {status}").into());
        }
    }
    Ok(())
}

fn names_of_any_bytes(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let long = [b'n'; 255];
    let names: [&[u8]; 11] = [
        b"\xff\xfe",
        b"new\nline",
        b" leading",
        b"-rf",
        b"a:b",
        b"a\\b",
        b"\x1b[31m",
        "\u{fc}n\u{ef} \u{20ac}".as_bytes(),
        b"*",
        b"$(id)",
        &long,
    ];
    let inner = directory.path().join(OsStr::from_bytes(b"dir \xe9 :\\x"));
    fs::create_dir(&inner).map_err(failed)?;
    caller::give(caller, &inner);
    for name in names {
        caller::file(caller, &inner.join(OsStr::from_bytes(name)), name);
    }
    let script =
        "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 cat -- ; find . -print0 | LC_ALL=C sort -z";
    let control = outside(caller, &inner, script);
    // In an option, a colon and a backslash of a path are escaped.
    let mut source = Vec::new();
    for byte in inner.as_os_str().as_bytes() {
        source.extend((*byte == b':').then_some(b'\\'));
        source.push(*byte);
    }
    for profile in ALL {
        for bind in ["--ro-bind", "--bind"] {
            let mut options: Vec<OsString> = ["-p", profile, bind].map(OsString::from).to_vec();
            options.extend([OsString::from_vec(source.clone()), "-w".into(), inner.clone().into()]);
            let inside = inside(caller, directory.path(), options, script);
            equal(&inside, &control)
                .map_err(|e| format!("{profile} {bind}: {}", e.message().unwrap_or_default()))?;
        }
    }
    // As the working directory, and as the program's own name.
    let tool = inner.join(OsStr::from_bytes(b"t\xf6ol"));
    let draft = directory.path().join("draft");
    caller::file(caller, &draft, "#!/bin/sh\nprintf '%s|' \"$0\" \"$@\"");
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    caller::copy_program(&draft, &tool);
    caller::give(caller, &tool);
    let mut command = caller::belljar(caller, ["run", "-p", "build", "--"]);
    command.current_dir(&inner).arg(OsStr::from_bytes(b"./t\xf6ol")).args(names.map(OsStr::from_bytes));
    let run = caller::finish(command);
    // The kernel gives an interpreter the path as it was executed.
    let path = run.bytes.split(|&b| b == b'|').next().unwrap_or_default();
    let expected: Vec<u8> = names.iter().flat_map(|name| [name, &b"|"[..]].concat()).collect();
    if run.code != Some(0)
        || !path.ends_with(b"t\xf6ol")
        || run.bytes.get(path.len() + 1..) != Some(&expected[..])
    {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

fn many_arguments(caller: Caller) -> Result<(), Failed> {
    // 30,000 small ones, and 15 of 100,000 bytes: each more than the kernel lets a small stack carry by far.
    let small: Vec<String> = (0..30_000).map(|n| n.to_string()).collect();
    let large: Vec<String> = (0..15).map(|n| char::from(b'a' + n).to_string().repeat(100_000)).collect();
    for args in [small, large] {
        for profile in ["strict", "build"] {
            let mut options: Vec<OsString> = vec!["run".into(), "-p".into(), profile.into()];
            options.extend(["--", "sh", "-c", "printf '%s\\n' \"$@\"", "sh"].map(OsString::from));
            let directory = caller::directory(caller);
            let mut command = caller::belljar(caller, options);
            command.args(&args).current_dir(directory.path());
            let run = caller::finish(command);
            let expected = args.join("\n") + "\n";
            if run.code != Some(0) || run.stdout != expected || !run.stderr.is_empty() {
                let tail = |text: &str| text.chars().take(300).collect::<String>();
                return Err(format!(
                    "{profile}: {:?}, {:?}, {:?}",
                    run.code,
                    tail(&run.stdout),
                    tail(&run.stderr)
                )
                .into());
            }
        }
    }
    Ok(())
}
