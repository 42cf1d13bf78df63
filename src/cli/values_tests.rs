use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn bind_of(text: &str) -> Result<(PathBuf, Option<PathBuf>), ValueError> {
    bind(text.into()).map(|bind| (bind.source, bind.destination))
}

#[test]
fn binds() {
    assert_eq!(bind_of("a"), Ok(("a".into(), None)));
    assert_eq!(bind_of("a:/b"), Ok(("a".into(), Some("/b".into()))));
    assert_eq!(bind_of("-x:/b"), Ok(("-x".into(), Some("/b".into()))));
    assert_eq!(bind_of("/a b/./c:/d//e/./f/"), Ok(("/a b/./c".into(), Some("/d/e/f".into()))));
    assert_eq!(bind_of(r"a\:b:/c\:d"), Ok(("a:b".into(), Some("/c:d".into()))));
    assert_eq!(bind_of(r"a\\:/c\d"), Ok((r"a\".into(), Some(r"/c\d".into()))));
    assert_eq!(bind_of(r"a\"), Ok((r"a\".into(), None)));
}

#[test]
fn bad_binds() {
    assert_eq!(bind_of(""), Err(ValueError::EmptyPath));
    assert_eq!(bind_of(":/b"), Err(ValueError::EmptyPath));
    assert_eq!(bind_of("a:"), Err(ValueError::EmptyPath));
    assert_eq!(bind_of("a:b"), Err(ValueError::NotAbsolute { path: "b".into() }));
    assert_eq!(bind_of("a:/b/../c"), Err(ValueError::DotDot { path: "/b/../c".into() }));
    assert_eq!(bind_of("a:/b:ro"), Err(ValueError::Colons));
    assert_eq!(bind_of("a:/"), Err(ValueError::Root));
    assert_eq!(bind_of("a://."), Err(ValueError::Root));
}

#[test]
fn paths_need_not_be_utf8() {
    let name = OsString::from_vec(b"\xff".to_vec());
    assert_eq!(bind(name.clone()), Ok(Bind { source: name.into(), destination: None }));
    let value = OsString::from_vec(b"K\xfe=\xff".to_vec());
    let read = variable(value).expect("a variable");
    assert_eq!(read.name, OsString::from_vec(b"K\xfe".to_vec()));
    assert_eq!(read.value, Some(OsString::from_vec(b"\xff".to_vec())));
}

#[test]
fn messages_cannot_be_forged() {
    let refused = bind("a:b\u{1b}[2J\nbelljar, fine".into()).expect_err("refused").to_string();
    assert_eq!(refused, r"b\x1b[2J\nbelljar, fine is not an absolute path: inside, a path starts with /");
}

#[test]
fn tmpfs_values() {
    let read = |text: &str| tmpfs(text.into());
    assert_eq!(read("/x"), Ok(Tmpfs { destination: "/x".into(), size: None }));
    assert_eq!(read("/x:2M"), Ok(Tmpfs { destination: "/x".into(), size: Some(2 << 20) }));
    assert_eq!(read("/x:0"), Err(ValueError::Size { source: profile::ValueError::Zero }));
    assert!(read("/x:").is_err());
    assert!(read("/x:2M:3").is_err());
    assert!(read("x").is_err());
    assert!(read("").is_err());
    assert!(read("/").is_err());
}

#[test]
fn variables() {
    let read = |text: &str| variable(text.into()).map(|v| (v.name, v.value));
    assert_eq!(read("K"), Ok(("K".into(), None)));
    assert_eq!(read("K="), Ok(("K".into(), Some("".into()))));
    assert_eq!(read("K=a=b"), Ok(("K".into(), Some("a=b".into()))));
    assert_eq!(read("=b"), Err(ValueError::EmptyName));
    assert_eq!(read(""), Err(ValueError::EmptyName));
}

#[test]
fn descriptors() {
    assert_eq!(descriptor("3"), Ok(3));
    assert_eq!(descriptor("2"), Err(ValueError::StandardStream));
    for text in ["", "-1", "+3", "x", "3.0", "99999999999"] {
        assert_eq!(descriptor(text), Err(ValueError::NotDescriptor), "{text}");
    }
}

proptest! {
    #[test]
    fn an_escaped_path_comes_back(source in "[a-z:/\\\\]{1,20}", destination in "/[a-z:\\\\]{1,20}") {
        let escape = |text: &str| text.replace('\\', r"\\").replace(':', r"\:");
        let value = format!("{}:{}", escape(&source), escape(&destination));
        prop_assert_eq!(bind_of(&value), Ok((source.into(), Some(destination.into()))));
    }

    #[test]
    fn no_value_panics(bytes: Vec<u8>) {
        let value = OsString::from_vec(bytes);
        let _ = (bind(value.clone()), tmpfs(value.clone()), variable(value));
    }
}
