//! The values that profiles have: sizes, times, paths, ids and the like, by the forms that they take.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check;
use super::form::{Form, One, Set, Written, list, quote, quote_path};
use super::names;
use super::reader::Value;
use super::units;
use super::value_error::ValueError;
use super::{IdMap, IdRange, Limits, ProfileError, Rlimit, Throttle, Throttled, User};

pub(super) const FLAG: One<bool> =
    One { takes: "true, false", read: |v| v.boolean(), check: |_| Ok(()), write: bool::to_string };

pub(super) const SIZE: One<u64> = One {
    takes: "size",
    read: |v| v.number(units::size),
    check: |bytes| units::within(*bytes, 1, units::MAX),
    write: |bytes| quote(&units::show_size(*bytes)),
};

pub(super) const COUNT: One<u64> = One {
    takes: "number",
    read: |v| v.number(units::count),
    check: |number| units::within(*number, 1, units::MAX),
    write: u64::to_string,
};

/// The supervisor counts milliseconds.
pub(super) const TIME: One<Duration> = One {
    takes: "time",
    read: |v| v.number(units::duration),
    check: |time| check::multiple_of(*time, Duration::from_millis(1), "whole milliseconds (as in 1500ms)"),
    write: |time| quote(&units::show_duration(*time)),
};

/// `RLIMIT_CPU` counts seconds.
pub(super) const CPU_TIME: One<Duration> = One {
    takes: "time in whole seconds",
    check: |time| {
        let expected = "whole seconds (as in 10s), which is what the kernel counts CPU time in";
        check::multiple_of(*time, Duration::from_secs(1), expected)
    },
    ..TIME
};

/// `cpu.cfs_quota_us`.
pub(super) const CPU_QUOTA: One<Duration> = One { check: |_| Ok(()), ..TIME };

/// `cpu.cfs_period_us`: the kernel takes 1 ms to 1 s.
pub(super) const CPU_PERIOD: One<Duration> = One {
    check: |period| match (Duration::from_millis(1)..=Duration::from_secs(1)).contains(period) {
        true => Ok(()),
        false => Err(ValueError::Malformed {
            text: units::show_duration(*period),
            expected: "a period of 1ms to 1s",
        }),
    },
    ..TIME
};

/// What the kernel takes as `cpu.shares`.
pub(super) const CPU_SHARES: One<u64> =
    One { takes: "2 to 262144", check: |shares| units::within(*shares, 2, 262_144), ..COUNT };

/// Between bfq's bounds, which lie within those of `io.weight`.
pub(super) const IO_WEIGHT: One<u64> =
    One { takes: "1 to 1000", check: |weight| units::within(*weight, 1, 1000), ..COUNT };

/// A file mode creation mask.
pub(super) const UMASK: One<u32> = One {
    takes: "octal number",
    read: |v| v.octal(0o777),
    check: |mask| units::octal(&format!("{mask:o}"), 0o777).map(drop),
    write: |mask| format!("0o{mask:03o}"),
};

/// A line of text for people.
pub(super) const LINE: One<String> = One {
    takes: "text",
    read: |v| Ok(v.string()?.to_owned()),
    check: |text| check::line(text),
    write: |text| quote(text),
};

pub(super) const HOSTNAME: One<String> =
    One { takes: "text, at most 64 bytes", check: |name| check::hostname(name), ..LINE };

pub(super) const HOST_PATH: One<PathBuf> = One {
    takes: "path",
    read: |v| v.host_path(),
    check: |path| check::real_host_path(path),
    write: |path| quote_path(path),
};

pub(super) const INSIDE: One<PathBuf> = One {
    takes: "path inside",
    read: |v| v.parse(|text| Ok(PathBuf::from(text))),
    check: |path| check::inside(path),
    write: |path| quote_path(path),
};

pub(super) const CWD: One<PathBuf> = One { check: |path| check::cwd(path), ..INSIDE };

/// A list of paths inside, without order.
pub(super) const PATHS: Set<Vec<PathBuf>, PathBuf> = Set {
    takes: "list of paths inside",
    parse: |text| check::inside(Path::new(text)).map(|()| PathBuf::from(text)),
    show: |path| path.to_string_lossy().into_owned(),
    check: |paths| paths.iter().try_for_each(|path| check::inside(path)),
    entries: |paths| paths.iter().cloned().collect(),
    collect: |paths| paths.into_iter().collect(),
};

/// A set of words, which are what they are written as.
pub(super) const fn set<T: Ord + Clone>(
    takes: &'static str,
    parse: fn(&str) -> Result<T, ValueError>,
    show: fn(&T) -> String,
    check: fn(&BTreeSet<T>) -> Result<(), ValueError>,
) -> Set<BTreeSet<T>, T> {
    Set { takes, parse, show, check, entries: Clone::clone, collect: |entries| entries }
}

