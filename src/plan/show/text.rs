//! Bytes of any kind as text for a person.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

/// Bytes for a person, and back without loss: printable UTF-8 as it is, a backslash doubled, everything else
/// (control characters, invalid bytes, characters that reorder or hide text) as `\xNN`.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let invisible = c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
            if c == '\\' {
                out.push_str("\\\\");
            } else if invisible {
                let mut buffer = [0; 4];
                hex(&mut out, c.encode_utf8(&mut buffer).as_bytes());
            } else {
                out.push(c);
            }
        }
        hex(&mut out, chunk.invalid());
    }
    out
}

fn hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\x{byte:02x}");
    }
}

/// [`escaped`] for what came from the system.
pub(crate) fn shown(text: impl AsRef<OsStr>) -> String {
    escaped(text.as_ref().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(escaped(b"plain/\xc3\xa9"), "plain/\u{e9}");
        assert_eq!(escaped(b"a\x1b[31m\n\\\xff"), "a\\x1b[31m\\x0a\\\\\\xff");
        assert_eq!(escaped("\u{202e}".as_bytes()), "\\xe2\\x80\\xae");
    }

    proptest::proptest! {
        #[test]
        fn escaping_loses_nothing(bytes: Vec<u8>) {
            let text = escaped(&bytes);
            proptest::prop_assert!(!text.chars().any(char::is_control));
            let mut back = Vec::new();
            let mut rest = text.as_bytes();
            while let Some((&first, tail)) = rest.split_first() {
                rest = match (first, tail) {
                    (b'\\', [b'\\', tail @ ..]) => { back.push(b'\\'); tail }
                    (b'\\', [b'x', a, b, tail @ ..]) => {
                        let pair = [*a, *b];
                        back.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
                        tail
                    }
                    (byte, tail) => { back.push(byte); tail }
                };
            }
            proptest::prop_assert_eq!(back, bytes);
        }
    }
}
