//! The configuration: defaults < `config.json` < `DDB_*` < flags → one checked [`Config`].
//!
//! A setting is a line of one table (`settings`), so that it has the same name, the same rule
//! and the same precedence wherever it comes from. This room knows nobody but the nouns.
//!
//! Deliberately missing: secrets and TLS.

mod error;
mod explain;
mod file;
mod nodes;
mod settings;

pub use error::ConfigError;
pub use explain::Explained;
pub use nodes::NodeConfig;
pub use settings::Config;
