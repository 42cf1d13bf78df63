//! Log lines: on standard error only, one record a line, nothing unless something fails or is asked for.

use std::io::Write as _;

use log::LevelFilter;

use super::escape;

/// The variable with a filter in the syntax of env_logger: `debug`, `belljar::plan=trace,warn`.
pub const VARIABLE: &str = "BELLJAR_LOG";

/// Starts the logger. `-v` and `-q` win over the variable; without any, errors alone are logged.
pub fn start(verbose: u8, quiet: u8) {
    let mut builder = env_logger::Builder::new();
    match (level(verbose, quiet), std::env::var(VARIABLE)) {
        (Some(level), _) => builder.filter_level(level),
        (None, Ok(filter)) => builder.parse_filters(&filter),
        (None, Err(_)) => {
            builder.filter_level(LevelFilter::Error).filter_module(crate::plan::NOTICE, LevelFilter::Warn)
        }
    };
    builder.target(env_logger::Target::Stderr).write_style(env_logger::WriteStyle::Never);
    builder.format(|out, record| {
        let level = record.level().as_str().to_ascii_lowercase();
        writeln!(out, "belljar: {level}: {}", escape::text(&record.args().to_string()))
    });
    // A logger that is there already is a caller's own, and takes the records.
    let _ = builder.try_init();
}

/// The level that the options ask for.
fn level(verbose: u8, quiet: u8) -> Option<LevelFilter> {
    match (verbose, quiet) {
        (0, 0) => None,
        (0, _) => Some(LevelFilter::Off),
        (1, _) => Some(LevelFilter::Info),
        (2, _) => Some(LevelFilter::Debug),
        _ => Some(LevelFilter::Trace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_v_says_more() {
        assert_eq!(level(0, 0), None);
        assert_eq!(level(0, 1), Some(LevelFilter::Off));
        assert_eq!(level(1, 0), Some(LevelFilter::Info));
        assert_eq!(level(2, 0), Some(LevelFilter::Debug));
        assert_eq!(level(9, 0), Some(LevelFilter::Trace));
    }
}
