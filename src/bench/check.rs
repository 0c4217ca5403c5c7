//! Owns the look back: whether the store still has what it acknowledged.

use std::sync::Arc;

use super::Row;
use super::ledger::{Account, Ledger};
use super::outcome::Checked;
use super::target::{Session as _, Target};

/// How many keys are read back at most.
const SAMPLE: usize = 10_000;
/// How many readers do it.
const READERS: usize = 16;

/// Reads acknowledged keys back, evenly drawn from all.
///
/// # Errors
/// The store could not be asked; nothing is known then.
pub(super) async fn check<T: Target>(target: &Arc<T>, ledger: &Ledger) -> Result<Checked, String> {
    let kept = ledger.kept();
    let step = kept.len().div_ceil(SAMPLE).max(1);
    let sample: Arc<Vec<(u64, Account)>> = Arc::new(kept.into_iter().step_by(step).collect());
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (target, sample) = (target.clone(), sample.clone());
            tokio::spawn(async move {
                let mut session = target.session(reader);
                let mut checked = Checked::default();
                for (key, account) in sample.iter().skip(reader).step_by(READERS) {
                    let found = session.get(*key).await.map_err(|why| format!("row {key} cannot be read: {why}"))?;
                    checked.keys += 1;
                    checked.lost += u64::from(is_lost(found.as_deref(), *account));
                }
                Ok::<_, String>(checked)
            })
        })
        .collect();
    let mut all = Checked::default();
    for reader in readers {
        let part = reader.await.map_err(|e| e.to_string())??;
        all.keys += part.keys;
        all.lost += part.lost;
    }
    Ok(all)
}

/// Whether what was found is older than what was acknowledged, or was never sent.
pub(super) fn is_lost(found: Option<&[u8]>, account: Account) -> bool {
    match found.and_then(Row::count_in) {
        Some(count) => count < account.acknowledged || count > account.sent,
        None => true,
    }
}
