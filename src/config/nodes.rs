//! Owns the list of nodes in the configuration: one master at most, every id and address once.

use serde_json::value::RawValue;

use super::ConfigError;
use super::file::File;
use crate::model::{Configured, parse_address};

/// One node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its id: a small positive integer.
    pub id: u64,
    /// Its address: `http://host:port`, without a trailing slash.
    pub address: String,
    /// Whether it is the preferred leader.
    pub role: Configured,
}

/// The nodes of the array `part`, by id; the lowest is the master where none is marked.
pub(super) fn parse(file: &File, part: &RawValue) -> Result<Vec<NodeConfig>, ConfigError> {
    let items: Vec<&RawValue> = file.parse(part.get())?;
    if items.is_empty() {
        return Err(file.malformed(part.get(), "\"nodes\" is empty; a cluster has at least one node"));
    }
    let mut nodes: Vec<NodeConfig> = Vec::with_capacity(items.len());
    for item in items {
        nodes.push(node(file, item, &nodes)?);
    }
    nodes.sort_by_key(|node| node.id);
    if nodes.iter().all(|node| node.role != Configured::Master) {
        nodes[0].role = Configured::Master;
    }
    Ok(nodes)
}

/// One node, checked against those before it.
fn node(file: &File, item: &RawValue, others: &[NodeConfig]) -> Result<NodeConfig, ConfigError> {
    let (mut id, mut address, mut role) = (None, None, Configured::Slave);
    for entry in file.object(item.get())? {
        let text = entry.value.get();
        match entry.key.as_str() {
            "id" => id = Some(node_id(file, text, others)?),
            "address" => address = Some(node_address(file, text, others)?),
            "role" => role = node_role(file, text, others)?,
            other => {
                let reason = format!("unknown key \"{other}\" in a node; a node has id, address and role");
                return Err(file.malformed(entry.key_text, reason));
            }
        }
    }
    let missing = |what: &str| file.malformed(item.get(), format!("this node has no \"{what}\""));
    Ok(NodeConfig { id: id.ok_or_else(|| missing("id"))?, address: address.ok_or_else(|| missing("address"))?, role })
}

fn node_id(file: &File, text: &str, others: &[NodeConfig]) -> Result<u64, ConfigError> {
    let id: u64 = file.parse(text)?;
    if id == 0 {
        return Err(file.malformed(text, "a node id is a positive integer, not 0"));
    }
    if others.iter().any(|other| other.id == id) {
        return Err(file.malformed(text, format!("node id {id} stands twice")));
    }
    Ok(id)
}

fn node_address(file: &File, text: &str, others: &[NodeConfig]) -> Result<String, ConfigError> {
    let given: String = file.parse(text)?;
    let address = parse_address(&given)
        .map_err(|why| file.malformed(text, format!("\"{}\" is not an address: {why}", given.escape_debug())))?;
    match others.iter().find(|other| other.address.eq_ignore_ascii_case(&address)) {
        Some(other) => Err(file.malformed(text, format!("address {address} is that of node {} already", other.id))),
        None => Ok(address),
    }
}

fn node_role(file: &File, text: &str, others: &[NodeConfig]) -> Result<Configured, ConfigError> {
    let role: String = file.parse(text)?;
    match role.as_str() {
        "slave" => Ok(Configured::Slave),
        "master" => match others.iter().find(|other| other.role == Configured::Master) {
            Some(other) => Err(file.malformed(text, format!("two masters; node {} is the master already", other.id))),
            None => Ok(Configured::Master),
        },
        other => Err(file.malformed(text, format!("unknown role \"{}\"; it is master or slave", other.escape_debug()))),
    }
}
