use std::collections::{BTreeMap, HashMap};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bounds::{MAX_DEPTH, memory};
use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Tree>),
    List(Vec<Tree>),
}

fn nested(depth: usize) -> Vec<u8> {
    let value = |depth| (0..depth).fold(Tree::Leaf, |inner, _| Tree::Node(inner.into()));
    let (one, two) = (encode(&value(1)).expect("one"), encode(&value(2)).expect("two"));
    // Node, and the name that it has from the second on, for each level; the innermost is written as in
    // `one`.
    let level = [tag::VARIANT, tag::NAME, 0];
    assert_eq!(two[one.len() - 7..], [&level, &one[one.len() - 7..]].concat()[..]);
    let (first, last) = one.split_at(one.len() - 7);
    [first, &level.repeat(depth - 1), last].concat()
}

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
    let bytes = encode(&value).expect("to encode");
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(&value));
    assert_eq!(decode_trusted::<T>(&bytes), Ok(value));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    a: Option<u8>,
    b: Option<Vec<u8>>,
    #[serde(skip_serializing, default)]
    c: u8,
    #[serde(skip)]
    d: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    x: u8,
    y: Option<Option<u8>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    k: u8,
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    rest: BTreeMap<String, i64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
    Variant(Plain),
    Fields { z: i8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
enum Internal {
    Fields { x: u8 },
    Unit,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Tuple(u8, u8),
    Unit,
    Absent(Option<()>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Plain {
    Unit,
    #[serde(skip)]
    #[allow(dead_code)] // It moves the numbers of those that follow.
    Never,
    Absent(Option<Option<()>>),
    Tuple(u8, i64),
    Fields {
        a: char,
        b: f32,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Empty;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct New(Option<u8>);

/// Each of these is another value, or none, in some format that crates have.
#[test]
fn what_other_formats_lose_comes_back() {
    comes_back(Sparse { a: None, b: Some(vec![0]), c: 0, d: 0 });
    comes_back(Sparse { a: Some(1), b: None, c: 0, d: 0 });
    comes_back((None::<Option<u8>>, Some(None::<u8>), Some(Some(None::<u8>)), Some(()), None::<()>));
    comes_back(vec![Some(None), None, Some(Some(3_u8))]);
    comes_back(Flat { k: 1, inner: Inner { x: 2, y: Some(None) }, rest: [("w".to_owned(), -5)].into() });
    comes_back(vec![
        Untagged::Number(3),
        Untagged::Text("x".to_owned()),
        Untagged::Variant(Plain::Tuple(1, -1)),
        Untagged::Variant(Plain::Fields { a: 'é', b: 0.5 }),
        Untagged::Fields { z: -1 },
    ]);
    comes_back(vec![Internal::Fields { x: 1 }, Internal::Unit]);
    comes_back(vec![
        Adjacent::Tuple(1, 2),
        Adjacent::Unit,
        Adjacent::Absent(Some(())),
        Adjacent::Absent(None),
    ]);
    comes_back(vec![
        Plain::Unit,
        Plain::Absent(None),
        Plain::Absent(Some(None)),
        Plain::Absent(Some(Some(()))),
    ]);
    comes_back((Empty, (), New(None), New(Some(1)), [0_u8; 0], [1_u8, 2]));
}

#[test]
fn numbers_and_texts_come_back() {
    comes_back((u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX, 0_u8, 127_u8, 128_u8));
    comes_back((i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN, -1_i8, i64::MAX));
    comes_back((f32::MIN, f64::MAX, f64::INFINITY, -0.0_f64, true, false, '\u{10ffff}', 'a'));
    comes_back((String::new(), "é".to_owned(), vec![200_u8; 300]));
    comes_back(BTreeMap::from([((1_u8, 'a'), vec![1_u16]), ((2, 'b'), vec![])]));
    comes_back(BTreeMap::from([((), Some(()))]));
    comes_back(HashMap::from([("k".to_owned(), Ok::<u8, String>(1)), (String::new(), Err("e".to_owned()))]));
    comes_back((std::path::PathBuf::from("/x"), std::time::Duration::from_nanos(5), 0_u8..4));
    comes_back((std::net::IpAddr::from([1, 2, 3, 4]), std::ffi::CString::new("abc").expect("no NUL")));
    comes_back((std::ffi::OsString::from("abc"), std::time::SystemTime::UNIX_EPOCH));
}

#[test]
fn a_type_that_does_not_read_what_it_writes_is_told_by_name() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Asymmetric {
        #[serde(rename(serialize = "one", deserialize = "two"))]
        field: u8,
    }
    let bytes = encode(&Asymmetric { field: 1 }).expect("to encode");
    let error = decode::<Asymmetric>(&bytes).expect_err("another name");
    assert_eq!(error, CodecError::Type("missing field `two`".to_owned()));
    let narrow = decode::<u8>(&encode(&256_u16).expect("to encode")).expect_err("too large").to_string();
    assert!(narrow.contains("256") && narrow.contains("u8"), "{narrow}");
}

#[test]
fn depth_is_bounded_and_enough() {
    // A level for the variant, which has its value one level deeper.
    assert!(decode::<Tree>(&nested(MAX_DEPTH as usize)).is_ok());
    let deep = Err(CodecError::Depth { limit: MAX_DEPTH });
    assert_eq!(decode::<Tree>(&nested(MAX_DEPTH as usize + 1)), deep);
    // Without a bound this is the end of the process, not an error.
    assert_eq!(decode::<Tree>(&nested(1 << 20)), deep);
    assert!(decode::<Vec<Vec<serde::de::IgnoredAny>>>(&[tag::SEQ; 1 << 20]).is_err());
    assert!(decode::<serde::de::IgnoredAny>(&[tag::SOME; 1 << 20]).is_err());
    assert!(decode::<serde::de::IgnoredAny>(&[tag::MAP; 1 << 20]).is_err());
}

/// The deepest value fits on the smallest stack that a thread of std's has.
#[test]
fn the_deepest_value_fits_on_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let decoded = thread.spawn(|| decode::<Tree>(&nested(MAX_DEPTH as usize)).is_ok()).expect("a thread");
    assert!(decoded.join().expect("no overflow"));
}

/// Nor does the stack end where a level takes much of it, as values that lie in each other do.
#[test]
fn large_levels_end_before_the_stack_does() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[allow(clippy::large_enum_variant)] // What is tried.
    enum Large {
        Leaf,
        Node(Box<Large>),
        Values([[u64; 32]; 32]),
    }
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let decoded = thread.spawn(|| {
        let few = (0..4).fold(Large::Leaf, |inner, _| Large::Node(inner.into()));
        assert_eq!(decode::<Large>(&nested(4)), Ok(few));
        decode::<Large>(&nested(MAX_DEPTH as usize)).err()
    });
    let error = decoded.expect("a thread").join().expect("no overflow");
    assert!(matches!(error, None | Some(CodecError::Depth { .. })), "{error:?}");
}

#[test]
fn there_is_no_length_to_lie_about() {
    for says in [tag::STR, tag::BYTES] {
        let bytes = [says, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(decode::<String>(&bytes), Err(CodecError::Malformed { .. })));
        assert!(matches!(decode::<Vec<u8>>(&bytes), Err(CodecError::Malformed { .. })));
    }
    assert!(matches!(decode::<Vec<u8>>(&[tag::SEQ, 1, 2]), Err(CodecError::Malformed { at: 3 })));
    // Elements that a tuple has no room for, and too few.
    assert!(decode::<(u8, u8)>(&[tag::SEQ, 1, 2, 3, tag::END]).is_err());
    assert!(decode::<(u8, u8)>(&[tag::SEQ, 1, tag::END]).is_err());
    // A number that is longer than any, or not the shortest way to write one that fits.
    assert!(decode::<u64>(&[[tag::UNSIGNED].as_slice(), &[0xff; 9], &[2]].concat()).is_err());
}

#[test]
fn nothing_may_follow() {
    assert_eq!(decode::<u8>(&[7]), Ok(7));
    assert_eq!(decode::<u8>(&[7, 0]), Err(CodecError::Trailing { bytes: 1 }));
    assert_eq!(decode::<u8>(&[]), Err(CodecError::Malformed { at: 0 }));
}

#[test]
fn what_is_larger_than_its_bytes_is_counted_as_what_it_takes() {
    type Large = Option<[[u64; 32]; 32]>;
    let list = |count| [vec![tag::SEQ], vec![tag::NONE; count], vec![tag::END]].concat();
    let bytes = list(4000);
    let limit = memory(bytes.len());
    assert_eq!(decode::<Vec<Large>>(&bytes).map(drop), Err(CodecError::Memory { limit }));
    assert_eq!(decode::<Vec<Large>>(&list(9)).map(|list| list.len()), Ok(9));
    // A long name that is written once and meant often.
    let name = encode(&BTreeMap::from([("x".repeat(100_000), 0)])).expect("to encode");
    let text = &name[1..name.len() - 2];
    let first = [&[tag::STRUCT, tag::NEW_NAME], &text[1..], &[0]].concat();
    let again = [tag::NAME, 0, 0].repeat(10_000);
    let bytes = [first, again, vec![tag::END]].concat();
    assert!(matches!(decode::<BTreeMap<String, u8>>(&bytes), Err(CodecError::Memory { .. })));
    // However long it is.
    assert_eq!(memory(usize::MAX), 512 << 20);
}

proptest::proptest! {
    #[test]
    #[cfg_attr(miri, ignore = "making the values up takes minutes")]
    fn any_value_comes_back(
        value: (Vec<(u8, String, Option<i64>)>, BTreeMap<String, (char, f32, bool)>, Result<u128, ()>, Option<Option<i128>>),
    ) {
        comes_back(value);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
        if let Ok(value) = decode::<Tree>(&bytes) {
            comes_back(value);
        }
        drop(decode::<Untagged>(&bytes));
        drop(decode::<Flat>(&bytes));
    }
}
