//! Owns how rows lie flat: their columns in order, the row id first where no column has it.

use crate::model::Value;
use crate::protocol::RowObject;

/// The name under which the row id is shown where the table has no column for it.
pub(crate) const ROW_ID: &str = "row_id";

/// The columns that rows are shown with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape(Vec<String>);

impl Shape {
    /// All columns of rows like this one.
    pub(crate) fn of(row: &RowObject) -> Shape {
        Shape::table(row.data.iter().map(|(name, _)| name.clone()))
    }

    /// All columns of a table that declares these.
    pub(crate) fn table(declared: impl IntoIterator<Item = String>) -> Shape {
        let mut columns: Vec<String> = declared.into_iter().collect();
        if !columns.iter().any(|name| name == "id") {
            columns.insert(0, ROW_ID.into());
        }
        Shape(columns)
    }

    /// These columns, of which one may be `row_id`.
    pub(crate) fn only(columns: &[String]) -> Shape {
        Shape(columns.to_vec())
    }

    /// The columns' names.
    pub(crate) fn columns(&self) -> &[String] {
        &self.0
    }

    /// The row's values, one a column; a column that the row does not have is null.
    pub(crate) fn flat(&self, row: RowObject) -> Vec<Value> {
        let RowObject { id, data, .. } = row;
        let same = data.len() == self.0.len() && data.iter().zip(&self.0).all(|((name, _), column)| name == column);
        if same {
            return data.into_iter().map(|(_, value)| value).collect();
        }
        let value = |column: &String| match data.iter().find(|(name, _)| name == column) {
            Some((_, value)) => value.clone(),
            None if column == ROW_ID => id.clone(),
            None => Value::Null,
        };
        self.0.iter().map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[&str]) -> RowObject {
        let data = columns.iter().map(|name| (name.to_string(), Value::Text(name.to_uppercase()))).collect();
        RowObject { id: Value::Int(7), data, revision: 1 }
    }

    #[test]
    fn the_row_id_comes_first_where_no_column_has_it() {
        let shape = Shape::of(&row(&["a", "b"]));
        assert_eq!(shape.columns(), ["row_id", "a", "b"]);
        assert_eq!(shape.flat(row(&["a", "b"]))[0], Value::Int(7));
        let shape = Shape::of(&row(&["a", "id"]));
        assert_eq!(shape.columns(), ["a", "id"]);
        assert_eq!(shape.flat(row(&["a", "id"]))[1], Value::Text("ID".into()));
    }

    #[test]
    fn columns_are_shown_in_the_order_asked_for_and_what_is_missing_is_null() {
        let shape = Shape::only(&["b".into(), "row_id".into(), "new".into()]);
        assert_eq!(shape.flat(row(&["a", "b"])), [Value::Text("B".into()), Value::Int(7), Value::Null]);
    }
}
