//! The first datagram on the channel: the child says that it has taken its role, or why not.

use super::credential::Nonce;
use super::refusal::Refusal;

const HELLO: u8 = 1;
pub(super) const NEVER_INITIALISED: u8 = 2;
const REFUSED: u8 = 3;

/// Longer than any of them, so that a longer datagram is noticed.
pub(super) const BUFFER: usize = 64;

/// The child's first word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Hello(Nonce),
    NeverInitialised,
    Refused(Refusal),
}

impl Greeting {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Greeting::Hello(nonce) => [&[HELLO], nonce.as_slice()].concat(),
            Greeting::NeverInitialised => vec![NEVER_INITIALISED],
            Greeting::Refused(refusal) => vec![REFUSED, *refusal as u8],
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Greeting> {
        match bytes {
            [HELLO, nonce @ ..] => nonce.try_into().ok().map(Greeting::Hello),
            [NEVER_INITIALISED] => Some(Greeting::NeverInitialised),
            [REFUSED, code] => Refusal::from_code(*code).map(Greeting::Refused),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_read_back() {
        for greeting in [
            Greeting::Hello([9; 16]),
            Greeting::NeverInitialised,
            Greeting::Refused(Refusal::UnknownRole),
            Greeting::Refused(Refusal::Privileged),
        ] {
            assert_eq!(Greeting::decode(&greeting.encode()), Some(greeting));
        }
        for bad in [&[][..], &[1], &[1, 2, 3], &[2, 0], &[3], &[3, 200], &[9]] {
            assert_eq!(Greeting::decode(bad), None);
        }
    }
}
