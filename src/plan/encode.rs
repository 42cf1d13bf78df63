//! A plan as bytes: on its way to init, and for its hash.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::error::PlanError;
use super::model::{Plan, Task};

/// Bytes that an encoded plan may have: arguments and environment (6 MiB) and everything else, with room.
pub const MAX_ENCODED: usize = 16 << 20;

impl Plan {
    /// The plan as bytes (postcard).
    ///
    /// # Errors
    /// [`PlanError::TooMany`] beyond [`MAX_ENCODED`].
    pub fn encode(&self) -> Result<Vec<u8>, PlanError> {
        encode("bytes of a plan", self)
    }

    /// A plan from its bytes, checked.
    ///
    /// # Errors
    /// [`PlanError::Decode`] for anything but the bytes of one plan, and what [`Plan::check`] finds.
    pub fn decode(bytes: &[u8]) -> Result<Self, PlanError> {
        let plan: Self = decode(bytes)?;
        plan.check()?;
        Ok(plan)
    }

    /// SHA-256 of the encoded plan, as lower-case hexadecimal digits: the same for the same decisions.
    ///
    /// # Errors
    /// As [`Plan::encode`].
    pub fn hash(&self) -> Result<String, PlanError> {
        Ok(crate::text::hexadecimal(&Sha256::digest(self.encode()?)))
    }
}

impl Task {
    /// The task as bytes (postcard): for walls that stand already.
    ///
    /// # Errors
    /// [`PlanError::TooMany`] beyond [`MAX_ENCODED`].
    pub(crate) fn encode(&self) -> Result<Vec<u8>, PlanError> {
        encode("bytes of a task", self)
    }

    /// A task from its bytes. Whether it fits the walls, [`Plan::check`] says.
    ///
    /// # Errors
    /// [`PlanError::Decode`] for anything but the bytes of one task.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PlanError> {
        decode(bytes)
    }
}

fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, PlanError> {
    let bytes =
        postcard::to_stdvec(value).map_err(|_| PlanError::Decode { problem: "it cannot be encoded" })?;
    if bytes.len() > MAX_ENCODED {
        return Err(PlanError::TooMany { what, count: bytes.len(), limit: MAX_ENCODED });
    }
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PlanError> {
    if bytes.len() > MAX_ENCODED {
        return Err(PlanError::Decode { problem: "it is too long" });
    }
    let (value, rest) =
        postcard::take_from_bytes(bytes).map_err(|_| PlanError::Decode { problem: "it is not a plan" })?;
    if rest.is_empty() { Ok(value) } else { Err(PlanError::Decode { problem: "something follows it" }) }
}
