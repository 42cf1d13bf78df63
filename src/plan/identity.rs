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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::tests::fixtures;
    use crate::profile::User;

    fn id() -> impl Strategy<Value = u32> {
        prop_oneof![Just(0), Just(1000), Just(NO_ID), any::<u32>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn nobody_gets_an_id_that_is_not_theirs(
            (uid, gid) in (id(), id()), asked in proptest::option::of((id(), id())), lite: bool, capable: bool,
            mapped in prop_oneof![Just(None), Just(Some(1)), Just(Some(1 << 32))],
        ) {
            let profile = if lite { fixtures::lite() } else { fixtures::profile() };
            let user = asked.map(|(uid, gid)| User { uid, gid });
            let profile = Profile { process: crate::profile::Process { user, ..profile.process.clone() }, ..profile };
            let capabilities = if capable { (1 << 41) - 1 } else { 0 };
            let facts = Facts { uid, gid, capabilities, mapped_ids: mapped, ..fixtures::facts() };
            let Ok(found) = identity(&profile, &facts) else {
                // An ordinary user with namespaces is refused nothing but what is no id.
                let no_id = asked.is_some_and(|(uid, gid)| uid == NO_ID || gid == NO_ID);
                prop_assert!(no_id || lite || uid == 0, "{asked:?}");
                return Ok(());
            };
            let asked = asked.unwrap_or(if uid == 0 { (USER, USER) } else { (uid, gid) });
            prop_assert_eq!((found.uid, found.gid), asked, "inside it is what was asked for");
            match found.host {
                HostIdentity::Unique => prop_assert!(uid == 0 && capable && !lite && mapped != Some(1)),
                HostIdentity::Own { uid: own, gid: group } => {
                    prop_assert_ne!(own, 0, "never the host's root");
                    if uid != 0 {
                        prop_assert_eq!((own, group), (uid, gid), "an ordinary user stays itself outside");
                    } else {
                        // Root steps down, in lite only, to exactly what was asked for.
                        prop_assert!(lite && capable && (own, group) == asked && group != 0);
                    }
                }
            }
        }
    }
}
