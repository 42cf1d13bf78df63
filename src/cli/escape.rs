//! Makes foreign text safe to print: a file name or a message from inside may hold escape sequences, line
//! breaks or bytes that are no UTF-8, and belljar's lines on a terminal or in a log must not be forged with
//! them.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

/// `text` on one line: control characters, line separators and the marks that reorder text are written as
/// `\n`, `\t`, `\x1b` or `\u{202e}`. Everything else stays as it is.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut out, c);
    }
    out
}

/// As [`text`], for a name that need not be UTF-8: a byte that is none becomes `\xff`.
pub fn os(name: &OsStr) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            push(&mut out, c);
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        // Writing to a String cannot fail.
        c if c.is_control() && u32::from(c) < 0x100 => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        c if c.is_control() || is_invisible(c) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        c => out.push(c),
    }
}

/// What shows nothing and may still mean something: line separators, bidirectional controls ("Trojan Source",
/// CVE-2021-42574), and all that Unicode counts as Default_Ignorable_Code_Point: the soft hyphen, zero-width
/// characters, fillers, variation selectors, tags.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_stays() {
        assert_eq!(text("a b/ü€😀 \\ 'q'"), "a b/ü€😀 \\ 'q'");
    }

    #[test]
    fn escape_sequences_and_breaks_are_written_out() {
        assert_eq!(text("a\nb\r\tc\u{1b}[31m\u{7f}\u{9b}x"), "a\\nb\\r\\tc\\x1b[31m\\x7f\\x9bx");
        assert_eq!(text("safe\u{202e}exe.txt\u{2028}"), "safe\\u{202e}exe.txt\\u{2028}");
        assert_eq!(text("ps\u{ad}\u{e0041}\u{fe0f}\u{3164}"), "ps\\u{ad}\\u{e0041}\\u{fe0f}\\u{3164}");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_written_out() {
        assert_eq!(os(OsStr::from_bytes(b"a\xff\xc3\x28\x1b")), "a\\xff\\xc3(\\x1b");
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_is_left(bytes: Vec<u8>) {
            let out = os(OsStr::from_bytes(&bytes));
            prop_assert!(!out.chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}
