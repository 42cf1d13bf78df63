//! Hostile input, without a fuzzer: every seed and every kept input of the fuzzers goes through the same
//! entries, and so do mutations of them for a few seconds (`BELLJAR_FUZZING_SECONDS`, 4 by default, divided
//! among the entries). Each input must be done in bounded time and memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use belljar::fuzzing::{ENTRIES, Entry};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// CPU time that one input of the fuzzers' size may take, in a debug build.
const TIME: Duration = Duration::from_millis(100);
/// Bytes that one input may have allocated at any one time.
const MEMORY: usize = 64 << 20;
/// Cold caches and a busy machine slow any one attempt down.
const ATTEMPTS: usize = 3;

/// Counts what the calling thread has allocated.
struct Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn grown(by: usize) {
    let live = LIVE.get().saturating_add(by);
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// SAFETY: everything is System's; the counters are plain thread-local numbers without destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get().saturating_sub(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block may be there at the same time.
        grown(size);
        LIVE.set(LIVE.get().saturating_sub(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What the calling thread had allocated at most, beyond what it had before, while `action` ran.
fn peak<T>(action: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let value = action();
    (value, PEAK.get().saturating_sub(before))
}

/// CPU time of the calling thread: what others do on this machine does not count.
fn now() -> Duration {
    let clock = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::from(clock.expect("the thread's clock"))
}

/// Runs an entry within the bounds; whether the bytes were accepted.
fn bounded(entry: &Entry, bytes: &[u8], time: Duration) -> Result<bool, String> {
    let mut best = Duration::MAX;
    for _ in 0..ATTEMPTS {
        let began = now();
        let (accepted, peak) = peak(|| (entry.check)(bytes));
        best = best.min(now().saturating_sub(began));
        if peak > MEMORY {
            return Err(format!("{}: {} bytes took {peak} bytes of memory", entry.name, bytes.len()));
        }
        if best <= time {
            return Ok(accepted);
        }
    }
    Err(format!("{}: {} bytes took {best:?}", entry.name, bytes.len()))
}

/// The files of an entry: seeds first.
fn inputs(entry: &Entry) -> Vec<(PathBuf, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut files = Vec::new();
    for kind in ["seeds", "corpus", "regressions"] {
        let directory = fuzz.join(kind).join(entry.name);
        let Ok(list) = directory.read_dir() else {
            assert_ne!(kind, "seeds", "{} is missing", directory.display());
            continue;
        };
        let mut paths: Vec<PathBuf> = list.map(|file| file.expect("a directory's entry").path()).collect();
        paths.sort();
        files.extend(paths.into_iter().map(|path| {
            let bytes = std::fs::read(&path).expect("an input");
            (path, bytes)
        }));
    }
    files
}

/// A type whose values can be far larger than their bytes.
struct Kind {
    name: &'static str,
    is_value: fn(&[u8]) -> bool,
    /// The bytes around the list or table, what stands for an element, and what for another.
    around: (Vec<u8>, Vec<u8>),
    elements: Vec<Vec<u8>>,
}

/// From the bytes of a list with one element and of one with two different ones.
fn kind<T: serde::Serialize + serde::de::DeserializeOwned>(
    name: &'static str,
    collection: impl Fn(Vec<T>) -> Vec<u8>,
    is_value: fn(&[u8]) -> bool,
    make: [fn() -> T; 2],
) -> Kind {
    let none = collection(Vec::new());
    // All end with the list's end, and begin with what leads to it.
    let (lead, end) = none.split_at(none.len() - 1);
    let first = collection(vec![make[0](), make[1]()]);
    let element = |at: usize| {
        let long = collection(vec![make[0](), make[1](), make[at]()]);
        long[first.len() - 1..long.len() - 1].to_vec()
    };
    let head = first[..first.len() - 1].to_vec();
    assert!(head.starts_with(lead));
    Kind { name, is_value, around: (head, end.to_vec()), elements: vec![element(0), element(1)] }
}

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[allow(clippy::large_enum_variant)] // What is tried.
enum Large {
    Nothing,
    Values([[u64; 16]; 16]),
}

fn kinds() -> Vec<Kind> {
    use belljar::fuzzing::{is_value, value_bytes};
    use std::collections::{BTreeSet, LinkedList, VecDeque};
    type Numbers = [u64; 32];
    fn large() -> Large {
        Large::Values([[0; 16]; 16])
    }
    vec![
        kind(
            "boxes",
            |v: Vec<Box<Large>>| value_bytes(&v),
            is_value::<Vec<Box<Large>>>,
            [|| Large::Nothing.into(), || large().into()],
        ),
        kind(
            "options",
            |v: Vec<Option<Box<Numbers>>>| value_bytes(&v),
            is_value::<Vec<Option<Box<Numbers>>>>,
            [|| None, || Some([1; 32].into())],
        ),
        kind(
            "small boxes",
            |v: Vec<Box<u8>>| value_bytes(&v),
            is_value::<Vec<Box<u8>>>,
            [|| 0.into(), || 255.into()],
        ),
        kind(
            "texts",
            |v: Vec<String>| value_bytes(&v),
            is_value::<Vec<String>>,
            [String::new, || "x".to_owned()],
        ),
        kind(
            "lists",
            |v: Vec<Vec<Large>>| value_bytes(&v),
            is_value::<Vec<Vec<Large>>>,
            [Vec::new, || vec![Large::Nothing]],
        ),
        kind(
            "a queue",
            |v: Vec<Large>| value_bytes(&v),
            is_value::<VecDeque<Large>>,
            [|| Large::Nothing, large],
        ),
        kind(
            "a chain",
            |v: Vec<Large>| value_bytes(&v),
            is_value::<LinkedList<Large>>,
            [|| Large::Nothing, large],
        ),
        kind(
            "a tree",
            |v: Vec<Large>| value_bytes(&v),
            is_value::<BTreeSet<Large>>,
            [|| Large::Nothing, large],
        ),
        kind(
            "many trees",
            |v: Vec<Vec<Numbers>>| value_bytes(&v),
            is_value::<Vec<BTreeSet<Numbers>>>,
            [Vec::new, || vec![[0; 32]]],
        ),
        kind(
            "slices",
            |v: Vec<Box<[Numbers]>>| value_bytes(&v),
            is_value::<Vec<Box<[Numbers]>>>,
            [|| [].into(), || [[0; 32]].into()],
        ),
        kind(
            "pairs",
            |v: Vec<(Option<Large>, u8)>| value_bytes(&v),
            is_value::<Vec<(Option<Large>, u8)>>,
            [|| (None, 1), || (Some(Large::Nothing), 2)],
        ),
    ]
}

/// What is documented of `Sandbox::call`: 8 MiB, and 128 bytes for every byte.
#[test]
fn a_value_takes_no_more_memory_than_its_bytes_may() {
    for kind in kinds() {
        let (head, end) = &kind.around;
        let mut both = 0;
        for element in &kind.elements {
            for length in [1_000, 30_000, 100_000, 300_000] {
                let bytes = [head.as_slice(), &element.repeat(length / element.len()), end].concat();
                let (accepted, peak) = peak(|| (kind.is_value)(&bytes));
                let bound = (8 << 20) + 128 * bytes.len();
                assert!(peak <= bound, "{}: {} bytes took {peak}, not {bound}", kind.name, bytes.len());
                both |= if accepted { 1 } else { 2 };
            }
        }
        assert_ne!(both & 1, 0, "{}: none was accepted, so nothing was tried", kind.name);
    }
}

#[test]
fn every_kept_input_holds() {
    for entry in ENTRIES {
        // What is made once, the built-in profiles and tables, is not the first input's to pay for.
        (entry.check)(b"");
        let inputs = inputs(entry);
        let mut good = 0;
        for (path, bytes) in &inputs {
            let accepted = bounded(entry, bytes, TIME).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            assert!(accepted || !name.starts_with("good-"), "{} is not accepted any more", path.display());
            good += usize::from(accepted);
        }
        assert!(good > 0, "{}: no input is accepted, so nothing behind the parser is tried", entry.name);
        println!("{}: {} inputs, {good} accepted", entry.name, inputs.len());
    }
}

/// One step away from an input.
#[derive(Debug, Clone)]
enum Step {
    Flip(Index, u8),
    Set(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index, u8),
    Splice(Index, Index, Index),
    Cut(Index),
}

fn step() -> impl Strategy<Value = Step> {
    let at = any::<Index>;
    let word = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..9),
        proptest::sample::select(vec![
            vec![0xff; 10],
            vec![0xff, 0xff, 0xff, 0xff, 0x0f],
            vec![0x80; 9],
            vec![0; 8],
            b"\"]}=[{".to_vec(),
            b"\xc2\x9b\xe2\x80\xae".to_vec(),
            b"18446744073709551616".to_vec(),
            b"../:\\:".to_vec(),
        ]),
    ];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(i, b)| Step::Flip(i, b)),
        (at(), word.clone()).prop_map(|(i, w)| Step::Set(i, w)),
        (at(), word).prop_map(|(i, w)| Step::Insert(i, w)),
        (at(), at()).prop_map(|(i, j)| Step::Remove(i, j)),
        (at(), at(), any::<u8>()).prop_map(|(i, j, n)| Step::Repeat(i, j, n)),
        (at(), at(), at()).prop_map(|(o, i, j)| Step::Splice(o, i, j)),
        at().prop_map(Step::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, step: &Step, others: &[Vec<u8>]) {
    let end = bytes.len() + 1;
    let span = |i: &Index, j: &Index, end: usize| {
        let (i, j) = (i.index(end), j.index(end));
        i.min(j)..i.max(j)
    };
    match step {
        Step::Flip(at, with) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        Step::Flip(..) => {}
        Step::Set(at, word) => {
            let at = at.index(end);
            let until = (at + word.len()).min(bytes.len());
            bytes.splice(at..until, word.iter().copied());
        }
        Step::Insert(at, word) => {
            let at = at.index(end);
            bytes.splice(at..at, word.iter().copied());
        }
        Step::Remove(i, j) => drop(bytes.drain(span(i, j, end))),
        Step::Repeat(i, j, times) => {
            let span = span(i, j, end);
            let part = bytes[span.clone()].repeat(usize::from(*times));
            bytes.splice(span.end..span.end, part);
        }
        Step::Splice(other, i, j) => {
            let other = other.get(others);
            let part = &other[span(i, j, other.len() + 1)];
            let at = i.index(end);
            bytes.splice(at..at, part.iter().copied());
        }
        Step::Cut(at) => bytes.truncate(at.index(end)),
    }
}

#[test]
fn mutated_inputs_hold() {
    let seconds = std::env::var("BELLJAR_FUZZING_SECONDS")
        .map_or(4.0, |text| text.parse().expect("a number of seconds"));
    let share = Duration::from_secs_f64(seconds / ENTRIES.len() as f64);
    for entry in ENTRIES {
        (entry.check)(b"");
        let inputs = inputs(entry);
        // Half of the time from what is accepted, which few of the fuzzers' small inputs are: behind the
        // parser is more to try.
        let good = inputs.iter().filter(|(_, bytes)| (entry.check)(bytes)).map(|(_, bytes)| bytes.clone());
        let good: Vec<Vec<u8>> = good.collect();
        let others: Vec<Vec<u8>> = inputs.into_iter().map(|(_, bytes)| bytes).collect();
        let strategy = (any::<bool>(), any::<Index>(), proptest::collection::vec(step(), 1..6));
        let (until, tried, accepted) = (Instant::now() + share, Cell::new(0_u32), Cell::new(0_u32));
        // What fails is slow: it is made smaller for a while, not until it is as small as can be.
        let config =
            Config { cases: 64, failure_persistence: None, max_shrink_time: 10_000, ..Config::default() };
        for round in 0_u64.. {
            if tried.get() >= 64 && Instant::now() >= until {
                break;
            }
            // A runner counts its successes for good: a used one would try nothing more. The same seeds in
            // every run: more time tries more, and what fails once fails again.
            let seed = [round.to_le_bytes(); 4].concat();
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
            let mut runner = TestRunner::new_with_rng(config.clone(), rng);
            let result = runner.run(&strategy, |(from_good, start, steps)| {
                let mut bytes = start.get(if from_good { &good } else { &others }).clone();
                for step in &steps {
                    apply(&mut bytes, step, &others);
                    // After each step: a few repetitions of repetitions would fill the memory.
                    bytes.truncate(entry.max_len);
                }
                tried.set(tried.get() + 1);
                let good = bounded(entry, &bytes, TIME)
                    .map_err(|error| TestCaseError::fail(format!("{error}: {}", bytes.escape_ascii())))?;
                accepted.set(accepted.get() + u32::from(good));
                Ok(())
            });
            result.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        }
        println!("{}: {} mutations, {} accepted", entry.name, tried.get(), accepted.get());
    }
}

/// Texts as long as they may be, of one thing over and over: nothing takes more than a moment, or memory
/// without a bound.
#[test]
fn long_inputs_hold() {
    let numbered = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let profile = |text: String| ("profile", format!("extends = \"strict\"\n{text}"));
    let cases = [
        profile(numbered(5000, &|n| format!("[[mounts]]\ndestination = \"/m{n}\"\ntype = \"tmpfs\"\n"))),
        profile(format!("maskedPaths = [{}]", numbered(15_000, &|n| format!("\"/m{n}\",")))),
        profile(format!("process.env = [{}]", numbered(15_000, &|n| format!("\"V{n}=\",")))),
        profile(format!("process.capabilities = [{}]", "\"CAP_KILL\",".repeat(20_000))),
        profile(format!(
            "seccomp.unknownNames = \"skip\"\nseccomp.syscalls = [{{ names = [{}], action = \"errno\" }}]",
            numbered(20_000, &|n| format!("\"u{n}\","))
        )),
        profile(format!(
            "[seccomp]\nsyscalls = [{}]",
            "{ names = [\"@file-system\"], action = \"allow\" },".repeat(4000)
        )),
        profile(format!(
            "seccomp.syscalls = [{}]",
            numbered(2500, &|n| format!(
                "{{ names = [\"read\"], action = \"errno\", args = [{{ index = 0, value = {n}, op = \"SCMP_CMP_EQ\" }}] }},"
            ))
        )),
        profile(format!("description = {}", "[".repeat(200_000))),
        profile(format!("description{} = 1", ".a".repeat(100_000))),
        profile(numbered(20_000, &|n| format!("k{n} = 1\n"))),
        ("profile", "[[a]]\n".repeat(40_000)),
        ("profile", "\"".repeat(200_000)),
        ("override", format!("process.env=[{}]", numbered(15_000, &|n| format!("\"V{n}=\",")))),
        ("override", format!("hostname={}", "{a=".repeat(60_000))),
        (
            "seccomp_json",
            format!(
                "{{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{}]}}",
                vec!["{\"names\":[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_GT\"}]}"; 8000]
                    .join(",")
            ),
        ),
        (
            "seccomp_json",
            format!(
                "{{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{{\"names\":[{}\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}}]}}",
                numbered(70_000, &|n| format!("\"u{n}\","))
            ),
        ),
        ("seccomp_json", "[".repeat(1 << 20)),
        ("seccomp_json", "{\"defaultAction\":".repeat(1 << 16)),
        ("mount_spec", "\\:".repeat(60_000)),
        ("mount_spec", format!("/a:{}", "/./b".repeat(30_000))),
        ("units", "9".repeat(100_000)),
        ("units", format!("1.{}", "0".repeat(100_000))),
        ("program", format!("#!{}", " ".repeat(100_000))),
    ];
    // A debug build: what is quadratic takes far longer.
    // 800 kB of equal rules are a filter of one rule, and go all the way: three seconds in a debug build.
    let time = Duration::from_secs(6);
    for (name, text) in cases {
        let entry = ENTRIES.iter().find(|entry| entry.name == name);
        let Some(entry) = entry else { panic!("no entry {name}") };
        let began = now();
        let start: String = text.chars().take(120).collect();
        if let Err(error) = bounded(entry, text.as_bytes(), time) {
            panic!("{error}: {start}");
        }
        println!("{name}: {:?} for {} bytes: {start:.60?}", now().saturating_sub(began), text.len());
    }
}

/// The bounds of this file can be exceeded.
#[test]
fn the_bounds_bite() {
    fn hungry(_: &[u8]) -> bool {
        std::hint::black_box(vec![1_u8; MEMORY + 1]).len() > MEMORY
    }
    fn slow(_: &[u8]) -> bool {
        let began = now();
        while now().saturating_sub(began) < Duration::from_millis(20) {}
        true
    }
    let entry = |check| Entry { name: "bad", check, max_len: 1 };
    assert!(bounded(&entry(hungry), b"", TIME).is_err_and(|error| error.contains("memory")));
    assert!(bounded(&entry(slow), b"", Duration::from_millis(10)).is_err_and(|error| error.contains("took")));
    assert_eq!(bounded(&entry(slow), b"", TIME), Ok(true));
}
