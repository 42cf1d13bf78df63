//! Ranges of ids, as a user namespace maps them (user_namespaces(7)).

use super::error::{PlanError, RangeProblem};
use crate::profile::IdRange;

/// The kernel takes 340 ranges (`UID_GID_MAP_MAX_EXTENTS`), in a text that is shorter than a page.
const MAX_RANGES: usize = 340;
const MAX_TEXT: usize = 4096;

/// Whether a list of ranges is one that a sandbox may have.
///
/// # Errors
/// No ids or too many ranges, numbers that are no ids, ids that are mapped twice, the host's root.
pub(super) fn check(key: &'static str, ranges: &[IdRange]) -> Result<(), PlanError> {
    if ranges.len() > MAX_RANGES {
        let what = "ranges of ids";
        return Err(PlanError::TooMany { what, count: ranges.len(), limit: MAX_RANGES });
    }
    if ranges.is_empty() {
        let problem = "a sandbox has an id: name a range, or leave the key out";
        return Err(PlanError::Value { key, value: "[]".to_owned(), problem });
    }
    for (at, range) in ranges.iter().enumerate() {
        let wrong = |problem| Err(PlanError::IdRange { key, range: *range, problem });
        let (inside, outside) = (span(range.inside, range.count), span(range.outside, range.count));
        let (Some(inside), Some(outside)) = (inside, outside) else { return wrong(RangeProblem::Numbers) };
        if range.outside == 0 {
            return wrong(RangeProblem::Root);
        }
        for earlier in ranges.iter().take(at) {
            // Looked at before: they are there.
            let over = |span: Option<(u32, u32)>, own: (u32, u32)| {
                span.is_some_and(|(first, last)| first <= own.1 && own.0 <= last)
            };
            if over(span(earlier.inside, earlier.count), inside) {
                return wrong(RangeProblem::Inside);
            }
            if over(span(earlier.outside, earlier.count), outside) {
                return wrong(RangeProblem::Outside);
            }
        }
    }
    let bytes = text(ranges).len();
    if bytes >= MAX_TEXT {
        let value = format!("{} ranges in {bytes} bytes", ranges.len());
        let problem = "the kernel takes at most 4095 bytes: use fewer ranges";
        return Err(PlanError::Value { key, value, problem });
    }
    Ok(())
}

/// The first and the last id, where all of them are ids.
fn span(first: u32, count: u32) -> Option<(u32, u32)> {
    let last = first.checked_add(count.checked_sub(1)?)?;
    (last != u32::MAX).then_some((first, last))
}

/// What an id inside is on the host.
pub(crate) fn outside(ranges: &[IdRange], id: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let at = id.checked_sub(range.inside).filter(|at| *at < range.count)?;
        range.outside.checked_add(at)
    })
}

/// What an id of the host is inside.
pub(crate) fn inside(ranges: &[IdRange], id: u32) -> Option<u32> {
    let back = |range: &IdRange| IdRange { inside: range.outside, outside: range.inside, count: range.count };
    outside(&ranges.iter().map(back).collect::<Vec<_>>(), id)
}

/// The same ids on both sides: for a user namespace below the one that has them.
pub(crate) fn as_inside(ranges: &[IdRange]) -> Vec<IdRange> {
    ranges.iter().map(|range| IdRange { outside: range.inside, ..*range }).collect()
}

/// As `uid_map` takes them.
pub(crate) fn text(ranges: &[IdRange]) -> String {
    ranges.iter().map(|IdRange { inside, outside, count }| format!("{inside} {outside} {count}\n")).collect()
}

/// What `uid_map` shows, sorted, as the kernel sorts a long one; `None` where it is not such a text.
pub(crate) fn read(text: &str) -> Option<Vec<IdRange>> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u32>().ok());
        let mut number = || numbers.next().flatten();
        let range = IdRange { inside: number()?, outside: number()?, count: number()? };
        numbers.next().is_none().then_some(range)
    };
    text.lines().map(line).collect::<Option<Vec<_>>>().map(sorted)
}

