//! What was read, written again: for the fuzzers, which check that nothing has two readings.

use super::credential::{self, Credential, header};
use super::hello::Greeting;

impl Credential {
    /// Its bytes, as a launcher writes them.
    pub(super) fn encode(&self) -> Vec<u8> {
        let head = header(self.flags, &self.nonce, self.extra, &self.role, &self.payload);
        [&head, self.role.as_bytes(), &self.payload].concat()
    }
}

/// What a launcher writes for what a child reads from these bytes, if it takes them for a credential.
pub(crate) fn credential(bytes: &[u8]) -> Option<Vec<u8>> {
    credential::parse(bytes).ok().map(|credential| credential.encode())
}

/// The bytes of a credential.
#[cfg(test)]
pub(crate) fn credential_of(role: &str, payload: &[u8]) -> Vec<u8> {
    let (role, payload) = (role.to_owned(), payload.to_vec());
    Credential { flags: 3, nonce: [7; 16], extra: 2, role, payload }.encode()
}

/// What a child sends for what a launcher reads from these bytes, if it takes them for a child's first word.
pub(crate) fn greeting(bytes: &[u8]) -> Option<Vec<u8>> {
    Greeting::decode(bytes).map(|greeting| greeting.encode())
}
