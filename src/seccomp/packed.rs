//! Many names without an address for each: a position-independent program writes all its addresses when it
//! starts, each time, whether it needs them or not. The compiler packs the lists, which are written as files
//! or lists.

use std::cmp::Ordering;

/// A name and its number, as it is listed.
pub(super) type Listed = (&'static str, i32);

/// How many lines a text has, of which each ends with a newline.
pub(super) const fn lines(text: &str) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < text.len() {
        count += (text.as_bytes()[at] == b'\n') as usize;
        at += 1;
    }
    count
}

/// The entries of a text with a line `NAME NUMBER` for each.
pub(super) const fn list<const LINES: usize>(text: &'static str) -> [Listed; LINES] {
    let mut list = [("", 0); LINES];
    let (mut rest, mut at) = (text, 0);
    while at < LINES {
        let (name, after) = rest.split_at(find(rest, b' '));
        let (number, after) = after.split_at(1).1.split_at(find(rest, b'\n') - name.len() - 1);
        let Ok(number) = i32::from_str_radix(number, 10) else { panic!("a line is NAME NUMBER") };
        list[at] = (name, number);
        (rest, at) = (after.split_at(1).1, at + 1);
    }
    assert!(rest.is_empty());
    list
}

/// Where a byte is for the first time.
const fn find(text: &str, byte: u8) -> usize {
    let mut at = 0;
    while text.as_bytes()[at] != byte {
        at += 1;
    }
    at
}

/// Names and their numbers, in the order in which they are listed.
pub(super) struct Packed<const NAMES: usize, const BYTES: usize> {
    text: [u8; BYTES],
    /// Where each name ends, and the next one begins.
    ends: [u16; NAMES],
    numbers: [u16; NAMES],
}

/// How long the text of a list is.
pub(super) const fn bytes(list: &[Listed]) -> usize {
    let (mut sum, mut at) = (0, 0);
    while at < list.len() {
        sum += list[at].0.len();
        at += 1;
    }
    sum
}

impl<const NAMES: usize, const BYTES: usize> Packed<NAMES, BYTES> {
    pub const fn new(list: &[Listed]) -> Self {
        assert!(list.len() == NAMES && BYTES <= u16::MAX as usize);
        let mut packed = Self { text: [0; BYTES], ends: [0; NAMES], numbers: [0; NAMES] };
        let (mut at, mut end) = (0, 0);
        while at < NAMES {
            let name = list[at].0.as_bytes();
            let mut index = 0;
            while index < name.len() {
                packed.text[end] = name[index];
                (index, end) = (index + 1, end + 1);
            }
            assert!(0 <= list[at].1 && list[at].1 <= u16::MAX as i32);
            packed.ends[at] = end as u16;
            packed.numbers[at] = list[at].1 as u16;
            at += 1;
        }
        packed
    }

    pub fn table(&'static self) -> Table {
        Table { text: &self.text, ends: &self.ends, numbers: &self.numbers }
    }
}

/// A packed list of any size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    text: &'static [u8],
    ends: &'static [u16],
    numbers: &'static [u16],
}

