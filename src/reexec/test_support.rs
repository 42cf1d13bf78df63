//! Roles in test, doctest and bench programs, whose `main` belongs to the harness.

/// Lets roles run from a test, doctest or bench program: expands to a call of
/// [`init`](fn@crate::reexec::init) before `main`, and so before the harness starts a thread.
///
/// Once in the program, at any place where an item may stand:
///
/// ```
/// fn answer() { println!("42"); }
/// belljar::role!("answer", answer);
/// belljar::enable_test_support!();
///
/// assert_eq!(belljar::reexec::command("answer").output()?.stdout, b"42\n");
/// # Ok::<(), belljar::reexec::CommandError>(())
/// ```
///
/// Without it the re-executed child is the harness once more. It ends within a second and goes no deeper, and
/// the error says what is missing:
///
/// ```standalone_crate
/// belljar::role!("forgotten", || ());
/// let error = belljar::reexec::command("forgotten").status().unwrap_err();
/// let cause = std::error::Error::source(&error).unwrap().to_string();
/// assert!(cause.contains("belljar::enable_test_support!()"));
/// ```
///
/// What is different before `main`: only roles of [`role!`](crate::role) are registered, a stack overflow is
/// a plain `SIGSEGV`, and with musl [`std::env::args`] is empty. `SIGPIPE` is ignored, as std has it in
/// `main`.
#[macro_export]
macro_rules! enable_test_support {
    () => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = before_main;
            extern "C" fn before_main() {
                $crate::reexec::__private::init_before_main();
            }
        };
    };
}
