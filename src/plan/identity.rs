//! Who the sandbox is, inside and outside.

use super::{HostIdentity, Identity, PlanError};
use crate::host::Facts;
use crate::profile::Profile;

/// The ids inside where the caller is root and the profile names none.
const USER: u32 = 1000;
/// `(uid_t) -1` means "unchanged" to the kernel, and is no id.
const NO_ID: u32 = u32::MAX;

/// What the ids of a plan are in place of those that are chosen at the start, where there is no user namespace to give them another
/// name: the kernel's overflow id.
const CHOSEN_LATER: Identity = Identity { uid: 65_534, gid: 65_534, host: HostIdentity::Unique };

/// An ordinary user is itself, whatever it is called inside. Root gives the sandbox an id that nothing else has, and is
/// refused where it cannot: a sandbox never has the host's uid 0. A root who is somebody else outside of its user namespace,
/// and has no other id to give, is as an ordinary user.
pub(super) fn identity(profile: &Profile, facts: &Facts) -> Result<Identity, PlanError> {
    let asked = profile.process.user;
    if let Some(user) = asked
        && (user.uid == NO_ID || user.gid == NO_ID)
    {
        let value = format!("{}:{}", user.uid, user.gid);
        return Err(PlanError::Value { key: "process.user", value, problem: "4294967295 is not an id" });
    }
    let asked = asked.map(|user| (user.uid, user.gid));
    if profile.namespaces.is_empty() { without_namespaces(asked, facts) } else { inside(asked, facts) }
}

/// The ids are what they are; root steps down from its own.
fn without_namespaces(asked: Option<(u32, u32)>, facts: &Facts) -> Result<Identity, PlanError> {
    let own = Identity { uid: facts.uid, gid: facts.gid, host: own(facts) };
    let stays = facts.uid != 0 || facts.ordinary_outside();
    match asked {
        None if facts.can_step_down() && facts.spare_ids.is_some() => Ok(CHOSEN_LATER),
        None if stays => Ok(own),
        Some(asked) if stays && asked == (facts.uid, facts.gid) => Ok(own),
        Some((uid, gid)) if uid != 0 && gid != 0 && facts.can_step_down() => {
            Ok(Identity { uid, gid, host: HostIdentity::Own { uid, gid } })
        }
        Some((uid, gid)) if uid != 0 && facts.uid != 0 => Err(PlanError::User { uid, gid }),
        _ => Err(PlanError::RootWithoutNamespaces),
    }
}

/// In a user namespace of the sandbox's own.
fn inside(asked: Option<(u32, u32)>, facts: &Facts) -> Result<Identity, PlanError> {
    let default = if facts.uid == 0 { (USER, USER) } else { (facts.uid, facts.gid) };
    let (uid, gid) = asked.unwrap_or(default);
    if facts.is_as_a_user() {
        return Ok(Identity { uid, gid, host: own(facts) });
    }
    match (facts.privileged(), facts.spare_ids) {
        (true, Some(_)) => Ok(Identity { uid, gid, host: HostIdentity::Unique }),
        (true, None) => Err(PlanError::TooFewIds { mapped: facts.mapped_ids.unwrap_or(0) }),
        (false, _) => Err(PlanError::RootWithoutCapabilities),
    }
}

fn own(facts: &Facts) -> HostIdentity {
    HostIdentity::Own { uid: facts.uid, gid: facts.gid }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capability::CapabilitySet;
    use crate::plan::tests::fixtures;
    use crate::profile::User;

    fn id() -> impl Strategy<Value = u32> {
        prop_oneof![Just(0), Just(1000), Just(NO_ID), any::<u32>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn nobody_gets_an_id_that_is_not_theirs(
            (uid, gid) in (id(), id()), asked in proptest::option::of((id(), id())), lite: bool,
            capabilities in prop_oneof![Just(0), Just(CapabilitySet::NAMED.bits()), any::<u64>()],
            spare_ids in prop_oneof![Just(None), Just(Some((5, 9)))], root_outside: bool,
        ) {
            let profile = if lite { fixtures::lite() } else { fixtures::profile() };
            let user = asked.map(|(uid, gid)| User { uid, gid });
            let profile = Profile { process: crate::profile::Process { user, ..profile.process.clone() }, ..profile };
            let capabilities = CapabilitySet::from_bits(capabilities);
            let facts = Facts { uid, gid, capabilities, spare_ids, root_outside, ..fixtures::facts() };
            let Ok(found) = identity(&profile, &facts) else {
                // An ordinary user with namespaces is refused nothing but what is no id.
                let no_id = asked.is_some_and(|(uid, gid)| uid == NO_ID || gid == NO_ID);
                prop_assert!(no_id || lite || uid == 0, "{asked:?}");
                return Ok(());
            };
            if lite && found.host == HostIdentity::Unique {
                prop_assert!(uid == 0 && asked.is_none() && facts.can_step_down() && spare_ids.is_some());
                return Ok(());
            }
            let default = if uid == 0 && !lite { (USER, USER) } else { (uid, gid) };
            prop_assert_eq!((found.uid, found.gid), asked.unwrap_or(default), "inside it is what was asked for");
            match found.host {
                HostIdentity::Unique => prop_assert!(uid == 0 && facts.privileged() && spare_ids.is_some()),
                HostIdentity::Own { uid: 0, .. } => prop_assert!(uid == 0 && !root_outside, "never the host's root"),
                HostIdentity::Own { uid: own, gid: group } => {
                    if uid != 0 {
                        prop_assert_eq!((own, group), (uid, gid), "an ordinary user stays itself outside");
                    } else {
                        // Root steps down, in lite only, to exactly what was asked for.
                        prop_assert!(lite && facts.can_step_down() && Some((own, group)) == asked && group != 0);
                    }
                }
            }
        }
    }
}