impl Table {
    /// The name and the number at a position.
    pub fn get(&self, at: usize) -> Option<(&'static str, u16)> {
        let (end, number) = (usize::from(*self.ends.get(at)?), *self.numbers.get(at)?);
        let start =
            at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| usize::from(*end));
        Some((std::str::from_utf8(self.text.get(start..end)?).ok()?, number))
    }

    /// All of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = (&'static str, u16)> {
        (0..self.ends.len()).filter_map(move |at| self.get(at))
    }

    /// The number of a name, in a list that is sorted by name, bytewise.
    pub fn search(&self, name: &str) -> Option<u16> {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            let (found, number) = self.get(middle)?;
            match found.cmp(name) {
                Ordering::Equal => return Some(number),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// Names in one text, each with a newline behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words(&'static str);

impl Words {
    pub const fn new(text: &'static [u8]) -> Self {
        match std::str::from_utf8(text) {
            Ok(text) => Self(text),
            Err(_) => panic!("names are texts"),
        }
    }

    pub fn iter(self) -> impl Iterator<Item = &'static str> + Clone {
        self.0.split_ascii_whitespace()
    }

    /// Whether a name is one of them, in a list that is sorted bytewise.
    pub fn search(self, name: &str) -> bool {
        let mut rest = self.0.as_bytes();
        while !rest.is_empty() {
            // The word around the middle.
            let (before, after) = rest.split_at(rest.len() / 2);
            let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
            let end = after
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(rest.len(), |behind| before.len() + behind);
            rest = match rest.get(start..end).unwrap_or_default().cmp(name.as_bytes()) {
                Ordering::Equal => return true,
                Ordering::Less => rest.get(end + 1..).unwrap_or_default(),
                Ordering::Greater => rest.get(..start).unwrap_or_default(),
            };
        }
        false
    }
}

/// How long the text of [`Words`] is.
pub(super) const fn words_bytes(list: &[&str]) -> usize {
    let (mut sum, mut at) = (0, 0);
    while at < list.len() {
        sum += list[at].len() + 1;
        at += 1;
    }
    sum
}

/// The text of [`Words`].
pub(super) const fn words_text<const BYTES: usize>(list: &[&str]) -> [u8; BYTES] {
    let mut text = [b'\n'; BYTES];
    let (mut at, mut end) = (0, 0);
    while at < list.len() {
        let name = list[at].as_bytes();
        let mut index = 0;
        while index < name.len() {
            assert!(name[index] > b' ');
            text[end] = name[index];
            (index, end) = (index + 1, end + 1);
        }
        (at, end) = (at + 1, end + 1);
    }
    text
}

/// [`Words`] of a constant list.
macro_rules! words {
    ($list:expr) => {{
        const LIST: &[&str] = $list;
        const BYTES: usize = $crate::seccomp::packed::words_bytes(LIST);
        const TEXT: [u8; BYTES] = $crate::seccomp::packed::words_text(LIST);
        $crate::seccomp::packed::Words::new(&TEXT)
    }};
}
pub(super) use words;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = " 7\na 0\nbc 65535\nd 1\n";
    const LIST: [Listed; lines(TEXT)] = list(TEXT);
    static PACKED: Packed<{ LIST.len() }, { bytes(&LIST) }> = Packed::new(&LIST);

    #[test]
    fn each_line_is_an_entry() {
        assert_eq!(LIST, [("", 7), ("a", 0), ("bc", 65535), ("d", 1)]);
        assert!(std::panic::catch_unwind(|| list::<1>("a one\n")).is_err());
        assert!(std::panic::catch_unwind(|| list::<1>("a 1\nb 2\n")).is_err());
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let unpacked: Vec<_> =
            PACKED.table().iter().map(|(name, number)| (name, i32::from(number))).collect();
        assert_eq!(unpacked, LIST);
        for (name, number) in LIST {
            assert_eq!(PACKED.table().search(name).map(i32::from), Some(number));
        }
        for other in ["b", "bcd", "e", "A"] {
            assert_eq!(PACKED.table().search(other), None);
        }
        assert_eq!(PACKED.table().get(4), None);
    }

    #[test]
    fn sorted_words_are_found() {
        let words = words!(&["a", "ab", "b", "long_name", "z"]);
        assert!(words.iter().all(|word| words.search(word)));
        for other in ["", "\n", "A", "aa", "abc", "b\n", "c", "long", "z\nz", "zz"] {
            assert!(!words.search(other), "{other}");
        }
        assert!(!words!(&[]).search("a"));
    }

    #[test]
    fn words_come_out_again() {
        assert_eq!(words!(&["one", "@two.1"]).iter().collect::<Vec<_>>(), ["one", "@two.1"]);
        assert_eq!(words!(&[]).iter().count(), 0);
    }
}
