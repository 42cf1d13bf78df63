//! Anything at all.

use super::*;

/// TOML-like text out of the schema's own words, so that it gets past the parser.
fn toml_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        proptest::sample::select(profile::KEYS.to_vec()).prop_map(|key| key.name.to_owned()),
        proptest::sample::select(vec![
            "extends",
            "process",
            "root",
            "mounts",
            "seccomp",
            "process.rlimits.nofile",
            "a.b"
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z.]{1,8}",
    ];
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        proptest::sample::select(vec![
            "\"strict\"",
            "\"lite\"",
            "\"unlimited\"",
            "\"5s\"",
            "\"1MiB\"",
            "\"/a\"",
            "\"-network\"",
            "\"bind\"",
            "\"tmpfs\"",
            "\"ro\"",
            "\"allow\"",
            "\"errno\"",
            "\"@known\"",
            "\"read\"",
            "0o22",
            "1.5",
            "inf",
            "2000-01-01",
            "\"\"",
        ])
        .prop_map(str::to_owned),
        "\"[^\"\\\\\\x00-\\x1f\\x7f]{0,12}\"",
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(", "))),
            proptest::collection::btree_map(
                proptest::sample::select(vec![
                    "destination",
                    "type",
                    "options",
                    "source",
                    "names",
                    "action",
                    "args",
                    "soft",
                    "hard"
                ]),
                inner,
                0..4
            )
            .prop_map(|table| {
                let pairs: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            }),
        ]
    });
    proptest::collection::btree_map(word, value, 0..6)
        .prop_map(|lines| lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in toml_like()) {
        for text in [text.clone(), format!("extends = \"strict\"\n{}", text.replace("extends =", "workdir ="))] {
            if let Err(error) = from_toml(&text, "p") {
                prop_assert!(!error_chain(&error).chars().any(char::is_control), "{}", error_chain(&error));
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,200}") {
        prop_assert!(Profile::from_slice(&bytes, "p").is_err());
        prop_assert!(from_toml(&text, "p").is_err());
    }

    #[test]
    fn no_override_panics(key in proptest::sample::select(profile::KEYS.iter().map(|key| key.name).collect::<Vec<_>>()), value in "\\PC{0,40}|[a-z0-9\\[\\]{}=\", ./-]{0,40}") {
        match Profile::load_with("strict", &[format!("{key}={value}")]) {
            // What is accepted reads back as itself.
            Ok(profile) => prop_assert_eq!(from_toml(&profile.to_toml(), "strict").unwrap(), profile),
            Err(error) => prop_assert!(!error_chain(&error).chars().any(char::is_control), "{}", error_chain(&error)),
        }
    }

    #[test]
    fn no_name_panics(name in "\\PC{0,80}|[a-z./-]{0,20}") {
        if let Err(error) = load_named(&name) {
            prop_assert!(!error_chain(&error).chars().any(char::is_control), "{}", error_chain(&error));
        }
    }
}
