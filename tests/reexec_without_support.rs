//! A test program without `enable_test_support!`: the re-executed child is this harness again. It must end, say what is
//! missing, and go no deeper.

use std::io::Write;
use std::time::{Duration, Instant};

use belljar::reexec::{LaunchError, command};

belljar::role!("never", || println!("BODY"));

const LEVELS: &str = "BELLJAR_TEST_LEVELS";

#[test]
fn the_harness_is_not_a_fork_bomb() {
    let inside = std::env::var_os(LEVELS);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = inside.clone().map_or_else(|| file.path().to_owned(), Into::into);
    // A line for every level that gets here.
    let mut levels = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    writeln!(levels, "level").unwrap();

    let start = Instant::now();
    let error = command("never").env(LEVELS, &path).output().unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    if inside.is_some() {
        writeln!(levels, "{source}").unwrap();
        assert!(matches!(source.downcast_ref(), Some(LaunchError::NotInitialised)), "{source}");
        // Even one that does not mind, and waits, is ended.
        std::thread::sleep(Duration::from_secs(20));
    }
    assert!(start.elapsed() < Duration::from_millis(2000), "{:?}", start.elapsed());
    assert!(matches!(source.downcast_ref(), Some(LaunchError::NeverInitialised)), "{source}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("level").count(), 2, "{text}");
    assert!(text.contains("belljar::enable_test_support!()"), "{text}");
}