/// `UID[:GID]`, `{ uid, gid }`, or what belljar chooses.
pub(super) const USER: One<Option<User>> = One {
    takes: "`UID[:GID]`, `default`",
    read: |v| match v.is_table() {
        true => v.keys(|t| {
            let id = |v: &Value<'_>| v.number(units::id_in_range);
            let (uid, gid) = (t.read("uid", id)?, t.read("gid", id)?);
            let uid = t.need("uid", uid)?;
            Ok(Some(User { uid, gid: gid.unwrap_or(uid) }))
        }),
        false if v.is_word("default") => Ok(None),
        false => v.number(units::user).map(Some),
    },
    check: |user| match user {
        Some(User { uid, gid }) if [*uid, *gid].contains(&u32::MAX) => {
            Err(ValueError::range(format!("{uid}:{gid}"), 0, u32::MAX - 1))
        }
        _ => Ok(()),
    },
    write: |user| {
        quote(&user.map_or_else(|| "default".to_owned(), |user| format!("{}:{}", user.uid, user.gid)))
    },
};

/// A list of ranges, or what belljar chooses.
pub(super) const ID_MAP: One<IdMap> = One {
    takes: "list of `{ containerID, hostID, size }`, `auto`, `default`",
    read: |v| {
        if !v.is_list() {
            return v.parse(|text| match text {
                "auto" => Ok(IdMap::Auto),
                "default" => Ok(IdMap::One),
                _ => Err(ValueError::unknown(text, "id map", ["auto", "default"])),
            });
        }
        v.each(|entry| {
            entry.keys(|t| {
                let id = |v: &Value<'_>| v.number(units::id_in_range);
                let (inside, outside) = (t.read("containerID", id)?, t.read("hostID", id)?);
                let count = t.read("size", |v| v.number(units::id_count))?;
                Ok(IdRange {
                    inside: t.need("containerID", inside)?,
                    outside: t.need("hostID", outside)?,
                    count: t.need("size", count)?,
                })
            })
        })
        .map(IdMap::Ranges)
    },
    check: |map| match map {
        IdMap::Ranges(ranges) => ranges.iter().try_for_each(|range| {
            units::id_range(&format!("{}:{}:{}", range.inside, range.outside, range.count)).map(drop)
        }),
        IdMap::One | IdMap::Auto => Ok(()),
    },
    write: |map| match map {
        IdMap::One => quote("default"),
        IdMap::Auto => quote("auto"),
        IdMap::Ranges(ranges) => list(ranges.iter().map(|IdRange { inside, outside, count }| {
            format!("{{ containerID = {inside}, hostID = {outside}, size = {count} }}")
        })),
    },
};

/// `limits.output`: how many bytes, and whether what comes after them is thrown away.
pub(super) struct Output;

impl Form for Output {
    type Value = Limits;

    fn takes(&self) -> String {
        "size, size`:truncate`, `unlimited`".to_owned()
    }

    fn read(&self, at: &mut Limits, value: &Value<'_>) -> Result<(), ProfileError> {
        let output = value.number(|text| units::limit(text, units::output))?;
        at.output = output.map(|(bytes, _)| bytes);
        at.output_truncated = output.is_some_and(|(_, truncated)| truncated);
        Ok(())
    }

    fn check(&self, at: &Limits) -> Result<(), ValueError> {
        at.output.map_or(Ok(()), |bytes| SIZE.check(&bytes))
    }

    fn write(&self, at: &Limits) -> Written {
        let show = |bytes| units::show_output(bytes, at.output_truncated);
        Written::Value(quote(&at.output.map_or_else(|| "unlimited".to_owned(), show)))
    }
}

/// `K=V` and `K`, each name once: an entry takes the place of the inherited one.
pub(super) struct Environment;

impl Form for Environment {
    type Value = Vec<String>;

    fn takes(&self) -> String {
        "list of `K=V` and `K`".to_owned()
    }

    fn read(&self, at: &mut Vec<String>, value: &Value<'_>) -> Result<(), ProfileError> {
        let mut above = BTreeMap::new();
        for entry in value.list()? {
            let (name, text) =
                entry.parse(|text| Ok((check::variable(text)?.to_owned(), text.to_owned())))?;
            if above.insert(name.clone(), text).is_some() {
                return Err(entry.fail(ValueError::Duplicate { entry: name }));
            }
        }
        let named = |text: String| (text.split('=').next().unwrap_or_default().to_owned(), text);
        let mut all: BTreeMap<String, String> = std::mem::take(at).into_iter().map(named).collect();
        all.extend(above);
        *at = all.into_values().collect();
        Ok(())
    }

