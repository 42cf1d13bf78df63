//! Bytes that processes send each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::assert_tame;
use crate::plan::Plan;
use crate::protocol::{End, Go, Message, Prelude, decode};
use crate::sandbox::call::{decode_reply, encode_reply};
use crate::sandbox::outcome::RawOutcome;
use crate::sandbox::{Ended, Error};
use crate::seccomp::{Action, Arch, Data};

/// init's side: the plan.
pub(super) fn plan(bytes: &[u8]) -> bool {
    let plan = match Plan::decode(bytes) {
        Ok(plan) => plan,
        Err(error) => {
            assert_tame(&crate::error_chain(&error));
            return false;
        }
    };
    plan.check().expect("a decoded plan is checked");
    let again = plan.encode().expect("what was decoded is encoded again");
    assert_eq!(Plan::decode(&again).expect("what was encoded is decoded again"), plan);
    assert!(again.len() <= bytes.len(), "the canonical encoding is the shortest");
    assert_eq!(plan.hash().expect("a hash").len(), 64);
    // Both forms for people, with any strings in the plan.
    let text = plan.to_text(&[]);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "control characters in {text:?}");
    assert!(plan.to_json(&[]).is_object());
    if let Some(seccomp) = &plan.task.seccomp {
        let program = &seccomp.program;
        program.validate().expect("a checked filter");
        for nr in [0, 1, 59, 157, 435, 0x4000_0001, u32::MAX] {
            for args in [[0; 6], [u64::MAX; 6], [1, 2, 3, 4, 5, 6]] {
                let value =
                    program.evaluate(&Data::new(nr, Arch::NATIVE, args)).expect("a valid filter ends");
                let constant = program.constant(nr, Arch::NATIVE);
                assert!(constant.is_none_or(|constant| constant == value), "{nr}: {constant:?} {value}");
                // An unknown return value kills; none of them is taken for a permission.
                if value >> 16 != 0x7fff {
                    assert_ne!(Action::from_return(value), Action::Allow);
                }
            }
        }
        program.readback(Arch::NATIVE).expect("a valid filter ends");
    }
    true
}

/// The caller's side: what init sends, and what it is made into. The first message of a datagram counts;
/// init's side of the same channel takes the caller's.
pub(super) fn status(bytes: &[u8]) -> bool {
    let go = decode::<Go>(bytes).is_ok() || decode::<Prelude>(bytes).is_ok();
    let greeting = crate::reexec::again::greeting(bytes);
    assert!(greeting.as_deref().is_none_or(|again| again == bytes), "two greetings that read alike");
    let Ok(message) = decode::<Message>(bytes) else { return go || greeting.is_some() };
    let again = postcard::to_stdvec(&message).expect("what was decoded is encoded again");
    let decoded = decode::<Message>(&again).expect("what was encoded is decoded again");
    match &message {
        Message::Failed(failure) => {
            assert_tame(&failure.to_string());
            let error = Error::from_init(failure.clone(), "program");
            assert_tame(&crate::error_chain(&error));
            assert!((125..=127).contains(&error.exit_code()));
        }
        Message::Log { text, .. } => assert_tame(text),
        Message::Ready(readback) => {
            readback.namespaces.iter().for_each(|name| assert_tame(name));
            assert_eq!(decoded, message);
        }
        Message::Disturbed(failure) => {
            assert_tame(&failure.to_string());
            let error = Error::Disturbed { source: Box::new(failure.clone()) };
            assert_tame(&crate::error_chain(&error));
            assert_eq!(error.exit_code(), 125);
        }
        Message::Ended { end, .. } => {
            assert_eq!(decoded, message);
            assert_eq!(status_of(*end), status_of(*end));
        }
        Message::RootBuilt | Message::Created | Message::Listener | Message::Started | Message::Terminal => {
            assert_eq!(decoded, message)
        }
    }
    true
}

/// Everything that is said of an end.
fn status_of(end: End) -> (Ended, u8, i32) {
    use std::os::unix::process::ExitStatusExt;
    let ended =
        Ended::new(&crate::plan::empty(), &RawOutcome { end: Some(end), ..RawOutcome::default() }, None);
    assert_tame(&ended.to_string());
    (ended, ended.exit_code(), ended.status(Some(end), 0).into_raw())
}

/// A type with what a hostile reply could abuse: nesting without an end, lists of nothing, absent large
/// values.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Tree {
    Leaf,
    Boxed(Box<Tree>),
    List(Vec<Tree>),
    Named { name: String, rest: Option<Box<Tree>> },
    Map(BTreeMap<String, Tree>),
    Nothing(Vec<()>),
    Bytes(Vec<u8>),
    Large(Vec<Option<[[u64; 32]; 32]>>),
    Wide(u128, i128, char, f64, bool),
}

/// What a typed call returns.
pub(super) fn call_reply(bytes: &[u8]) -> bool {
    let one = reply::<Tree>(bytes);
    let two = reply::<Result<Vec<(u32, String)>, String>>(bytes);
    let three = reply::<Vec<()>>(bytes);
    one || two || three
}

fn reply<R: Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> bool {
    match decode_reply::<R>(bytes) {
        Ok(value) => {
            // A NaN is not equal to itself, but its bytes are.
            let encode = |value: &R| encode_reply(value).expect("to encode a reply");
            let again = encode(&value);
            let decoded = decode_reply::<R>(&again).expect("what was encoded is decoded again");
            assert_eq!(encode(&decoded), again);
            true
        }
        Err(error) => {
            let text = crate::error_chain(&error);
            assert!(!text.chars().any(char::is_control), "control characters in {text:?}");
            assert_eq!(error.exit_code(), 125);
            matches!(error, Error::Panicked { .. })
        }
    }
}

/// A re-executed child's side: what is in its memfd. Only what a launcher would write is taken.
pub(super) fn credential(bytes: &[u8]) -> bool {
    let again = crate::reexec::again::credential(bytes);
    assert!(again.as_deref().is_none_or(|again| again == bytes), "two credentials that read alike");
    again.is_some()
}
