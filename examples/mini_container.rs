//! A container in a few lines: runs a command in a root file system of one's own, under the `container`
//! profile.
//!
//! ```sh
//! mkdir -p root/{bin,proc,dev,tmp} && cp /bin/busybox root/bin/ && ln -s busybox root/bin/sh
//! cargo run --example mini_container -- root sh -c 'echo "I am $(id -u) on $(hostname)"; ls /'
//! ```

use std::process::ExitCode;

use belljar::Sandbox;

fn main() -> ExitCode {
    belljar::init(); // a re-executed child never returns from here

    let mut args = std::env::args_os().skip(1);
    let (Some(root), Some(program)) = (args.next(), args.next()) else {
        eprintln!("usage: mini_container ROOTFS COMMAND [ARG]...");
        return ExitCode::from(125);
    };
    match run(root.as_ref(), &program, args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("mini_container: {}", belljar::error_chain(error.as_ref()));
            ExitCode::from(125)
        }
    }
}

fn run(
    root: &std::path::Path,
    program: &std::ffi::OsStr,
    args: impl Iterator<Item = std::ffi::OsString>,
) -> Result<u8, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().profile("container").rootfs(root).build()?;
    let outcome = sandbox.command(program).args(args).spawn()?.wait_outcome()?;
    Ok(outcome.ended.exit_code())
}
