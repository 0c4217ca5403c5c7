//! Owns the table of settings and their precedence: defaults < file < `DDB_*` < flags.

use std::path::{Path, PathBuf};

use super::file::{Entry, File};
use super::{ConfigError, NodeConfig, nodes};

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster's name.
    pub cluster: String,
    /// Where nodes keep their data, each in `node-N` below it; absolute.
    pub data_dir: PathBuf,
    /// The nodes, by id.
    pub nodes: Vec<NodeConfig>,
    /// How often a leader tells that it lives.
    pub heartbeat_ms: u64,
    /// After how long a silence followers stand for election; at least three heartbeats.
    pub election_timeout_ms: u64,
    /// After how many log entries the log is compacted by a snapshot (`snapshot_entries`, 10,000).
    pub snapshot_entries: u64,
    /// How many client connections a node takes (`max_connections`, 4,096).
    pub max_connections: usize,
    /// How many threads serve requests; 0 leaves it to the machine (`threads`, 0).
    pub threads: usize,
}

/// What kind of value a setting has, and the rule for it.
enum Rule {
    /// 1 to 64 letters, digits, `.`, `_` and `-`.
    Name,
    /// A path.
    Path,
    /// A number in this range.
    Number(u64, u64),
}

/// One setting: its key in the file, its variable, its default, its rule.
pub(super) struct Setting {
    pub(super) key: &'static str,
    variable: &'static str,
    default: &'static str,
    rule: Rule,
}

/// The longest time a timing may have: an hour.
const HOUR_MS: u64 = 3_600_000;

pub(super) const SETTINGS: [Setting; 7] = [
    Setting { key: "cluster", variable: "DDB_CLUSTER", default: "ddb", rule: Rule::Name },
    Setting { key: "data_dir", variable: "DDB_DATA_DIR", default: "data", rule: Rule::Path },
    Setting { key: "heartbeat_ms", variable: "DDB_HEARTBEAT_MS", default: "100", rule: Rule::Number(1, HOUR_MS) },
    Setting {
        key: "election_timeout_ms",
        variable: "DDB_ELECTION_TIMEOUT_MS",
        default: "500",
        rule: Rule::Number(1, HOUR_MS),
    },
    Setting {
        key: "snapshot_entries",
        variable: "DDB_SNAPSHOT_ENTRIES",
        default: "10000",
        rule: Rule::Number(10, u64::MAX),
    },
    Setting {
        key: "max_connections",
        variable: "DDB_MAX_CONNECTIONS",
        default: "4096",
        rule: Rule::Number(1, 1_000_000),
    },
    Setting { key: "threads", variable: "DDB_THREADS", default: "0", rule: Rule::Number(0, 1_024) },
];

/// A setting's value and who said so.
pub(super) struct Chosen<'a> {
    pub(super) text: String,
    pub(super) origin: Origin<'a>,
}

pub(super) enum Origin<'a> {
    Default,
    /// The value's text in the file.
    File(&'a str),
    /// The name of the variable or flag.
    Outside(String),
}

impl Config {
    /// The configuration of `explicit`, else `$DDB_CONFIG`, else `./config.json`.
    ///
    /// `flags` are (key, value) pairs, keys as in the file; they beat the `DDB_*` variables, which
    /// beat the file. A relative path in the file is relative to the file, any other to the current directory.
    ///
    /// # Errors
    /// File, line and reason, or variable or flag and reason.
    pub fn load(explicit: Option<&Path>, flags: &[(&str, String)]) -> Result<Config, ConfigError> {
        Config::load_with(explicit, &environment, flags)
    }

