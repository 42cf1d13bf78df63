//! Who the sandbox is, inside and outside.

use super::error::{PlanError, RangeProblem};
use super::model::{BLOCK, HostIdentity, Identity, Ranges, RangesFrom};
use super::ranges;
use crate::host::{Facts, Subordinate, SubordinateRange};
use crate::profile::{IdMap, IdRange, Profile};

/// The ids inside where the caller is root and the profile names none.
const USER: u32 = 1000;
/// `(uid_t) -1` means "unchanged" to the kernel, and is no id.
const NO_ID: u32 = u32::MAX;

/// What the ids of a plan are in place of those that are chosen at the start, where there is no user
/// namespace to give them another name: the kernel's overflow id.
const CHOSEN_LATER: Identity = Identity { uid: 65_534, gid: 65_534, host: HostIdentity::Unique };

/// An ordinary user is itself, under any id inside. Root gives the sandbox an id that nothing else
/// has, and is refused where it cannot: a sandbox never has the host's uid 0. A root that is another user
/// outside of its user namespace, and has no other id to give, is as an ordinary user.
pub(super) fn identity(profile: &Profile, facts: &Facts) -> Result<Identity, PlanError> {
    let asked = profile.process.user;
    if let Some(user) = asked
        && (user.uid == NO_ID || user.gid == NO_ID)
    {
        let value = format!("{}:{}", user.uid, user.gid);
        return Err(PlanError::Value { key: "process.user", value, problem: "4294967295 is not an id" });
    }
    let asked = asked.map(|user| (user.uid, user.gid));
    if profile.namespaces.is_empty() {
        return without_namespaces(asked, facts);
    }
    match (&profile.uid_mappings, &profile.gid_mappings) {
        (IdMap::One, IdMap::One) => inside(asked, facts),
        (IdMap::Auto, IdMap::Auto) => automatic(asked, facts),
        (IdMap::Ranges(users), IdMap::Ranges(groups)) => named(asked, users, groups, facts),
        // A profile is checked before.
        _ => Err(PlanError::Value {
            key: "uidMappings",
            value: format!("{:?}", profile.uid_mappings),
            problem: "gidMappings is of another kind",
        }),
    }
}

/// Ranges that belljar chooses. An ordinary user is root inside.
fn automatic(asked: Option<(u32, u32)>, facts: &Facts) -> Result<Identity, PlanError> {
    let asked = asked.or(Some((0, 0)));
    if facts.uid != 0 {
        let Subordinate { users, groups } = subordinate(facts)?;
        let ranges = Ranges {
            users: above("uidMappings", facts.uid, users)?,
            groups: above("gidMappings", facts.gid, groups)?,
            from: RangesFrom::Subordinate,
        };
        return with_ranges(asked, ranges, facts);
    }
    let (uid, gid) = within(asked, facts, |uid, gid| uid < BLOCK && gid < BLOCK)?;
    match (facts.privileged(), facts.spare_blocks) {
        (true, Some(_)) => Ok(Identity { uid, gid, host: HostIdentity::UniqueRange }),
        (true, None) => Err(PlanError::TooFewIds { mapped: facts.mapped_ids.unwrap_or(0) }),
        (false, _) => Err(PlanError::RootWithoutCapabilities),
    }
}

/// Ranges that the profile names.
fn named(
    asked: Option<(u32, u32)>,
    users: &[IdRange],
    groups: &[IdRange],
    facts: &Facts,
) -> Result<Identity, PlanError> {
    ranges::check("uidMappings", users)?;
    ranges::check("gidMappings", groups)?;
    let (users, groups) = (users.to_vec(), groups.to_vec());
    if facts.uid == 0 {
        if !facts.privileged() {
            return Err(PlanError::RootWithoutCapabilities);
        }
        return with_ranges(asked, Ranges { users, groups, from: RangesFrom::Profile }, facts);
    }
    let is_own = |ranges: &[IdRange], id| matches!(ranges, [one] if (one.outside, one.count) == (id, 1));
    let (own_user, own_group) = (is_own(&users, facts.uid), is_own(&groups, facts.gid));
    if own_user && own_group {
        // The one-id form, expanded.
        let ranges = Ranges { users, groups, from: RangesFrom::Subordinate };
        let Identity { uid, gid, .. } = with_ranges(asked, ranges, facts)?;
        return Ok(Identity { uid, gid, host: own(facts) });
    }
    let subordinate = subordinate(facts)?;
    may_map("uidMappings", &users, facts.uid, &subordinate.users)?;
    may_map("gidMappings", &groups, facts.gid, &subordinate.groups)?;
    if own_group {
        // newgidmap would give up setgroups(2), and the caller's supplementary groups would stay
        // (CVE-2014-8989).
        return Err(PlanError::Unenforceable {
            key: "gidMappings".to_owned(),
            reason: "with the caller's own group alone the sandbox would keep its supplementary groups",
            hint: "map subordinate group ids as well, or the caller's own user id alone",
        });
    }
    with_ranges(asked, Ranges { users, groups, from: RangesFrom::Subordinate }, facts)
}

