//! Owns searches: what to look for, and the pages in which the rows come.

use super::Client;
use super::error::ClientError;
use crate::model::Filter;
use crate::protocol::{Page, table_path};

/// How many rows the first page may have.
const FIRST_PAGE: u64 = 250;
const SMALLEST_PAGE: u64 = 16;
const LARGEST_PAGE: u64 = 8_000;

/// About how many bytes a page should have: enough to be worth its request, little enough to hold.
const PAGE_BYTES: u64 = 1 << 20;

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The table.
    pub table: String,
    /// All of them must pass.
    pub filters: Vec<Filter>,
    /// The columns to show, or all where there are none.
    pub columns: Vec<String>,
    /// By which columns the rows are ordered, as in `a,-b`; by row id where nothing is said.
    pub order: Option<String>,
    /// How many rows at most.
    pub limit: Option<u64>,
    /// Whether each page tells how its rows were found.
    pub explain: bool,
    /// Whether only the number of rows is asked for: one page, without rows.
    pub count: bool,
}

/// The pages of a search.
pub struct Pages<'a> {
    client: &'a Client,
    search: &'a Search,
    cursor: Option<String>,
    left: u64,
    size: u64,
    done: bool,
}

impl Client {
    /// Looks for rows; they come page by page, in the order asked for, else by row id. Each page is consistent
    /// in itself: rows that change between two pages are shown as they are when their page is made.
    pub fn search<'a>(&'a self, search: &'a Search) -> Pages<'a> {
        let left = search.limit.unwrap_or(u64::MAX);
        Pages { client: self, search, cursor: None, left, size: FIRST_PAGE, done: left == 0 }
    }
}

impl Pages<'_> {
    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// As every call.
    pub async fn next(&mut self) -> Result<Option<Page>, ClientError> {
        if self.done {
            return Ok(None);
        }
        let Search { table, filters, columns, order, explain, count, .. } = self.search;
        let mut request = self.client.get(&format!("{}/rows", table_path(table)?));
        for filter in filters {
            request = request.param("filter", &filter.to_string());
        }
        if let Some(order) = order {
            request = request.param("order", order);
        }
        if *explain {
            request = request.param("explain", "1");
        }
        if !columns.is_empty() {
            request = request.param("columns", &columns.join(","));
        }
        if *count {
            request = request.param("count", "1");
        }
        let size = if *count { self.left } else { self.size.min(self.left) };
        if size < u64::MAX {
            request = request.param("limit", &size.to_string());
        }
        if let Some(cursor) = &self.cursor {
            request = request.param("cursor", cursor);
        }
        let answer = self.client.call(&request).await?;
        let page: Page = super::calls::read(&request, &answer)?;
        self.left = self.left.saturating_sub(page.count);
        self.size = next_size(page.rows.len() as u64, answer.body.len() as u64);
        self.cursor.clone_from(&page.cursor);
        self.done = *count || self.cursor.is_none() || self.left == 0;
        Ok(Some(page))
    }
}

/// How many rows to ask for next, when so many made so many bytes.
fn next_size(rows: u64, bytes: u64) -> u64 {
    (rows.max(1) * PAGE_BYTES / bytes.max(1)).clamp(SMALLEST_PAGE, LARGEST_PAGE)
}

#[cfg(test)]
mod tests {
    use super::next_size;

    #[test]
    fn pages_grow_and_shrink_with_the_rows() {
        assert_eq!(next_size(500, 50_000), 8_000);
        assert_eq!(next_size(500, 1 << 20), 500);
        assert_eq!(next_size(500, 500 << 20), 16);
        assert_eq!(next_size(0, 60), 8_000);
    }
}
