//! A program with roles, for the tests: `roles COMMAND [ARGUMENTS]`.

use std::io::{Read, Write};
use std::time::Duration;

use belljar::reexec::{self, Stdio};

fn echo() {
    let words: Vec<String> = std::env::args().collect();
    println!("BODY {}", words.join(" "));
}
belljar::role!("echo", echo);

fn sleep() {
    println!("BODY sleep");
    std::thread::sleep(Duration::from_secs(30));
}
belljar::role!("sleep", sleep);

fn main() {
    reexec::register("at-run-time", || println!("BODY at-run-time")).expect("a free name");
    belljar::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // Waits for the end of its input first, so that the caller can do something to the file.
        ["later", role, rest @ ..] => {
            println!("ready");
            std::io::stdin().read_to_end(&mut Vec::new()).expect("standard input");
            launch(role, rest);
        }
        ["launch", role, rest @ ..] => launch(role, rest),
        // A child that was started by a thread which has ended.
        ["keep"] => {
            let child = std::thread::spawn(|| reexec::command("sleep").stdout(Stdio::null()).spawn())
                .join()
                .expect("no panic")
                .expect("a child");
            println!("{}", child.id());
            std::io::stdout().flush().expect("standard output");
            std::thread::sleep(Duration::from_secs(30));
        }
        _ => println!("ordinary"),
    }
}

fn launch(role: &str, args: &[&str]) {
    match reexec::command(role).args(args).status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(99)),
        Err(error) => {
            let mut error: &dyn std::error::Error = &error;
            eprintln!("{error}");
            while let Some(source) = error.source() {
                eprintln!("{source}");
                error = source;
            }
            std::process::exit(98);
        }
    }
}
