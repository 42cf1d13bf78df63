//! What a probe is told: values that the caller's side has made, passed as arguments of its process.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::SelfTestError;

/// The values for one run of a probe.
#[derive(Debug, Default)]
pub struct Scene {
    values: BTreeMap<String, String>,
}

impl Scene {
    /// From `name=value` arguments.
    pub(super) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, SelfTestError> {
        let mut values = BTreeMap::new();
        for argument in arguments {
            let pair = argument.to_str().and_then(|text| text.split_once('='));
            let Some((name, value)) = pair else { return Err(SelfTestError::Argument { argument }) };
            values.insert(name.to_owned(), value.to_owned());
        }
        Ok(Self { values })
    }

    /// A value; empty where the setup gave none.
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// A value as a number; 0 where the setup gave none.
    pub fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// Which run this is: `control`, `inside` or `mutation`.
    pub fn stage(&self) -> &str {
        self.text("stage")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_arguments() {
        let scene = Scene::read(["stage=inside", "path=/a=b", "n=-7"].map(OsString::from)).unwrap();
        assert_eq!((scene.stage(), scene.text("path"), scene.number("n")), ("inside", "/a=b", -7));
        assert_eq!((scene.text("none"), scene.number("path")), ("", 0));
        assert!(matches!(Scene::read(["alone".into()]), Err(SelfTestError::Argument { .. })));
    }
}
