//! Who the sandbox is, inside and outside.

use super::{HostIdentity, Identity, PlanError};
use crate::host::Facts;
use crate::profile::Profile;

/// The ids inside where the caller is root and the profile names none.
const USER: u32 = 1000;
/// `(uid_t) -1` means "unchanged" to the kernel, and is no id.
const NO_ID: u32 = u32::MAX;

/// An ordinary user is itself, whatever it is called inside. Root gives the sandbox an id that nothing else has, and is
/// refused where it cannot: a sandbox never has the host's uid 0. Without namespaces the ids are what they are; root must
/// name those that it steps down to.
pub(super) fn identity(profile: &Profile, facts: &Facts) -> Result<Identity, PlanError> {
    let asked = profile.process.user;
    if let Some(user) = asked
        && (user.uid == NO_ID || user.gid == NO_ID)
    {
        let value = format!("{}:{}", user.uid, user.gid);
        return Err(PlanError::Value { key: "process.user", value, problem: "4294967295 is not an id" });
    }
    let own = HostIdentity::Own { uid: facts.uid, gid: facts.gid };
    if profile.namespaces.is_empty() {
        return match asked {
            None if facts.uid == 0 => Err(PlanError::RootWithoutNamespaces),
            None => Ok(Identity { uid: facts.uid, gid: facts.gid, host: own }),
            Some(user) if user.uid == 0 || (facts.uid == 0 && user.gid == 0) => {
                Err(PlanError::RootWithoutNamespaces)
            }
            Some(user) if facts.uid == 0 => {
                if !facts.privileged() {
                    return Err(PlanError::RootWithoutCapabilities);
                }
                Ok(Identity {
                    uid: user.uid,
                    gid: user.gid,
                    host: HostIdentity::Own { uid: user.uid, gid: user.gid },
                })
            }
            Some(user) if (user.uid, user.gid) == (facts.uid, facts.gid) => {
                Ok(Identity { uid: facts.uid, gid: facts.gid, host: own })
            }
            Some(user) => Err(PlanError::User { uid: user.uid, gid: user.gid }),
        };
    }
    if facts.uid != 0 {
        let (uid, gid) = asked.map_or((facts.uid, facts.gid), |user| (user.uid, user.gid));
        return Ok(Identity { uid, gid, host: own });
    }
    if !facts.privileged() {
        return Err(PlanError::RootWithoutCapabilities);
    }
    // A rootless container's "root" may be the only id there is.
    if let Some(mapped) = facts.mapped_ids
        && mapped < 2
    {
        return Err(PlanError::TooFewIds { mapped });
    }
    let (uid, gid) = asked.map_or((USER, USER), |user| (user.uid, user.gid));
    Ok(Identity { uid, gid, host: HostIdentity::Unique })
}
