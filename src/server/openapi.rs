//! Owns `/openapi.json`: what is said of each route in `openapi.json` beside this file, and what the
//! table of routes and the table of statuses say of all.
//!
//! There, an operation stands under its method and path, with its own parameters, its body, its good
//! answers, and the codes of its own errors. A route without an operation, or the other way round, fails a test.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use warp::reply::Response;

use super::reply::{self, status};
use super::routes::{BodyKind, ROUTES, Route};
use crate::model::{Code, Failure};

/// The document, made once.
static DOCUMENT: LazyLock<Result<Bytes, String>> = LazyLock::new(|| {
    let document = document()?;
    serde_json::to_vec(&document).map(Bytes::from).map_err(|error| error.to_string())
});

/// `GET /openapi.json`.
pub(super) fn answer() -> Result<Response, Failure> {
    match &*DOCUMENT {
        Ok(document) => Ok(reply::json(200, document.clone())),
        Err(error) => Err(Failure::internal(format!("the description of the API cannot be read: {error}"))),
    }
}

/// Builds the document.
fn document() -> Result<Value, String> {
    let mut document: Value = serde_json::from_str(include_str!("openapi.json")).map_err(|error| error.to_string())?;
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    document["components"]["schemas"]["Failure"]["properties"]["error"]["properties"]["code"]["enum"] = json!(codes);
    let operations = document.as_object_mut().and_then(|document| document.remove("operations"));
    let mut operations = operations.and_then(|all| all.as_object().cloned()).unwrap_or_default();
    let mut paths = Map::new();
    for route in &ROUTES {
        let name = format!("{} {}", route.method, route.path);
        let operation = operations.remove(&name).ok_or_else(|| format!("{name} is not described"))?;
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.to_ascii_lowercase()] = described(route, operation)?;
    }
    if let Some(name) = operations.keys().next() {
        return Err(format!("{name} is described and is no route"));
    }
    document["paths"] = paths.into();
    Ok(document)
}

/// The operation of a route, with what it has in common with others.
fn described(route: &Route, mut operation: Value) -> Result<Value, String> {
    let parameters = parameters(route, &operation)?;
    let own = operation.as_object_mut().and_then(|operation| operation.remove("errors"));
    let mut codes = common(route, operation["tags"][0].as_str().unwrap_or_default());
    for code in own.iter().flat_map(|own| own.as_array().into_iter().flatten()) {
        let known = code.as_str().and_then(Code::parse);
        codes.push(known.ok_or_else(|| format!("{} {}: there is no code {code}", route.method, route.path))?);
    }
    let responses = operation["responses"].as_object_mut().ok_or("an operation without responses")?;
    for (status, refusal) in refusals(&codes) {
        // Where there is one already, the route says more of it: `/readyz` has a 503 of its own.
        responses.entry(status.to_string()).or_insert(refusal);
    }
    for (status, response) in responses.iter_mut() {
        response["headers"]["ddb-node"] = json!({"$ref": "#/components/headers/Node"});
        if status == "405" {
            response["headers"]["Allow"] = json!({"required": true, "schema": {"type": "string"}});
        }
    }
    operation["parameters"] = parameters;
    Ok(operation)
}

/// The names of the path, the operation's own parameters, and those that every route of its kind takes.
fn parameters(route: &Route, operation: &Value) -> Result<Value, String> {
    let common = |name: &str| json!({"$ref": format!("#/components/parameters/{name}")});
    let own = operation["parameters"].as_array().cloned().unwrap_or_default();
    let has = |name: &str| own.iter().any(|one| one["in"] == "path" && one["name"] == name);
    let names = [("table", "Table"), ("id", "RowId"), ("index", "IndexName")].into_iter();
    let names = names.filter(|(name, _)| route.path.contains(&format!("{{{name}}}")) && !has(name));
    let mut all: Vec<Value> = names.map(|(_, name)| common(name)).collect();
    let told: Vec<&str> =
        own.iter().filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str()).collect();
    if let Some(name) = route.params.iter().find(|name| !told.contains(name)) {
        return Err(format!("{} {}: parameter {name} is not described", route.method, route.path));
    }
    if let Some(name) = told.iter().find(|name| !route.params.contains(name)) {
        return Err(format!("{} {}: parameter {name} is described and not taken", route.method, route.path));
    }
    all.extend(own);
    all.extend(["Level", "MinRevision", "Timeout"].map(common));
    if route.is_write() {
        all.push(common("IdempotencyKey"));
    }
    Ok(all.into())
}

/// The codes that every route of this kind may answer with.
fn common(route: &Route, tag: &str) -> Vec<Code> {
    let mut codes = vec![Code::BadRequest, Code::MethodNotAllowed, Code::Overloaded, Code::Internal];
    if !matches!(tag, "operations" | "internal") {
        codes.extend([Code::NoLeader, Code::ShuttingDown, Code::Timeout]);
    }
    if route.is_write() {
        codes.extend([Code::IdempotencyKeyReused, Code::DiskFull]);
    }
    if matches!(route.body, BodyKind::Json | BodyKind::JsonOrForm) {
        codes.extend([Code::BadJson, Code::TooLarge, Code::UnsupportedMediaType]);
    }
    codes
}

/// The answers for these codes, by status.
fn refusals(codes: &[Code]) -> BTreeMap<u16, Value> {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in codes {
        let names = by_status.entry(status(*code)).or_default();
        if !names.contains(&code.as_str()) {
            names.push(code.as_str());
        }
    }
    let refusal = |(status, names): (u16, Vec<&str>)| {
        let schema = json!({"allOf": [
            {"$ref": "#/components/schemas/Failure"},
            {"properties": {"error": {"properties": {"code": {"enum": names}}}}},
        ]});
        (status, json!({"description": names.join(", "), "content": {"application/json": {"schema": schema}}}))
    };
    by_status.into_iter().map(refusal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::reply::STATUSES;

    /// Every `$ref` in a document.
    fn references(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(object) => {
                let own = object.get("$ref").and_then(Value::as_str);
                own.into_iter().chain(object.values().flat_map(references)).collect()
            }
            Value::Array(list) => list.iter().flat_map(references).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_route_parameter_and_code_is_described_and_nothing_else() {
        let document = document().unwrap();
        let operations: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(operations, ROUTES.len());
        let codes = &document["components"]["schemas"]["Failure"]["properties"]["error"]["properties"]["code"]["enum"];
        assert_eq!(codes.as_array().map(Vec::len), Some(Code::ALL.len()));
    }

    #[test]
    fn what_is_referred_to_is_there_and_ids_are_given_once() {
        let document = document().unwrap();
        for reference in references(&document) {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let mut ids: Vec<&str> = Vec::new();
        for operation in
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
        {
            ids.push(operation["operationId"].as_str().unwrap());
            for status in operation["responses"].as_object().unwrap().keys() {
                assert!(STATUSES.contains(&status.parse().unwrap()), "{status}");
            }
            assert!(!operation["summary"].as_str().unwrap().is_empty());
        }
        let given = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), given);
    }
}
