//! Owns the text of one configuration file: its objects as they were written, and where each part stands.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ConfigError;

/// A configuration file and what it says.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// One entry of an object: key and value as they were written.
pub(super) struct Entry<'a> {
    pub(super) key: String,
    pub(super) key_text: &'a str,
    pub(super) value: &'a RawValue,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<File, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.into(), source };
        let bytes = std::fs::read(path).map_err(unreadable)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(File { path: path.into(), text }),
            Err(error) => {
                let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let file = File { path: path.into(), text: String::from_utf8_lossy(good).into_owned() };
                Err(file.at(file.text.len(), "this is not UTF-8"))
            }
        }
    }

    /// The file's outermost object.
    pub(super) fn entries(&self) -> Result<Vec<Entry<'_>>, ConfigError> {
        self.object(&self.text)
    }

    /// The entries of the object that `part`, a part of this file, holds; no key stands twice.
    pub(super) fn object<'a>(&'a self, part: &'a str) -> Result<Vec<Entry<'a>>, ConfigError> {
        let Object(pairs) = self.parse(part)?;
        let mut entries: Vec<Entry<'a>> = Vec::with_capacity(pairs.len());
        for (key_text, value) in pairs {
            let key: String = self.parse(key_text.get())?;
            if entries.iter().any(|other| other.key == key) {
                return Err(self.malformed(key_text.get(), format!("the key \"{key}\" stands twice")));
            }
            entries.push(Entry { key, key_text: key_text.get(), value });
        }
        Ok(entries)
    }

    /// Reads `part`, a part of this file, as a `T`.
    pub(super) fn parse<'a, T: Deserialize<'a>>(&'a self, part: &'a str) -> Result<T, ConfigError> {
        serde_json::from_str(part).map_err(|error| {
            let said = error.to_string();
            let reason = said.split(" at line ").next().unwrap_or(&said);
            let line_start = match error.line().checked_sub(2) {
                Some(breaks) => part.match_indices('\n').nth(breaks).map_or(0, |(at, _)| at + 1),
                None => 0,
            };
            self.at(self.offset(part) + line_start + error.column().saturating_sub(1), reason)
        })
    }

    /// The error that `reason` is where `part`, a part of this file, stands.
    pub(super) fn malformed(&self, part: &str, reason: impl Into<String>) -> ConfigError {
        self.at(self.offset(part), reason)
    }

    /// The line, from 1, in which `part`, a part of this file, begins.
    pub(super) fn line(&self, part: &str) -> usize {
        self.text[..self.offset(part)].matches('\n').count() + 1
    }

    /// Where in the text `part`, which borrows from it, begins.
    fn offset(&self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len())
    }

    fn at(&self, offset: usize, reason: impl Into<String>) -> ConfigError {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        ConfigError::Malformed { path: self.path.clone(), line, column, reason: reason.into() }
    }
}

/// The entries of a JSON object, unread.
struct Object<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        reader.deserialize_map(Entries)
    }
}
