//! The public interface, item by item, against a file that a person has read: what changes it for a user of
//! the library shows in the difference.
//!
//! It is read from the source: `src/lib.rs` and the modules that it names, through `pub use`. Hidden items
//! (`#[doc(hidden)]`) are no part of it; neither are implementations that a macro of this crate writes, which
//! are not seen. `tests/api/public.txt` is written anew with `BELLJAR_WRITE=1 cargo test --test api`; read
//! the difference before it is committed.

mod library;
mod listing;
mod source;

use std::path::Path;

use source::Crate;

#[test]
fn the_public_interface_is_the_one_that_was_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("tests/api/public.txt");
    let expected = listing::of(&Crate::read(&root.join("src")));
    if std::env::var_os("BELLJAR_WRITE").is_some() {
        std::fs::write(&file, &expected).expect("to write the listing");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let lines = |text: &str, other: &str, sign: &str| {
        let differ = text.lines().filter(|line| !other.lines().any(|known| known == *line));
        differ.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    assert!(
        known == expected,
        "the public interface differs from tests/api/public.txt; BELLJAR_WRITE=1 writes it anew:\n{}{}",
        lines(&known, &expected, "-"),
        lines(&expected, &known, "+"),
    );
}

/// The listing of a crate with one file.
fn listed(text: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("lib.rs"), text).expect("to write lib.rs");
    let listing = listing::of(&Crate::read(directory.path()));
    listing.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_a_user_can_name_is_listed_once() {
    let text = "
        mod inner {
            mod deep { pub struct Deep; pub(crate) struct Own; }
            pub use deep::*;
            #[derive(Debug, Clone)]
            pub struct Given { pub one: u8, two: u8, pub(crate) three: u8 }
            impl Given { pub fn new() -> Self { todo!() } fn own(&self) {} pub const MOST: u8 = 1; }
            impl super::Shown for Given { fn show(&self) {} }
            #[doc(hidden)] impl Given { pub fn unseen(&self) {} }
            pub struct NotGiven;
        }
        pub mod open {
            pub use super::inner::Given as Renamed;
            pub fn function<'a, T: Into<u8>>(first: T, second: &'a mut (u8, &str),) -> Vec<(u8, [u8; 2])> { todo!() }
            pub enum Choice { One, #[doc(hidden)] Hidden, Two(u8, String), Three { value: u8 } }
        }
        pub use inner::{Given, Deep};
        pub use std::time::Duration;
        pub trait Shown { fn show(&self); }
    ";
    let expected = "\
belljar::Deep: pub struct Deep
belljar::Duration: pub use std::time::Duration
belljar::Given.one: pub one: u8
belljar::Given: impl Clone, Debug, Shown
belljar::Given: pub struct Given
belljar::Given::MOST: pub const MOST: u8
belljar::Given::new: pub fn new() -> Self
belljar::Shown: pub trait Shown
belljar::Shown::show: fn show(&self)
belljar::open: pub mod open
belljar::open::Choice: pub enum Choice
belljar::open::Choice::One
belljar::open::Choice::Three { value: u8 }
belljar::open::Choice::Two(u8, String)
belljar::open::Renamed: pub use belljar::Given
belljar::open::function: pub fn function<'a, T: Into<u8>>(first: T, second: &'a mut (u8, &str)) -> Vec<(u8, [u8; 2])>
";
    assert_eq!(listed(text), expected);
}

#[test]
fn hidden_tests_and_features_are_told_apart() {
    let text = "
        #[doc(hidden)] pub mod hidden { pub struct Hidden; }
        #[doc(hidden)] pub use hidden::Hidden;
        #[cfg(test)] pub mod tests { pub struct Test; }
        #[cfg(feature = \"more\")] pub mod more { pub struct More; impl More { pub fn most(self) {} } }
        #[derive(Clone)] #[non_exhaustive] pub enum Open { One }
        impl Copy for Open {}
        #[cfg(feature = \"more\")] impl Display for Open {}
        #[cfg(feature = \"more\")] mod shown { impl Debug for super::Open {} impl Debug for super::more::More {} }
        #[cfg(test)] impl Drop for Open {}
        impl Open { #[cfg(feature = \"more\")] pub fn more(&self) {} }
        #[macro_export] macro_rules! make { () => {} }
        pub unsafe fn dangerous() {}
    ";
    let expected = "\
belljar::Open: #[non_exhaustive] pub enum Open
belljar::Open: impl Clone, Copy
belljar::Open: impl Debug, Display [feature = \"more\"]
belljar::Open::One
belljar::Open::more: pub fn more(&self) [feature = \"more\"]
belljar::dangerous: pub unsafe fn dangerous()
belljar::make!: macro_rules! make
belljar::more: pub mod more [feature = \"more\"]
belljar::more::More: impl Debug [feature = \"more\"]
belljar::more::More: pub struct More [feature = \"more\"]
belljar::more::More::most: pub fn most(self) [feature = \"more\"]
";
    assert_eq!(listed(text), expected);
}
