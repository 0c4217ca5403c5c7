//! Owns what is told about a configuration: every value, and who said so.

use std::path::Path;

use super::file::File;
use super::settings::{Origin, SETTINGS, choose, environment, path};
use super::{Config, ConfigError};
use crate::model::Configured;

/// A value of the configuration and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its key, as in the file.
    pub key: String,
    /// The value, as the node takes it.
    pub value: String,
    /// `default`, the file with its line, or the name of a variable or flag.
    pub origin: String,
}

impl Config {
    /// Every value of the configuration that [`Config::load`] makes, in the order of the table of
    /// settings, then the nodes; `None` where nobody names a file and there is no `./config.json`.
    ///
    /// # Errors
    /// As `load`.
    pub fn explain(explicit: Option<&Path>) -> Result<Option<Vec<Explained>>, ConfigError> {
        let (path, named) = path(explicit, &environment);
        if !named && !path.exists() {
            return Ok(None);
        }
        explain(&path, &environment).map(Some)
    }
}

fn explain(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Explained>, ConfigError> {
    let config = Config::load_with(Some(path), env, &[])?;
    let file = File::read(path)?;
    let entries = file.entries()?;
    let line = |part: &str| format!("{}:{}", path.display(), file.line(part));
    let mut told = Vec::new();
    for setting in &SETTINGS {
        let chosen = choose(setting, &file, &entries, env, &[])?;
        let origin = match &chosen.origin {
            Origin::Default => "default".into(),
            Origin::File(part) => line(part),
            Origin::Outside(name) => name.clone(),
        };
        let value = match setting.key {
            // Where it really is, and not relative to something.
            "data_dir" => config.data_dir.display().to_string(),
            _ => chosen.text,
        };
        told.push(Explained { key: setting.key.into(), value, origin });
    }
    let origin = entries.iter().find(|entry| entry.key == "nodes").map_or_else(String::new, |e| line(e.value.get()));
    for node in &config.nodes {
        let role = if node.role == Configured::Master { "master" } else { "slave" };
        let value = format!("{} {role}", node.address);
        told.push(Explained { key: format!("node {}", node.id), value, origin: origin.clone() });
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_says_where_it_comes_from() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.json");
        let text = r#"{
            "cluster": "demo",
            "heartbeat_ms": 50,
            "nodes": [{"id": 1, "address": "http://a:1"}, {"id": 2, "address": "http://b:1"}]
        }"#;
        std::fs::write(&path, text).unwrap();
        let env = |name: &str| (name == "DDB_CLUSTER").then(|| "other".to_string());
        let told = explain(&path, &env).unwrap();
        let file = path.display();
        let data = dir.path().join("data").display().to_string();
        let wanted = [
            ("cluster", "other", "DDB_CLUSTER".to_string()),
            ("data_dir", data.as_str(), "default".into()),
            ("heartbeat_ms", "50", format!("{file}:3")),
            ("election_timeout_ms", "500", "default".into()),
            ("snapshot_entries", "10000", "default".into()),
            ("max_connections", "4096", "default".into()),
            ("threads", "0", "default".into()),
            ("node 1", "http://a:1 master", format!("{file}:4")),
            ("node 2", "http://b:1 slave", format!("{file}:4")),
        ];
        let told: Vec<_> = told.iter().map(|e| (e.key.as_str(), e.value.as_str(), e.origin.clone())).collect();
        assert_eq!(told, wanted);
    }
}
