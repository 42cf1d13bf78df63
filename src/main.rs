//! The `belljar` program: everything is in [`belljar::cli`].

#[cfg(target_env = "musl")]
mod allocator;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator::new();

fn main() -> std::process::ExitCode {
    belljar::reexec::init();
    belljar::cli::main()
}
