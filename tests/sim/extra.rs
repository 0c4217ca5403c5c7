//! Owns what clients do besides reading and writing single rows: each seed has two clients more, who move money,
//! import rows, or change tables.

use std::rc::Rc;

use turmoil::Sim;

use crate::asker::Asker;
use crate::client::Record;
use crate::imports::{self, Imports};
use crate::money::{self, Bank};
use crate::tables::{self, Schema};

/// What two more clients do, and what they know.
#[derive(Clone)]
pub(crate) enum Extra {
    Money(Rc<Bank>),
    Imports(Rc<Imports>),
    Tables(Rc<Schema>),
}

/// Their names on the network.
pub(crate) const NAMES: [&str; 2] = ["e1", "e2"];

impl Extra {
    /// What this seed has.
    pub(crate) fn of(seed: u64) -> Extra {
        match seed % 3 {
            0 => Extra::Money(Rc::default()),
            1 => Extra::Tables(Rc::default()),
            _ => Extra::Imports(Rc::default()),
        }
    }

    /// Lets them work.
    pub(crate) fn start(&self, sim: &mut Sim<'_>, seed: u64, record: &Rc<Record>) {
        for (number, name) in NAMES.into_iter().enumerate() {
            let (extra, asker) = (self.clone(), Asker::new(name, seed, record.shared.clone()));
            let record = record.clone();
            record.at_work.set(record.at_work.get() + 1);
            sim.client(name, async move {
                match extra {
                    Extra::Money(bank) => money::work(asker, &record, &bank).await,
                    Extra::Imports(imports) => imports::work(asker, &record, &imports).await,
                    Extra::Tables(schema) if number == 0 => tables::change(asker, &record, &schema).await,
                    Extra::Tables(schema) => tables::write(asker, &record, &schema).await,
                }
                record.at_work.set(record.at_work.get() - 1);
                Ok(())
            });
        }
    }

    /// Requires what must hold once all is healed.
    pub(crate) async fn judge(self, seed: u64, record: &Rc<Record>) {
        let asker = Asker::new("judge", seed, record.shared.clone());
        match self {
            Extra::Money(bank) => money::judge(asker, bank).await,
            Extra::Imports(imports) => imports::judge(asker, imports).await,
            Extra::Tables(schema) => tables::judge(asker, schema).await,
        }
    }
}
