//! A profile as it is put together, text on text; and the keys that are more than a field of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::filter::{self, FilterLayer};
use super::form::{Edit, Form as _, Or, Written, list, quote, quote_path};
use super::kinds::{CPU_QUOTA, INSIDE};
use super::names::{namespace, of_namespace};
use super::reader::{Table, Value};
use super::value_error::ValueError;
use super::{Conflict, Origin, Profile, ProfileError, units};

/// The kernel's own `cpu.cfs_period_us`.
const PERIOD: Duration = Duration::from_millis(100);

/// What the texts so far make.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) profile: Profile,
    /// The keys that any of them has.
    said: BTreeSet<&'static str>,
    /// CPU time in each period; `Some(None)` is no limit.
    pub(super) quota: Option<Option<Duration>>,
    pub(super) period: Option<Duration>,
    /// What the texts below say about the filter,
    below: FilterLayer,
    /// and the one that is being read.
    pub(super) filter: FilterLayer,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            profile: Profile::empty(),
            said: BTreeSet::new(),
            quota: None,
            period: None,
            below: FilterLayer::default(),
            filter: FilterLayer::default(),
        }
    }
}

impl Draft {
    /// That a text has this key, which has been read.
    pub(super) fn say(&mut self, key: &'static str) {
        self.said.insert(key);
    }

    /// Ends a text: what it says about the filter goes on top of what those below say.
    ///
    /// # Errors
    /// Parts of it do not go together, or there are rules for a filter that is off.
    pub(super) fn end(&mut self, text: &Table<'_>) -> Result<(), ProfileError> {
        let above = std::mem::take(&mut self.filter);
        if let Some(seccomp) = text.find("seccomp")? {
            filter::check(&above, &seccomp.table()?)?;
        }
        if self.below.is_off() && above.mode.is_none() && above.says_anything() {
            return Err(conflict(text.origin(), "seccomp", Conflict::FilterIsOff));
        }
        self.below.apply(above);
        Ok(())
    }

    /// Fills in what is not said.
    ///
    /// # Errors
    /// There are no namespaces or no filter, or the CPUs cannot be counted.
    pub(super) fn finish(self, name: String, origin: &Origin) -> Result<Profile, ProfileError> {
        let missing = |key: &str| conflict(origin, key, Conflict::Missing);
        let Self { mut profile, said, .. } = self;
        if !said.contains("namespaces") {
            return Err(missing("namespaces"));
        }
        profile.name = name;
        let lite = profile.namespaces.is_empty();
        let root = &mut profile.root;
        if !said.contains("root.readonly") {
            root.readonly = !root.overlay && !lite;
        }
        if !said.contains("root.etc") {
            root.synthetic_etc = !lite;
        }
        if !lite && !root.synthetic_etc {
            // There is none to show them in.
            root.etc_programs.clear();
        }
        if root.path.is_some() {
            profile.leave_system_to_root();
        }
        profile.resources.cpus = match (self.quota, self.period) {
            (None, Some(_)) => return Err(conflict(origin, "resources.cpu", Conflict::PeriodWithoutQuota)),
            (quota, period) => quota
                .flatten()
                .map(|quota| cpus(quota, period.unwrap_or(PERIOD)))
                .transpose()
                .map_err(|source| conflict(origin, "resources.cpu", source))?,
        };
        profile.seccomp = self.below.resolve(profile.process.capabilities, missing)?;
        Ok(profile)
    }
}

fn conflict(origin: &Origin, key: &str, source: Conflict) -> ProfileError {
    ProfileError::Conflict { profile: origin.clone(), key: key.to_owned(), source }
}

/// In thousandths.
fn cpus(quota: Duration, period: Duration) -> Result<u64, Conflict> {
    let (quota, period) = (quota.as_micros() * 1000, period.as_micros());
    let cpus = u64::try_from(quota / period).ok().filter(|cpus| *cpus <= units::MAX_CPUS);
    cpus.filter(|_| quota.is_multiple_of(period)).ok_or(Conflict::Quota)
}

/// `resources.cpu.quota`, in the kernel's period.
pub(super) fn written_quota(profile: &Profile) -> Written {
    let period = u64::try_from(PERIOD.as_micros()).unwrap_or(0);
    let quota = |cpus: u64| Duration::from_micros(cpus.saturating_mul(period / 1000));
    Or("unlimited", CPU_QUOTA).write(&profile.resources.cpus.map(quota))
}

/// `namespaces`: words for new ones, and tables with a `type` and a `path` for those that are joined.
pub(super) fn read_namespaces(draft: &mut Draft, value: &Value<'_>) -> Result<(), ProfileError> {
    let (tables, words): (Vec<_>, Vec<_>) = value.list()?.into_iter().partition(Value::is_table);
    let edit = Edit::read(value, &words, namespace)?;
    let mut above = BTreeMap::new();
    for entry in tables {
        let (kind, path) = entry.keys(|t| {
            let kind = t.read("type", |v| v.parse(namespace))?;
            let path = t.read("path", |v| INSIDE.value(v))?;
            Ok((t.need("type", kind)?, t.need("path", path)?))
        })?;
        let own = match &edit {
            Edit::Replace(new) | Edit::Change { add: new, .. } => new.contains(&kind),
        };
        if above.insert(kind, path).is_some() || own {
            return Err(entry.fail(ValueError::Duplicate { entry: of_namespace(kind).to_owned() }));
        }
    }
    let Profile { namespaces, joined, .. } = &mut draft.profile;
    match &edit {
        Edit::Replace(_) => joined.clear(),
        // An edit of nothing would end in few namespaces or none, which was not asked for.
        Edit::Change { .. } if !draft.said.contains("namespaces") => {
            return Err(conflict(&value.place().origin, "namespaces", Conflict::NothingInherited));
        }
        Edit::Change { add, remove } => {
            joined.retain(|namespace, _| !add.contains(namespace) && !remove.contains(namespace));
        }
    }
    joined.extend(above);
    *namespaces = edit.on(std::mem::take(namespaces));
    Ok(())
}

pub(super) fn written_namespaces(profile: &Profile) -> Written {
    let joined = profile.joined.iter().map(|(kind, path)| {
        format!("{{ type = {}, path = {} }}", quote(of_namespace(*kind)), quote_path(path))
    });
    Written::Value(list(profile.namespaces.iter().map(|kind| quote(of_namespace(*kind))).chain(joined)))
}

impl Profile {
    /// Takes out what only the minimal root needs, now that there is a root of one's own.
    pub(super) fn leave_system_to_root(&mut self) {
        self.root.synthetic_etc = false;
        self.root.etc_programs.clear();
        self.mounts.retain(|mount| !mount.system);
    }
}
