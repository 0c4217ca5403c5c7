//! Owns the rules that look at one answer against others, over all rows. They are cheap and name the
//! operations that break them; `linear.rs` then finds what no single pair of answers shows.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::history::{Entry, Found, Op, Outcome};

/// Every broken rule, one sentence each.
pub(super) fn check(history: &[Entry]) -> Vec<String> {
    let mut broken = Vec::new();
    identities(history, &mut broken);
    revisions(history, &mut broken);
    acknowledged(history, &mut broken);
    origins(history, &mut broken);
    increments(history, &mut broken);
    broken
}

/// Ids are unique, times run forward, a client does one thing at a time.
fn identities(history: &[Entry], broken: &mut Vec<String>) {
    let mut ids = HashSet::new();
    let mut clients: BTreeMap<u64, Vec<&Entry>> = BTreeMap::new();
    for entry in history {
        if !ids.insert(entry.id) || entry.end < entry.call {
            broken.push(format!("operation {} is recorded twice or ends before it begins", entry.id));
        }
        clients.entry(entry.client).or_default().push(entry);
    }
    for (client, mut entries) in clients {
        entries.sort_by_key(|entry| entry.call);
        for pair in entries.windows(2).filter(|pair| pair[1].call < pair[0].end) {
            broken.push(format!("client {client} overlaps itself: operations {} and {}", pair[0].id, pair[1].id));
        }
    }
}

/// The revision that an answer shows, and whether it is a write's own.
fn shown(entry: &Entry) -> Option<(u64, bool)> {
    match (&entry.op, &entry.outcome) {
        (_, Outcome::Wrote { revision }) => Some((*revision, true)),
        (Op::Read | Op::Search { .. }, Outcome::Saw { at, .. }) => at.map(|at| (at, false)),
        _ => None,
    }
}

/// Two writes never share a revision, and what began after an answer shows a later state than it.
fn revisions(history: &[Entry], broken: &mut Vec<String>) {
    let mut own = HashMap::new();
    let mut moments = Vec::new();
    for entry in history {
        let Some((revision, write)) = shown(entry) else { continue };
        if write && let Some(other) = own.insert(revision, entry.id) {
            broken.push(format!("operations {other} and {} have the same revision {revision}", entry.id));
        }
        // At one instant, calls come before returns: what touches may overlap.
        moments.push((entry.call, false, entry, revision, write));
        moments.push((entry.end, true, entry, revision, write));
    }
    moments.sort_by_key(|moment| (moment.0, moment.1));
    let (mut newest, mut newest_id) = (0, 0);
    for (_, returns, entry, revision, write) in moments {
        if returns && revision > newest {
            (newest, newest_id) = (revision, entry.id);
        }
        if !returns && (revision < newest || (write && revision == newest)) {
            broken.push(format!(
                "operation {} began after operation {newest_id} had shown revision {newest}, and shows {revision}",
                entry.id
            ));
        }
    }
}

/// A default read that began after a write was acknowledged never finds the row at an older revision.
fn acknowledged(history: &[Entry], broken: &mut Vec<String>) {
    let mut writes: HashMap<&str, Vec<(u64, u64, u64)>> = HashMap::new();
    for entry in history {
        if let Outcome::Wrote { revision } = entry.outcome {
            writes.entry(&entry.row).or_default().push((entry.end, revision, entry.id));
        }
    }
    for list in writes.values_mut() {
        list.sort_unstable();
        // Each holds the newest revision acknowledged up to then.
        for i in 1..list.len() {
            if list[i].1 < list[i - 1].1 {
                (list[i].1, list[i].2) = (list[i - 1].1, list[i - 1].2);
            }
        }
    }
    for (entry, found) in sights(history).filter(|(entry, _)| entry.op != Op::Stale) {
        let Some(list) = writes.get(found.row.as_str()) else { continue };
        let before = list.partition_point(|(end, ..)| *end < entry.call);
        if before > 0 && list[before - 1].1 > found.revision {
            let (_, revision, id) = list[before - 1];
            broken.push(format!(
                "operation {} sees row {} at revision {}: write {id}, acknowledged before at {revision}, is lost",
                entry.id, found.row, found.revision
            ));
        }
    }
}

/// Everything that any read saw of a row.
fn sights(history: &[Entry]) -> impl Iterator<Item = (&Entry, &Found)> {
    history.iter().flat_map(|entry| {
        let found = match &entry.outcome {
            Outcome::Saw { found, .. } => found.as_slice(),
            _ => &[],
        };
        found.iter().map(move |found| (entry, found))
    })
}

/// Whatever is read, also by a stale read, was written by an operation that began before the read
/// ended, that was not said to have had no effect, and that was told this revision if it was told one.
fn origins(history: &[Entry], broken: &mut Vec<String>) {
    let mut writers: HashMap<(&str, i64), Vec<&Entry>> = HashMap::new();
    for entry in history {
        if let Some(value) = entry.op.value() {
            writers.entry((&entry.row, value)).or_default().push(entry);
        }
    }
    for (entry, found) in sights(history) {
        let all = writers.get(&(found.row.as_str(), found.value)).map_or(&[][..], Vec::as_slice);
        let may_be = |writer: &&&Entry| {
            writer.call <= entry.end
                && match writer.outcome {
                    Outcome::Wrote { revision } => revision == found.revision,
                    Outcome::Unknown => true,
                    _ => false,
                }
        };
        if all.iter().any(|writer| may_be(&writer)) {
            continue;
        }
        let why = match all {
            [] => "nobody wrote".to_string(),
            [one] if matches!(one.outcome, Outcome::NotApplied | Outcome::Refused { .. }) => {
                format!("write {}, which was said to be not applied, would have left", one.id)
            }
            _ => "no write left at that revision and before that time".to_string(),
        };
        let (id, row, value, revision) = (entry.id, &found.row, found.value, found.revision);
        broken.push(format!("operation {id} sees {value} at revision {revision} in row {row}, which {why}"));
    }
}

/// A row that is only incremented holds as many increments as were acknowledged, and no more than
/// those and the unknown ones.
fn increments(history: &[Entry], broken: &mut Vec<String>) {
    let mut rows: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in history.iter().filter(|entry| entry.op.is_write()) {
        rows.entry(&entry.row).or_default().push(entry);
    }
    for (row, writes) in rows {
        let only = |entry: &&&Entry| matches!(entry.op, Op::Increment { .. } | Op::Insert { value: 0 });
        let counts = |entry: &&&Entry| matches!(entry.op, Op::Increment { .. });
        if writes.iter().filter(only).count() != writes.len() || !writes.iter().any(|entry| counts(&entry)) {
            continue;
        }
        for (read, found) in sights(history).filter(|(e, found)| found.row == row && e.op != Op::Stale) {
            let sure = |e: &&&Entry| counts(e) && e.end < read.call && matches!(e.outcome, Outcome::Wrote { .. });
            let may = |e: &&&Entry| {
                let took = matches!(e.outcome, Outcome::Wrote { .. } | Outcome::Unknown);
                counts(e) && e.call <= read.end && took
            };
            let (least, most) = (writes.iter().filter(sure).count(), writes.iter().filter(may).count());
            if found.value < least as i64 || found.value > most as i64 {
                broken.push(format!(
                    "operation {} counts {} in row {row}, where {least} to {most} increments took effect",
                    read.id, found.value
                ));
            }
        }
    }
}
