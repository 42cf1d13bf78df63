//! The `belljar` program: everything is in [`belljar::cli`].

fn main() -> std::process::ExitCode {
    belljar::reexec::init();
    belljar::cli::main()
}
