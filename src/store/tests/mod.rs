//! Tests of the store room, from outside its handle.

mod checkpoint;
mod common;
mod copy;
mod crash;
mod damage;
mod files;
mod goldens;
mod imports;
mod indexes;
mod known;
mod limits;
mod map;
mod reader;
mod remains;
mod runs;

use super::*;
use crate::model::RowKey;

#[test]
fn handles_and_iterators_can_be_sent_to_other_threads() {
    fn sent<T: Send + 'static>() {}
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Store>();
    shared::<View>();
    sent::<Scan>();
    sent::<RowReader<std::iter::Empty<Result<RowKey, StoreError>>>>();
    sent::<Export>();
    sent::<Receiver>();
    sent::<Received>();
}