fn subordinate(facts: &Facts) -> Result<&Subordinate, PlanError> {
    match &facts.subordinate {
        Some(Ok(subordinate)) => Ok(subordinate),
        Some(Err(source)) => Err(PlanError::Subordinate { source: source.clone() }),
        None => Err(PlanError::Unenforceable {
            key: "uidMappings".to_owned(),
            reason: "the caller's subordinate ids were not looked up",
            hint: "use Facts::with_subordinate",
        }),
    }
}

/// The caller is 0 inside, and its subordinate ids follow.
fn above(key: &'static str, own: u32, subordinate: &[SubordinateRange]) -> Result<Vec<IdRange>, PlanError> {
    let mut all = vec![IdRange { inside: 0, outside: own, count: 1 }];
    let mut inside = 1_u32;
    for SubordinateRange { first, count } in subordinate {
        all.push(IdRange { inside, outside: *first, count: *count });
        // Where there are more than ids, the check says so.
        inside = inside.saturating_add(*count);
    }
    ranges::check(key, &all)?;
    Ok(all)
}

/// An ordinary user's own id, by itself, and subordinate ids: what newuidmap(1) maps.
fn may_map(
    key: &'static str,
    ranges: &[IdRange],
    own: u32,
    subordinate: &[SubordinateRange],
) -> Result<(), PlanError> {
    let is_theirs = |range: &IdRange| {
        (range.outside, range.count) == (own, 1)
            || subordinate.iter().any(|theirs| theirs.holds(range.outside, range.count))
    };
    match ranges.iter().find(|range| !is_theirs(range)) {
        Some(range) => Err(PlanError::IdRange { key, range: *range, problem: RangeProblem::Foreign }),
        None => Ok(()),
    }
}

fn with_ranges(asked: Option<(u32, u32)>, ranges: Ranges, facts: &Facts) -> Result<Identity, PlanError> {
    let (uid, gid) = within(asked, facts, |uid, gid| {
        ranges::outside(&ranges.users, uid).is_some() && ranges::outside(&ranges.groups, gid).is_some()
    })?;
    Ok(Identity { uid, gid, host: HostIdentity::Ranges(ranges) })
}

/// The ids of the task, which have to be mapped.
fn within(
    asked: Option<(u32, u32)>,
    facts: &Facts,
    is_mapped: impl Fn(u32, u32) -> bool,
) -> Result<(u32, u32), PlanError> {
    let (uid, gid) = asked.unwrap_or(default(facts));
    if is_mapped(uid, gid) {
        return Ok((uid, gid));
    }
    let problem =
        "it is not among the ids that are mapped (uidMappings, gidMappings; --user chooses another)";
    Err(PlanError::Value { key: "process.user", value: format!("{uid}:{gid}"), problem })
}

/// The ids inside where the profile names none.
fn default(facts: &Facts) -> (u32, u32) {
    if facts.uid == 0 { (USER, USER) } else { (facts.uid, facts.gid) }
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
    let (uid, gid) = asked.unwrap_or(default(facts));
    if facts.is_as_a_user() {
        return Ok(Identity { uid, gid, host: own(facts) });
    }
    match (facts.privileged(), facts.spare_ids) {
        (true, Some(_)) => Ok(Identity { uid, gid, host: HostIdentity::Unique }),
        (true, None) => Err(PlanError::TooFewIds { mapped: facts.mapped_ids.unwrap_or(0) }),
        (false, _) => Err(PlanError::RootWithoutCapabilities),
    }
}

impl Identity {
    /// Whether there is such a user inside.
    pub(crate) fn maps_user(&self, id: u32) -> bool {
        match &self.host {
            HostIdentity::Own { .. } | HostIdentity::Unique => id == self.uid,
            HostIdentity::UniqueRange => id < BLOCK,
            HostIdentity::Ranges(all) => ranges::outside(&all.users, id).is_some(),
        }
    }

    /// Whether there is such a group inside.
    pub(crate) fn maps_group(&self, id: u32) -> bool {
        match &self.host {
            HostIdentity::Own { .. } | HostIdentity::Unique => id == self.gid,
            HostIdentity::UniqueRange => id < BLOCK,
            HostIdentity::Ranges(all) => ranges::outside(&all.groups, id).is_some(),
        }
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
                HostIdentity::UniqueRange | HostIdentity::Ranges(_) => prop_assert!(false, "not asked for"),
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