/// By the ids inside.
pub(crate) fn sorted(mut ranges: Vec<IdRange>) -> Vec<IdRange> {
    ranges.sort_unstable();
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range((inside, outside, count): (u32, u32, u32)) -> IdRange {
        IdRange { inside, outside, count }
    }

    fn problem(list: &[(u32, u32, u32)]) -> Option<RangeProblem> {
        match check("uidMappings", &list.iter().copied().map(range).collect::<Vec<_>>()) {
            Ok(()) => None,
            Err(PlanError::IdRange { problem, .. }) => Some(problem),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_not_a_range_is_refused() {
        for (list, expected) in [
            (&[(0, 1, 1)][..], None),
            (&[(0, 100_000, 65_536), (65_536, 1000, 1)], None),
            (&[(4_294_967_294, 4_294_967_294, 1)], None),
            (&[(0, 1, 0)], Some(RangeProblem::Numbers)),
            (&[(0, 4_294_967_295, 1)], Some(RangeProblem::Numbers)),
            (&[(4_294_967_295, 1, 1)], Some(RangeProblem::Numbers)),
            (&[(0, 1, 4_294_967_295)], Some(RangeProblem::Numbers)),
            (&[(2, 1, 4_294_967_294)], Some(RangeProblem::Numbers)),
            (&[(0, 0, 1)], Some(RangeProblem::Root)),
            (&[(0, 100, 1), (1, 0, 65_536)], Some(RangeProblem::Root)),
            (&[(0, 100, 10), (9, 200, 1)], Some(RangeProblem::Inside)),
            (&[(9, 200, 1), (0, 100, 10)], Some(RangeProblem::Inside)),
            (&[(0, 100, 10), (10, 109, 1)], Some(RangeProblem::Outside)),
        ] {
            assert_eq!(problem(list), expected, "{list:?}");
        }
        assert!(matches!(check("uidMappings", &[]), Err(PlanError::Value { .. })));
        let many: Vec<IdRange> = (0..=340).map(|n| range((n, n + 1, 1))).collect();
        assert!(matches!(check("uidMappings", &many), Err(PlanError::TooMany { .. })));
        let long: Vec<IdRange> = (0..300).map(|n| range((n, 1_000_000_000 + n, 1))).collect();
        let long = check("uidMappings", &long).unwrap_err();
        assert!(
            matches!(&long, PlanError::Value { problem, .. } if problem.contains("fewer ranges")),
            "{long}"
        );
        // Nothing that has to do with a program's arguments.
        assert_eq!((long.exit_code(), long.hint()), (125, None));
    }

    fn list() -> impl Strategy<Value = Vec<IdRange>> {
        let number = || prop_oneof![Just(0), 0..20_u32, Just(u32::MAX - 1), Just(u32::MAX)];
        proptest::collection::vec((number(), number(), number()).prop_map(range), 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// No id becomes the host's root, none is mapped twice, and the kernel's text is read as it is
        /// written.
        #[test]
        fn what_is_accepted_is_one_to_one(ranges in list(), id in 0..30_u32) {
            prop_assert_eq!(read(&text(&ranges)), Some(sorted(ranges.clone())));
            if check("uidMappings", &ranges).is_err() {
                return Ok(());
            }
            prop_assert_eq!(inside(&ranges, 0), None);
            prop_assert_eq!(outside(&ranges, u32::MAX), None);
            if let Some(host) = outside(&ranges, id) {
                prop_assert_eq!(inside(&ranges, host), Some(id));
            }
            if let Some(own) = inside(&ranges, id) {
                prop_assert_eq!(outside(&ranges, own), Some(id));
            }
            prop_assert_eq!(outside(&as_inside(&ranges), id), outside(&ranges, id).map(|_| id));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,100}") {
            drop(read(&text));
        }
    }
}
