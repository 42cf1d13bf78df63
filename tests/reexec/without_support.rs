//! A test program without `enable_test_support!`: a re-executed child would be this harness again. Nothing is
//! launched, and what is missing is said.

use belljar::internals::reexec::LaunchError;
use belljar::reexec::command;

belljar::role!("never", || println!("BODY"));

const INSIDE: &str = "BELLJAR_TEST_INSIDE";

#[test]
fn the_harness_is_not_a_fork_bomb() {
    assert!(std::env::var_os(INSIDE).is_none(), "a child was launched");
    let error = command("never").env(INSIDE, "1").output().unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert!(matches!(source.downcast_ref(), Some(LaunchError::InitNotCalled)), "{source}");
    assert!(source.to_string().contains("belljar::enable_test_support!()"), "{source}");
}
