use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Tree>),
    List(Vec<Tree>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Chain(Option<Box<Chain>>);

fn nested(depth: usize) -> Vec<u8> {
    // `Tree::Node` is 1, `Tree::Leaf` 0.
    [vec![1; depth], vec![0]].concat()
}

#[test]
fn depth_is_bounded_and_enough() {
    // A level for the variant's own number is left again before its content is read.
    assert!(decode::<Tree>(&nested(MAX_DEPTH as usize - 1)).is_ok());
    assert_eq!(decode::<Tree>(&nested(MAX_DEPTH as usize)), Err(BoundedError::Depth));
    // Without a bound this is the end of the process, not an error.
    assert_eq!(decode::<Tree>(&nested(4 << 20)), Err(BoundedError::Depth));
    assert_eq!(decode::<Tree>(&[2, 1].repeat(1 << 20)), Err(BoundedError::Depth));
    assert_eq!(decode::<Chain>(&vec![1; 4 << 20]), Err(BoundedError::Depth));
}

/// The deepest value fits on the smallest stack that a thread of std's has.
#[test]
fn the_deepest_value_fits_on_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let decoded = thread.spawn(|| decode::<Tree>(&nested(MAX_DEPTH as usize - 1)).is_ok()).expect("a thread");
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
        assert_eq!(
            decode::<Large>(&nested(4)),
            Ok((0..4).fold(Large::Leaf, |inner, _| Large::Node(inner.into())))
        );
        decode::<Large>(&nested(MAX_DEPTH as usize - 1)).err()
    });
    let error = decoded.expect("a thread").join().expect("no overflow");
    assert!(matches!(error, None | Some(BoundedError::Depth)), "{error:?}");
}

#[test]
#[cfg_attr(miri, ignore = "a hundred thousand elements take minutes")]
fn lists_of_nothing_end() {
    // Two to the power of 63 empty values in ten bytes.
    let endless = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    assert_eq!(decode::<Vec<()>>(&endless), Err(BoundedError::Memory { limit: memory(10) }));
    assert_eq!(decode::<Vec<()>>(&[3]), Ok(vec![(); 3]));
}

#[test]
fn absent_large_values_are_counted_as_what_they_take() {
    type Large = Option<[[u64; 32]; 32]>;
    let list = |count: usize| {
        let mut bytes = postcard::to_stdvec(&count).expect("a number");
        bytes.resize(bytes.len() + count, 0);
        bytes
    };
    let bytes = list(4000);
    let over = decode::<Vec<Large>>(&bytes).map(|list| list.len());
    assert_eq!(over, Err(BoundedError::Memory { limit: memory(bytes.len()) }));
    // However long it is.
    assert_eq!(memory(usize::MAX), MAX_MEMORY);
    assert_eq!(decode::<Vec<Large>>(&list(9)).map(|list| list.len()), Ok(9));
}

#[test]
fn a_length_alone_reserves_nothing() {
    // A length without the elements: an error at once, whatever it says.
    let says = postcard::to_stdvec(&(1_u64 << 40)).expect("a number");
    assert!(matches!(decode::<Vec<[u64; 16]>>(&says), Err(BoundedError::Malformed(_))));
    assert!(matches!(decode::<String>(&says), Err(BoundedError::Malformed(_))));
}

#[test]
fn nothing_may_follow() {
    assert_eq!(decode::<u8>(&[7]), Ok(7));
    assert!(matches!(decode::<u8>(&[7, 0]), Err(BoundedError::Malformed(_))));
    assert!(matches!(decode::<u8>(&[]), Err(BoundedError::Malformed(_))));
}

proptest::proptest! {
    /// Within the bounds it is postcard, no more and no less.
    #[test]
    #[cfg_attr(miri, ignore = "making the values up takes minutes")]
    fn what_fits_is_decoded_as_postcard_does(
        value: (Vec<(u8, String, Option<i64>)>, std::collections::BTreeMap<String, (char, f32, bool)>, Result<u128, ()>),
    ) {
        let bytes = postcard::to_stdvec(&value).expect("to encode");
        proptest::prop_assert_eq!(decode(&bytes), Ok(value));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
        match (decode::<Tree>(&bytes), postcard::take_from_bytes::<Tree>(&bytes)) {
            (Ok(ours), Ok((theirs, []))) => proptest::prop_assert_eq!(ours, theirs),
            (Err(BoundedError::Malformed(_)), Err(_) | Ok((_, [_, ..]))) => {}
            (ours, theirs) => proptest::prop_assert!(false, "{ours:?} {theirs:?}"),
        }
    }
}
