//! The table, a file for each family.

mod descriptors;
mod kernel;
mod leaks;
mod mounts;
mod network;
mod profiles;
mod resources;
mod terminal;

use super::Row;

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [
        terminal::ROWS,
        descriptors::ROWS,
        mounts::ROWS,
        resources::ROWS,
        network::ROWS,
        leaks::ROWS,
        profiles::ROWS,
    ]
    .into_iter()
    .chain(kernel::TABLES)
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::builtin_names;
    use crate::selftest::{Check, Control, Removal};

    #[test]
    fn ids_are_unique_and_claims_name_profiles_once() {
        let mut seen = std::collections::BTreeSet::new();
        for row in rows() {
            assert!(seen.insert(row.id), "{} twice", row.id);
            let Check::Probe(probe) = &row.check else { continue };
            let mut claimed = std::collections::BTreeSet::new();
            for claim in probe.claims {
                assert!(!claim.walls.is_empty(), "{}", row.id);
                for profile in claim.profiles {
                    assert!(builtin_names().contains(profile), "{}: {profile}", row.id);
                    assert!(claimed.insert(profile), "{}: {profile} twice", row.id);
                }
                // Something has to show that the probe can succeed at all.
                let proof = probe.control.runs() || !matches!(claim.removal, Removal::Fixed(_));
                assert!(proof, "{} has neither a control nor a mutation", row.id);
            }
            assert!(!claimed.is_empty(), "{} is claimed by no profile", row.id);
        }
    }

    #[test]
    fn the_tests_that_rows_name_exist() {
        for row in rows() {
            let Check::Tests(tests) = &row.check else { continue };
            assert!(!tests.is_empty(), "{}", row.id);
            for test in *tests {
                let (file, name) = test.split_once(": ").unwrap_or_else(|| panic!("{test}"));
                let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
                let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", row.id));
                let function = if name.starts_with("mod ") { name.to_owned() } else { format!("fn {name}(") };
                assert!(
                    text.contains(&function) || text.contains("#[test]") && name.starts_with("mod "),
                    "{}: {test}",
                    row.id
                );
            }
        }
    }

    impl Control {
        fn runs(self) -> bool {
            !matches!(self, Control::None(_))
        }
    }
}
