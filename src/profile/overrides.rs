//! Overrides: `KEY=VALUE` for any key of a profile, with the same checks as in a file.
//!
//! The value is TOML (`["ipc"]`, `true`, `{ soft = 1, hard = 2 }`) or a bare word (`5s`, `-network`); a list
//! with one entry needs no brackets.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::Draft;
use super::reader::{Source, Table};
use super::value_error::ValueError;
use super::{Origin, Place, ProfileError, find, keys};

/// Puts one override on top.
pub(crate) fn read(draft: &mut Draft, text: &str) -> Result<(), ProfileError> {
    let origin = Origin::Override(text.to_owned());
    find::bounded(text.len(), &origin)?;
    let not_one = || ProfileError::Override { text: text.to_owned() };
    let (key, value) = text.split_once('=').ok_or_else(not_one)?;
    let segment =
        |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    // No key of a profile is deeper; see `keys`.
    if !key.split('.').all(segment) || key.split('.').count() > 4 {
        return Err(not_one());
    }
    let fail = |source| ProfileError::Value {
        place: Place { origin: origin.clone(), position: None },
        key: key.to_owned(),
        source: Box::new(source),
    };
    let source = Source::new(&origin, value, false);
    let given = toml_value(&source)?;
    if key == "extends" {
        let why = "what a profile extends is decided in its file";
        let word = given.as_str().unwrap_or(value).to_owned();
        return Err(fail(ValueError::Refused { word, why }));
    }
    let mut node = Spanned::new(0..value.len(), given);
    for segment in key.rsplit('.') {
        let mut table = DeTable::new();
        table.insert(Spanned::new(0..0, segment.into()), node);
        node = Spanned::new(0..0, DeValue::Table(table));
    }
    let DeValue::Table(table) = node.get_ref() else { return Err(not_one()) };
    let root = Table::root(&source, table);
    keys::known(&root, false)?;
    keys::read(draft, &root)
}

fn toml_value<'a>(source: &Source<'a>) -> Result<DeValue<'a>, ProfileError> {
    match DeValue::parse(source.text) {
        Ok(value) => Ok(value.into_inner()),
        // Meant to be TOML: a bare word would not start like this.
        Err(error) if source.text.starts_with(['[', '{', '"', '\'']) => Err(source.syntax(error)),
        Err(_) => Ok(DeValue::String(source.text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::KEYS;
    use super::*;

    fn parse(text: &str) -> Result<(), ProfileError> {
        let mut draft = Draft::default();
        read(&mut draft, "namespaces=[\"user\"]").expect("namespaces");
        read(&mut draft, text)
    }

    fn error(text: &str) -> ProfileError {
        parse(text).expect_err(text)
    }

    #[test]
    fn every_key_is_a_key() {
        for key in KEYS.iter().map(|key| key.name) {
            // No key takes a date in a list; what matters is that none is unknown.
            match parse(&format!("{key}=[2000-01-01]")) {
                Err(ProfileError::UnknownKey { key, .. }) => panic!("{key}"),
                Err(ProfileError::Value { .. }) => {}
                other => panic!("{key}: {other:?}"),
            }
            match error(&format!("{key}x=1")) {
                ProfileError::UnknownKey { nearest, .. } => assert!(nearest.is_some(), "{key}"),
                other => panic!("{key}x: {other}"),
            }
        }
    }

    #[test]
    fn words_need_no_quotes() {
        for text in [
            "hostname=box",
            "hostname=\"box\"",
            "hostname=7",
            "hostname=1.5",
            "hostname=true",
            "hostname=2000-01-01",
            "description=a = b",
            "limits.timeout=5s",
            "limits.timeout=unlimited",
            "process.umask=077",
            "process.umask=0o077",
            "process.user=1000:1000",
            "process.user=1000",
            "process.user={ uid = 1, gid = 2 }",
            "process.user=default",
            "process.rlimits.nofile=256",
            "process.rlimits.nofile={ soft = 1, hard = 2 }",
            "process.rlimits.stack=8MiB",
            "process.env=A=b",
            "process.env=[\"A=b\", \"C\"]",
            "namespaces=-network",
            "namespaces=[\"+time\", \"-network\"]",
            "root.readonly=false",
            "resources.cpu.quota=150ms",
            "mounts=[{ destination = \"/x\", type = \"tmpfs\" }]",
        ] {
            parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        }
    }

    #[test]
    fn what_is_no_override() {
        for text in [
            "",
            "=",
            "hostname",
            "=x",
            "a b=c",
            "a.=x",
            ".a=x",
            "a..b=x",
            "a.b.c.d.e=x",
            "\u{1b}=x",
            "a\nb=x",
            "\"a\"=x",
        ] {
            assert!(matches!(error(text), ProfileError::Override { .. }), "{text:?}");
        }
        assert!(matches!(error("hostname=[1"), ProfileError::Syntax { .. }));
        assert!(matches!(error("hostname=\"x"), ProfileError::Syntax { .. }));
        for text in ["extends=strict", "extends=\"strict\""] {
            let ProfileError::Value { source, .. } = error(text) else { panic!("{text}") };
            assert!(matches!(*source, ValueError::Refused { word, .. } if word == "strict"), "{text}");
        }
        assert!(matches!(error(&format!("hostname={}", "x".repeat(300_000))), ProfileError::TooLarge { .. }));
        for text in [
            "root.readonly=yes",
            "root.readonly=1",
            "process.umask=22",
            "limits.timeout=5x",
            "limits.timeout=0s",
            "limits.timeout=1.5x",
            "process.user=root",
            "process.user=-1",
            "hostname=a\nb",
            "workdir=",
            "process.rlimits=7",
            "process.rlimits.nofile=-1",
            "process.rlimits.nofiles=1",
            "mounts=/x",
            "process.env=[[\"A=b\"]]",
        ] {
            assert!(matches!(error(text), ProfileError::Value { .. }), "{text}: {:?}", error(text));
        }
    }

    #[test]
    fn long_values_are_shortened_in_messages() {
        let text = error(&format!("{}=1", "x".repeat(100_000))).to_string();
        assert!(text.len() < 1000, "{text}");
    }
}
