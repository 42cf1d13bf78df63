//! What a program that uses the library compiles: how much it is, and that the command line, the attacks and
//! the fuzzers' entries are no part of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::visit::Visit as _;

/// The most lines of code that `default-features = false` may compile: lines with something else than a
/// comment on them, without tests. The bound is what there is, rounded up: lower it with the code. (It was
/// 27,000 before scheduling, and before a plan knew the options of each file system; 27,500 before limits of
/// further tasks were compared with the sandbox's.)
const MOST_LINES: usize = 27_700;

/// Features that are off.
const OFF: [&str; 3] = ["cli", "doctor", "internals"];

/// The files of the library, and the lines of each that are compiled.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, usize>);

impl Files {
    fn read(&mut self, file: &Path, below: &Path) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut lines = code_lines(&text);
        let mut off = Off(Vec::new());
        off.visit_file(&parsed);
        for (from, to) in off.0 {
            lines.retain(|line| !(from..=to).contains(line));
        }
        self.0.insert(file.to_owned(), lines.len());
        self.modules(&parsed.items, below);
    }

    fn modules(&mut self, items: &[syn::Item], below: &Path) {
        for item in items {
            let syn::Item::Mod(module) = item else { continue };
            if is_off(&module.attrs) {
                continue;
            }
            let below = below.join(module.ident.to_string());
            match &module.content {
                Some((_, items)) => self.modules(items, &below),
                None => {
                    let flat = below.with_extension("rs");
                    self.read(&if flat.exists() { flat } else { below.join("mod.rs") }, &below);
                }
            }
        }
    }
}

/// Lines of a file, from 1, that have more than a comment on them.
fn code_lines(text: &str) -> Vec<usize> {
    let mut in_block = false;
    let has_code = |line: &str| {
        let line = line.trim();
        if in_block || line.starts_with("/*") {
            in_block = !line.contains("*/");
            return false;
        }
        !line.is_empty() && !line.starts_with("//")
    };
    let lines: Vec<bool> = text.lines().map(has_code).collect();
    lines.iter().enumerate().filter(|(_, code)| **code).map(|(at, _)| at + 1).collect()
}

/// The lines, first and last, of what is not compiled.
struct Off(Vec<(usize, usize)>);

impl Off {
    fn add(&mut self, attributes: &[syn::Attribute], node: &dyn quote::ToTokens) -> bool {
        let off = is_off(attributes);
        if off {
            let spans: Vec<_> = node.to_token_stream().into_iter().map(|token| token.span()).collect();
            if let (Some(first), Some(last)) = (spans.first(), spans.last()) {
                self.0.push((first.start().line, last.end().line));
            }
        }
        off
    }
}

macro_rules! visits {
    ($($method:ident $node:ident),*) => {$(
        fn $method(&mut self, node: &'ast syn::$node) {
            if !self.add(&node.attrs, node) {
                syn::visit::$method(self, node);
            }
        }
    )*};
}

impl<'ast> syn::visit::Visit<'ast> for Off {
    visits!(
        visit_item_fn ItemFn, visit_item_impl ItemImpl, visit_item_mod ItemMod, visit_item_use ItemUse,
        visit_item_const ItemConst, visit_item_static ItemStatic, visit_item_struct ItemStruct,
        visit_item_enum ItemEnum, visit_item_macro ItemMacro, visit_impl_item_fn ImplItemFn,
        visit_field Field, visit_variant Variant, visit_arm Arm, visit_local Local
    );
}

/// Whether it needs what is off: `cfg(test)`, `cfg(feature = "cli")`, or `any` of these.
fn is_off(attributes: &[syn::Attribute]) -> bool {
    use quote::ToTokens as _;
    attributes.iter().any(|attribute| {
        let text = attribute.meta.to_token_stream().to_string().replace(' ', "");
        let Some(condition) = text.strip_prefix("cfg(").and_then(|text| text.strip_suffix(')')) else {
            return false;
        };
        let any = condition.strip_prefix("any(").and_then(|all| all.strip_suffix(')')).unwrap_or(condition);
        any.split(',').all(|one| {
            one == "test" || one == "doctest" || OFF.iter().any(|name| one == format!("feature=\"{name}\""))
        })
    })
}

fn library() -> Files {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Files::default();
    files.read(&source.join("lib.rs"), &source);
    files
}

#[test]
fn a_program_compiles_no_more_than_is_said() {
    let files = library();
    let lines: usize = files.0.values().sum();
    println!("{lines} lines of code in {} files", files.0.len());
    assert!(lines <= MOST_LINES, "{lines} lines of code; at most {MOST_LINES} were said");
    assert!(lines > MOST_LINES / 2, "{lines} lines of code: something is not counted");
}

#[test]
fn the_command_line_and_the_attacks_are_no_part_of_a_program() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = library();
    for directory in ["cli", "selftest", "probe", "fuzzing", "doctor"] {
        let of_it = |file: &&PathBuf| file.starts_with(source.join(directory));
        assert_eq!(files.0.keys().find(of_it), None, "{directory} is compiled");
    }
    for directory in ["init", "plan", "profile", "reexec", "sandbox", "seccomp"] {
        assert!(files.0.keys().any(|file| file.starts_with(source.join(directory))), "{directory} is not");
    }
}

#[test]
fn what_is_off_is_not_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "\
//! Documentation.
use std::fmt; // 1

/* a
block */
#[cfg(feature = \"cli\")]
fn off() {
    1;
}
#[cfg(not(feature = \"cli\"))]
fn on() {
    #[cfg(any(test, feature = \"internals\"))]
    let off = 1;
}
#[cfg(test)]
mod tests {
    fn test() {}
}
mod inner;
";
    std::fs::write(directory.path().join("lib.rs"), text).expect("to write lib.rs");
    std::fs::write(directory.path().join("inner.rs"), "fn one() {}\n").expect("to write inner.rs");
    let mut files = Files::default();
    files.read(&directory.path().join("lib.rs"), directory.path());
    // use, cfg(not), fn on, its end, mod inner; and inner's.
    assert_eq!(files.0.values().copied().collect::<Vec<_>>(), [1, 5]);
}
