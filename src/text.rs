//! Text from outside, made safe to print, and suggestions for mistyped words.

use std::fmt;

/// Shows text with control characters, backslashes and double quotes escaped, so that a file name or a key
/// can neither start a new line in a log nor speak to a terminal. Of a text longer than anyone would read,
/// the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

/// The most characters that [`Escaped`] shows. Paths are shown whole, with [`EscapedWhole`].
const SHOWN: usize = 256;

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}…", EscapedWhole(&self.0[..end])),
            None => EscapedWhole(self.0).fmt(f),
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| DIGITS[usize::from(half)]).collect()
}

/// A field of `mountinfo` (proc_pid_mountinfo(5)): the kernel writes blanks, backslashes and the like as a
/// backslash and three octal digits.
pub(crate) fn unescape_octal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, more @ ..] = rest {
        let octal = more.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            digits.iter().try_fold(0u8, |value, digit| {
                let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
                value.checked_mul(8)?.checked_add(digit)
            })
        });
        out.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { more.get(3..).unwrap_or_default() } else { more };
    }
    out
}

/// [`Escaped`], however long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EscapedWhole<'a>(pub(crate) &'a str);

impl fmt::Display for EscapedWhole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.chars() {
            if needs_escape(c) { write!(f, "\\u{{{:x}}}", u32::from(c))? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// Control characters, and the format characters that turn the direction of text or hide.
pub(crate) fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The word that `word` was most likely meant to be, if any is near enough.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A mistyped word is short; comparing a long one with everything would only cost time.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|k| (strsim::osa_distance(&word, &k.to_lowercase()), k))
        .filter(|&(d, k)| d <= allowed && d < k.chars().count())
        .min()
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(Escaped("a\x1b[31m\nb\u{202e}").to_string(), "a\\u{1b}[31m\\u{a}b\\u{202e}");
        assert_eq!(Escaped("grüße").to_string(), "grüße");
        assert_eq!(Escaped(&"ü".repeat(100_000)).to_string().chars().count(), SHOWN + 1);
    }

    #[test]
    fn octal_escapes_are_undone_and_nothing_else() {
        for (written, text) in [
            ("/a\\040b\\011\\134", "/a b\t\\"),
            ("/\\04", "/\\04"),
            ("/\\999", "/\\999"),
            ("/\\777", "/\\777"),
            ("/\\+40", "/\\+40"),
            ("/\\", "/\\"),
        ] {
            assert_eq!(unescape_octal(written.as_bytes()), text.as_bytes(), "{written}");
        }
    }

    #[test]
    fn nearest_word() {
        let known = ["hostname", "mounts", "maskedPaths", "env"];
        assert_eq!(nearest("hostnane", known), Some("hostname"));
        assert_eq!(nearest("maskedpaths", known), Some("maskedPaths"));
        assert_eq!(nearest("masked_paths", known), Some("maskedPaths"));
        assert_eq!(nearest("mount", known), Some("mounts"));
        assert_eq!(nearest("completelyelse", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest("nope", ["mode", "type", "none"]), Some("none"));
        assert_eq!(nearest("nope", ["mode", "type"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