    /// `load` with the given environment.
    ///
    /// # Errors
    /// As `load`.
    pub fn load_with(
        explicit: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
        flags: &[(&str, String)],
    ) -> Result<Config, ConfigError> {
        let file = File::read(&path(explicit, env).0)?;
        let entries = file.entries()?;
        check_keys(&file, &entries)?;
        let choose = |setting| choose(setting, &file, &entries, env, flags);
        let [cluster, data_dir, heartbeat, election, snapshot, connections, threads] = SETTINGS.each_ref().map(choose);
        let (cluster, data_dir, heartbeat, election) = (cluster?, data_dir?, heartbeat?, election?);
        let (snapshot, connections, threads) = (snapshot?, connections?, threads?);
        if election.number() < 3 * heartbeat.number() {
            let origin = if matches!(election.origin, Origin::Default) { &heartbeat.origin } else { &election.origin };
            let reason = format!(
                "election_timeout_ms is {}; it must be at least 3 × heartbeat_ms, which is {}",
                election.text, heartbeat.text
            );
            return Err(blame(&file, origin, reason));
        }
        let Some(nodes) = entries.iter().find(|entry| entry.key == "nodes") else {
            return Err(file.malformed(&file.text, "there is no \"nodes\""));
        };
        Ok(Config {
            cluster: cluster.text,
            data_dir: data_dir.path(&file.path)?,
            nodes: nodes::parse(&file, nodes.value)?,
            heartbeat_ms: heartbeat.number(),
            election_timeout_ms: election.number(),
            snapshot_entries: snapshot.number(),
            max_connections: usize::try_from(connections.number()).unwrap_or(usize::MAX),
            threads: usize::try_from(threads.number()).unwrap_or(usize::MAX),
        })
    }

    /// The addresses of the nodes in the configuration file, for a client; `None` where neither
    /// `explicit` nor `$DDB_CONFIG` names a file and there is no `./config.json`.
    ///
    /// # Errors
    /// As `load`.
    pub fn endpoints(explicit: Option<&Path>) -> Result<Option<Vec<String>>, ConfigError> {
        let (path, named) = path(explicit, &environment);
        if !named && !path.exists() {
            return Ok(None);
        }
        let config = Config::load(explicit, &[])?;
        Ok(Some(config.nodes.into_iter().map(|node| node.address).collect()))
    }

    /// The node with that id.
    pub fn node(&self, id: u64) -> Option<&NodeConfig> {
        self.nodes.iter().find(|node| node.id == id)
    }
}

pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The file to read, and whether somebody named it.
pub(super) fn path(explicit: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> (PathBuf, bool) {
    match (explicit, env("DDB_CONFIG")) {
        (Some(path), _) => (path.into(), true),
        (None, Some(path)) => (path.into(), true),
        (None, None) => ("config.json".into(), false),
    }
}

fn check_keys(file: &File, entries: &[Entry<'_>]) -> Result<(), ConfigError> {
    let known: Vec<&str> = std::iter::once("nodes").chain(SETTINGS.iter().map(|setting| setting.key)).collect();
    match entries.iter().find(|entry| !known.contains(&entry.key.as_str())) {
        None => Ok(()),
        Some(entry) => {
            let near = crate::model::nearest(&entry.key, known.iter().copied());
            let hint = near
                .map_or_else(|| format!("known are {}", known.join(", ")), |near| format!("did you mean \"{near}\"?"));
            Err(file.malformed(entry.key_text, format!("unknown key \"{}\"; {hint}", entry.key.escape_debug())))
        }
    }
}

/// The value of a setting: the flag's, else the variable's, else the file's, else the default.
pub(super) fn choose<'a>(
    setting: &Setting,
    file: &'a File,
    entries: &[Entry<'a>],
    env: &dyn Fn(&str) -> Option<String>,
    flags: &[(&str, String)],
) -> Result<Chosen<'a>, ConfigError> {
    let flag = flags.iter().find(|(key, _)| *key == setting.key);
    let in_file = entries.iter().find(|entry| entry.key == setting.key).map(|entry| entry.value.get());
    let chosen = if let Some((key, value)) = flag {
        Chosen { text: value.clone(), origin: Origin::Outside(format!("--{}", key.replace('_', "-"))) }
    } else if let Some(value) = env(setting.variable) {
        Chosen { text: value, origin: Origin::Outside(setting.variable.into()) }
    } else if let Some(part) = in_file {
        let text = match setting.rule {
            Rule::Number(..) => file.parse::<u64>(part)?.to_string(),
            Rule::Name | Rule::Path => file.parse(part)?,
        };
        Chosen { text, origin: Origin::File(part) }
    } else {
        Chosen { text: setting.default.into(), origin: Origin::Default }
    };
    match setting.broken(&chosen.text) {
        Some(reason) => Err(blame(file, &chosen.origin, reason)),
        None => Ok(chosen),
    }
}

fn blame(file: &File, origin: &Origin<'_>, reason: String) -> ConfigError {
    match origin {
        Origin::File(part) => file.malformed(part, reason),
        Origin::Outside(name) => ConfigError::Setting { origin: name.clone(), reason },
        Origin::Default => file.malformed(&file.text, reason),
    }
}

impl Setting {
    /// Why `text` is no value of this setting.
    fn broken(&self, text: &str) -> Option<String> {
        let shown = text.escape_debug();
        match self.rule {
            Rule::Name => {
                let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
                let fine = (1..=64).contains(&text.len()) && text.bytes().all(good);
                (!fine).then(|| format!("\"{shown}\" is no {}: 1 to 64 letters, digits, \".\", \"_\", \"-\"", self.key))
            }
            Rule::Path => text.is_empty().then(|| format!("{} is empty", self.key)),
            Rule::Number(least, most) => match text.parse::<u64>() {
                Ok(n) if (least..=most).contains(&n) => None,
                _ if most == u64::MAX => {
                    Some(format!("{} must be a number, at least {least}, not \"{shown}\"", self.key))
                }
                _ => Some(format!("{} must be a number from {least} to {most}, not \"{shown}\"", self.key)),
            },
        }
    }
}

impl Chosen<'_> {
    /// The number, which has passed its rule.
    fn number(&self) -> u64 {
        self.text.parse().unwrap_or_default()
    }

    /// The path made absolute: what stands in the file is relative to the file.
    fn path(&self, file: &Path) -> Result<PathBuf, ConfigError> {
        let base = match self.origin {
            Origin::Outside(_) => Path::new(""),
            Origin::Default | Origin::File(_) => file.parent().unwrap_or(Path::new("")),
        };
        let unreadable = |source| ConfigError::Unreadable { path: file.into(), source };
        std::path::absolute(base.join(&self.text)).map_err(unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Configured;

    const NODES: &str = r#""nodes": [{"id": 1, "address": "http://a:1"}]"#;

    fn load(text: &str, env: &[(&str, &str)], flags: &[(&str, String)]) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_string());
        let shown = dir.path().display().to_string();
        Config::load_with(Some(&path), &env, flags).map_err(|e| e.to_string().replace(&format!("{shown}/"), ""))
    }

    #[test]
    fn the_file_beats_the_defaults_the_variables_the_file_and_flags_all() {
        let text = format!(r#"{{"cluster": "demo", "data_dir": "d", "heartbeat_ms": 50, {NODES}}}"#);
        let config = load(&text, &[("DDB_HEARTBEAT_MS", "70"), ("DDB_CLUSTER", "env")], &[("cluster", "flag".into())]);
        let config = config.unwrap();
        assert_eq!((config.cluster.as_str(), config.heartbeat_ms, config.election_timeout_ms), ("flag", 70, 500));
        assert_eq!((config.snapshot_entries, config.max_connections, config.threads), (10_000, 4_096, 0));
        assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("d"));
        let elsewhere = load(&text, &[], &[("data_dir", "x/y".into())]).unwrap();
        assert_eq!(elsewhere.data_dir, std::env::current_dir().unwrap().join("x/y"));
    }

    #[test]
    fn nodes_come_by_id_and_the_lowest_is_the_master_where_none_is_marked() {
        let text =
            r#"{"nodes": [{"id": 3, "address": "http://c:1/"}, {"id": 2, "address": "http://b:1", "role": "slave"}]}"#;
        let config = load(text, &[], &[]).unwrap();
        let seen: Vec<_> = config.nodes.iter().map(|n| (n.id, n.address.as_str(), n.role)).collect();
        assert_eq!(seen, [(2, "http://b:1", Configured::Master), (3, "http://c:1", Configured::Slave)]);
        assert_eq!(config.node(3).map(|node| node.address.as_str()), Some("http://c:1"));
        assert_eq!(config.node(1), None);
    }

    #[test]
    fn every_error_says_where_it_is_and_why() {
        let two = |second: &str| {
            format!(
                "{{\n \"nodes\": [\n  {{\"id\": 1, \"address\": \"http://a:1\", \"role\": \"master\"}},\n  {second}]\n}}"
            )
        };
        for (text, said) in [
            ("{\n  \"nodes\": [\n", "config.json: line 3, column"),
            ("[]", "config.json: line 1, column"),
            ("", "config.json: line 1, column"),
            ("{\n \"cluster\": \"x\"\n}", "there is no \"nodes\""),
            ("{\n \"nodes\": []}", "line 2, column 11: \"nodes\" is empty"),
            ("{\n\n \"node\": 1}", "line 3, column 2: unknown key \"node\"; did you mean \"nodes\"?"),
            ("{\"nodes\": 1,\n \"nodes\": 2}", "line 2, column 2: the key \"nodes\" stands twice"),
            ("{\"heartbeat_ms\":\n \"100\"}", "line 2, column"),
            ("{\"heartbeat_ms\":\n 0}", "line 2, column 2: heartbeat_ms must be a number from 1 to 3600000, not \"0\""),
            ("{\"snapshot_entries\": 9}", "snapshot_entries must be a number, at least 10"),
            ("{\"cluster\":\n \"a b\"}", "line 2, column 2: \"a b\" is no cluster"),
            ("{\n\"election_timeout_ms\": 299}", "line 2, column 24: election_timeout_ms is 299"),
            (&two(r#"{"id": 1, "address": "http://b:1"}"#), "line 4, column 10: node id 1 stands twice"),
            (&two(r#"{"id": 2, "address": "http://A:1"}"#), "line 4, column 24: address http://A:1 is that of node 1"),
            (&two(r#"{"id": 2, "address": "http://b:1", "role": "master"}"#), "line 4, column 46: two masters"),
            (&two(r#"{"id": 2, "address": "http://b:1", "role": "king"}"#), "line 4, column 46: unknown role \"king\""),
            (&two(r#"{"id": 0, "address": "http://b:1"}"#), "line 4, column 10: a node id is a positive integer"),
            (&two(r#"{"id": -1, "address": "http://b:1"}"#), "line 4, column"),
            (&two(r#"{"id": 2, "address": "b:1"}"#), "line 4, column 24: \"b:1\" is not an address"),
            (&two(r#"{"id": 2}"#), "line 4, column 3: this node has no \"address\""),
            (&two(r#"{"id": 2, "adress": 1}"#), "line 4, column 13: unknown key \"adress\""),
        ] {
            let error = load(text, &[], &[]).unwrap_err();
            assert!(error.starts_with("config.json: line ") && error.contains(said), "{text}\n{error}");
        }
    }

    #[test]
    fn a_bad_variable_or_flag_is_called_by_its_name() {
        let text = format!("{{{NODES}}}");
        let error = load(&text, &[("DDB_HEARTBEAT_MS", "200")], &[]).unwrap_err();
        assert!(error.starts_with("DDB_HEARTBEAT_MS: election_timeout_ms is 500"), "{error}");
        let error = load(&text, &[("DDB_MAX_CONNECTIONS", "many")], &[]).unwrap_err();
        assert!(error.starts_with("DDB_MAX_CONNECTIONS: max_connections must be a number"), "{error}");
        let error = load(&text, &[], &[("data_dir", String::new())]).unwrap_err();
        assert_eq!(error, "--data-dir: data_dir is empty");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load_with(Some(Path::new("/nowhere/c.json")), &|_| None, &[]).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /nowhere/c.json: "), "{error}");
    }
}
