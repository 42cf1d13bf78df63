//! A program that launches a role and forgets `belljar::init()`: what would be a fork bomb. Each process that gets here says so.

fn main() {
    println!("main");
    belljar::reexec::register("role", || println!("BODY")).expect("a free name");
    let patient = std::env::args().any(|arg| arg == "patient");
    let result = belljar::reexec::command("role").args(std::env::args().skip(1)).status();
    println!("{result:?}");
    if patient {
        // A re-executed child that ignores the error and stays.
        std::thread::sleep(std::time::Duration::from_secs(30));
    }
}