    fn check(&self, at: &Vec<String>) -> Result<(), ValueError> {
        at.iter().try_for_each(|entry| check::variable(entry).map(drop))
    }

    fn write(&self, at: &Vec<String>) -> Written {
        Written::Value(list(at.iter().map(|entry| quote(entry))))
    }
}

/// Resource limits by their names: an entry takes the place of the inherited one.
pub(super) struct Rlimits;

impl Form for Rlimits {
    type Value = BTreeMap<String, Rlimit>;

    fn takes(&self) -> String {
        "table of NAME = number, size, `unlimited` or `{ soft, hard }`".to_owned()
    }

    fn read(&self, at: &mut Self::Value, value: &Value<'_>) -> Result<(), ProfileError> {
        let mut seen = BTreeSet::new();
        for (name, value) in value.table()?.entries() {
            let name = names::rlimit(name).map_err(|error| value.fail(error))?;
            let limit = if value.is_table() {
                value.keys(|t| {
                    let number = |v: &Value<'_>| v.number(units::rlimit);
                    let (soft, hard) = (t.read("soft", number)?, t.read("hard", number)?);
                    Ok(Rlimit { soft: t.need("soft", soft)?, hard: t.need("hard", hard)? })
                })?
            } else {
                let both = value.number(units::rlimit)?;
                Rlimit { soft: both, hard: both }
            };
            check::rlimit(limit).map_err(|error| value.fail(error))?;
            if !seen.insert(name) {
                return Err(value.fail(ValueError::Duplicate { entry: name.to_owned() }));
            }
            at.insert(name.to_owned(), limit);
        }
        Ok(())
    }

    fn check(&self, at: &Self::Value) -> Result<(), ValueError> {
        at.iter().try_for_each(|(name, limit)| names::rlimit(name).and_then(|_| check::rlimit(*limit)))
    }

    fn write(&self, at: &Self::Value) -> Written {
        let number = |n: &Option<u64>| n.map_or_else(|| "\"unlimited\"".to_owned(), |n| n.to_string());
        let show = |Rlimit { soft, hard }: &Rlimit| match soft == hard {
            true => number(soft),
            false => format!("{{ soft = {}, hard = {} }}", number(soft), number(hard)),
        };
        Written::Table(at.iter().map(|(name, limit)| (name.clone(), show(limit))).collect())
    }
}

/// What may be done to disks in a second, of one kind: `{ path, rate }`, each path once.
pub(super) struct Throttles(pub(super) Throttled);

impl Throttles {
    fn of<'a>(&self, all: &'a [Throttle]) -> impl Iterator<Item = &'a Throttle> {
        let kind = self.0;
        all.iter().filter(move |throttle| throttle.kind == kind)
    }
}

impl Form for Throttles {
    type Value = Vec<Throttle>;

    fn takes(&self) -> String {
        "list of `{ path, rate }`".to_owned()
    }

    fn read(&self, at: &mut Vec<Throttle>, value: &Value<'_>) -> Result<(), ProfileError> {
        let kind = self.0;
        let mut seen = BTreeSet::new();
        let mut above = Vec::new();
        for entry in value.list()? {
            let throttle = entry.keys(|t| {
                let path = t.read("path", |v| INSIDE.value(v))?;
                let rate = t.read("rate", |v| v.number(|text| units::rate(text, kind)))?;
                Ok(Throttle { path: t.need("path", path)?, kind, rate: t.need("rate", rate)? })
            })?;
            if !seen.insert(throttle.path.clone()) {
                let path = throttle.path.to_string_lossy().into_owned();
                return Err(entry.fail(ValueError::Duplicate { entry: path }));
            }
            above.push(throttle);
        }
        at.retain(|throttle| throttle.kind != kind);
        at.extend(above);
        // One kind after the other.
        at.sort_by_key(|throttle| throttle.kind);
        Ok(())
    }

    fn check(&self, at: &Vec<Throttle>) -> Result<(), ValueError> {
        self.of(at).try_for_each(|throttle| {
            check::inside(&throttle.path)?;
            units::rate(&units::show_rate(throttle.rate, self.0), self.0).map(drop)
        })
    }

    fn write(&self, at: &Vec<Throttle>) -> Written {
        let show = |throttle: &Throttle| {
            let rate = units::show_rate(throttle.rate, self.0);
            format!("{{ path = {}, rate = {} }}", quote_path(&throttle.path), quote(&rate))
        };
        let all: Vec<String> = self.of(at).map(show).collect();
        if all.is_empty() { Written::Nothing } else { Written::Value(list(all.into_iter())) }
    }
}
