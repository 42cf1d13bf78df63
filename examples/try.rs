fn main() {
    belljar::init();
    let mut a = std::env::args().skip(1);
    let p = a.next().unwrap();
    let prog = a.next().unwrap();
    let s = belljar::Sandbox::new(&p).unwrap_or_else(|e| { eprintln!("{}", belljar::error_chain(&e)); std::process::exit(125) });
    match s.command(prog).args(a).spawn().and_then(|mut c| c.wait_outcome()) {
        Ok(o) => { eprintln!("{o:#?}"); }
        Err(e) => eprintln!("ERR {}", belljar::error_chain(&e)),
    }
}
