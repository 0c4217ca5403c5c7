//! Owns `--if` and `--if-revision` of update and delete: what the row must be like.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::filters::filters;
use crate::client::ClientError;
use crate::model::{Check, Operation, Part, When};
use crate::protocol::Written;

/// What must hold of the row.
#[derive(Debug, clap::Args)]
pub(super) struct If {
    /// Only if the row passes this filter: COLUMN=VALUE, COLUMN.ge=VALUE and so on
    #[arg(long = "if", value_name = "FILTER")]
    conditions: Vec<String>,
    /// Only if the row's last change has this revision
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    if_revision: Option<u64>,
}

impl If {
    /// Whether anything must hold.
    pub(super) fn is_given(&self) -> bool {
        self.if_revision.is_some() || !self.conditions.is_empty()
    }

    /// Whether it takes more than a revision.
    pub(super) fn has_filters(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// The condition on the revision.
    pub(super) fn when(&self) -> When {
        self.if_revision.map_or(When::Always, When::Revision)
    }

    /// Does the one operation, if all holds.
    pub(super) async fn transact(self, operation: Operation, context: &Context) -> Result<Written, CliError> {
        let filters = filters(&self.conditions)?;
        let (table, row_id) = operation.place();
        let (table, row_id) = (table.to_string(), row_id.to_string());
        let check = Check { table: table.clone(), row_id, exists: None, revision: self.if_revision, filters };
        match context.client()?.transact(&[check], &[operation], false).await {
            Ok(done) => {
                let row_id = done.results.into_iter().next().map(|outcome| outcome.row_id);
                Ok(Written { table, row_id, revision: done.revision })
            }
            Err(error) => Err(bare(error).into()),
        }
    }
}

/// The error without the place in a transaction that nobody typed.
fn bare(mut error: ClientError) -> ClientError {
    if let ClientError::Failed { failure, .. } = &mut error
        && let Some((_, said)) = Part::of_message(&failure.message)
    {
        failure.message = said.to_string();
    }
    error
}
