//! Owns SQL queries: the rows of an answer as they arrive.

use reqwest::Method;

use super::Client;
use super::error::ClientError;
use super::export::Stream;
use super::request::Request;
use crate::model::{Code, Failure, SqlQuery, Value};
use crate::protocol::{SqlLine, decode_sql_line, encode_sql};

/// The answer to a query on its way.
pub struct SqlAnswer {
    stream: Stream,
    /// What has come and is no whole line yet.
    held: Vec<u8>,
    /// The names of the columns.
    pub columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    ended: bool,
}

impl Client {
    /// Runs a query on the first node that gives an answer. The client's deadline is that of the beginning.
    ///
    /// # Errors
    /// As every call.
    pub async fn sql(&self, query: &SqlQuery) -> Result<SqlAnswer, ClientError> {
        let read = Request::read(Method::POST, "/v1/sql").param("format", "jsonl");
        let mut request = self.at_level(read).header("content-type", "application/json".into());
        request.body = encode_sql(query).into();
        if self.endpoints.len() > 1 {
            // A query may take all the time there is: it is not to be wasted on a node that is silent.
            self.call(&Request::read(Method::GET, "/livez")).await?;
        }
        let stream = self.patient(self.timeout).stream(&request, "the answer").await?;
        let mut answer = SqlAnswer { stream, held: Vec::new(), columns: Vec::new(), rows: Vec::new(), ended: false };
        while answer.columns.is_empty() && !answer.ended {
            answer.take().await?;
        }
        Ok(answer)
    }
}

impl SqlAnswer {
    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// What cut the answer short: what has come is then only a part.
    pub async fn next(&mut self) -> Result<Option<Vec<Vec<Value>>>, ClientError> {
        while self.rows.is_empty() {
            if self.ended {
                return Ok(None);
            }
            self.take().await?;
        }
        Ok(Some(std::mem::take(&mut self.rows)))
    }

    /// Takes in what comes next.
    async fn take(&mut self) -> Result<(), ClientError> {
        let Some(bytes) = self.stream.next().await? else {
            let message = "the answer ended before its last line";
            return Err(ClientError::from(Failure::new(Code::Internal, message).hint("ask again")));
        };
        self.held.extend_from_slice(&bytes);
        let whole = self.held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.held.drain(..whole).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match decode_sql_line(line).map_err(ClientError::from)? {
                SqlLine::Columns(columns) => self.columns = columns,
                SqlLine::Row(row) => self.rows.push(row),
                SqlLine::End => self.ended = true,
                SqlLine::Failed(failure) => return Err(failure.into()),
            }
        }
        Ok(())
    }
}
