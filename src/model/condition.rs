//! Owns what a filter means for the rows of one table: the column found, the word read as its type.

use super::compare::{Word, shown};
use super::{Code, ColumnType, Failure, Filter, Op, Row, Table, Value, excerpt};

/// The most words after `.in=`.
const MAX_WORDS: usize = 1_000;

/// A filter bound to a table.
///
/// Null passes `.null=true` and nothing else. The row id compares as text, as it sorts, or as an
/// integer in a table with `id:int`.
#[derive(Clone, Debug)]
pub struct Condition {
    place: Place,
    test: Test,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    RowId,
    Column(usize),
}

/// What a value is held against.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Equal(Word),
    Unequal(Word),
    /// Below the word, or (`true`) equal to it.
    Less(Word, bool),
    /// Above the word, or (`true`) equal to it.
    Greater(Word, bool),
    In(Vec<Word>),
    Prefix(String),
    Contains(String),
    Null(bool),
}

impl Condition {
    /// What filters mean for the rows of `table`, in their order.
    ///
    /// # Errors
    /// Those of `Filter::bind`, for the first filter that has one.
    pub fn bind_all(filters: &[Filter], table: &Table) -> Result<Vec<Condition>, Failure> {
        filters.iter().map(|filter| filter.bind(table)).collect()
    }

    /// Whether a row passes all of them.
    pub fn all_pass(conditions: &[Condition], row: &Row) -> bool {
        conditions.iter().all(|condition| condition.passes(row))
    }
}

impl Filter {
    /// What the filter means for the rows of `table`.
    ///
    /// # Errors
    /// `unknown_column`; `type_mismatch` where the word is none of the column's type; `bad_filter`
    /// where the operator is none for it.
    pub fn bind(&self, table: &Table) -> Result<Condition, Failure> {
        let place = match self.column.as_str() {
            "row_id" => Place::RowId,
            "id" if table.id_column().is_some() => Place::RowId,
            name => Place::Column(table.column(name)?),
        };
        let kind = match place {
            Place::RowId if table.id_type() == Some(ColumnType::Int) => ColumnType::Int,
            Place::RowId => ColumnType::Text,
            Place::Column(index) => table.columns[index].kind,
        };
        let word = |text: &str| Word::read(kind, text).ok_or_else(|| self.misfit(table, kind, text));
        let test = match self.op {
            Op::Eq => Test::Equal(word(&self.text)?),
            Op::Ne => Test::Unequal(word(&self.text)?),
            Op::Lt => Test::Less(word(&self.text)?, false),
            Op::Le => Test::Less(word(&self.text)?, true),
            Op::Gt => Test::Greater(word(&self.text)?, false),
            Op::Ge => Test::Greater(word(&self.text)?, true),
            Op::In => Test::In(self.words()?.into_iter().map(word).collect::<Result<_, _>>()?),
            Op::Prefix | Op::Contains if matches!(kind, ColumnType::Int | ColumnType::Float | ColumnType::Bool) => {
                return Err(self.no_text(table, kind));
            }
            Op::Prefix => Test::Prefix(self.text.clone()),
            Op::Contains => Test::Contains(self.text.clone()),
            Op::Null => match self.text.parse() {
                Ok(null) => Test::Null(null),
                Err(_) => return Err(self.no_truth()),
            },
        };
        Ok(Condition { place, test })
    }

    /// The words after `.in=`.
    fn words(&self) -> Result<Vec<&str>, Failure> {
        let words: Vec<&str> = self.text.split(',').collect();
        if words.len() > MAX_WORDS {
            let message =
                format!("the filter on \"{}\" has {} words; it may have {MAX_WORDS}", self.column, words.len());
            return Err(Failure::new(Code::BadFilter, message));
        }
        Ok(words)
    }

    fn misfit(&self, table: &Table, kind: ColumnType, text: &str) -> Failure {
        let message = format!(
            "\"{}\" cannot be compared with column \"{}\" of table \"{}\", which is {}",
            short(text),
            self.column,
            table.name,
            kind.as_str()
        );
        let failure = Failure::new(Code::TypeMismatch, message);
        match text {
            "null" | "" => failure.hint(format!("rows without a value are found by {}.null=true", self.column)),
            _ => failure,
        }
    }

    fn no_text(&self, table: &Table, kind: ColumnType) -> Failure {
        let sign = self.op.sign().trim_end_matches('=');
        let message = format!(
            "\"{sign}\" compares text, and column \"{}\" of table \"{}\" is {}",
            self.column,
            table.name,
            kind.as_str()
        );
        Failure::new(Code::BadFilter, message).hint(format!("bounds are {0}.ge= and {0}.lt=", self.column))
    }

    fn no_truth(&self) -> Failure {
        let message = format!("\".null\" is true or false, not \"{}\"", short(&self.text));
        Failure::new(Code::BadFilter, message).hint(format!("write {0}.null=true or {0}.null=false", self.column))
    }
}

fn short(text: &str) -> String {
    excerpt(text, 80)
}

impl Condition {
    /// The value of `row`, of the table that this was bound to, that this is about.
    pub fn value<'a>(&self, row: &'a Row) -> &'a Value {
        match self.place {
            Place::RowId => &row.id,
            Place::Column(index) => row.values.get(index).unwrap_or(&Value::Null),
        }
    }

    /// Whether `row`, of the table that this was bound to, passes.
    pub fn passes(&self, row: &Row) -> bool {
        let value = self.value(row);
        if *value == Value::Null {
            return matches!(self.test, Test::Null(true));
        }
        match &self.test {
            Test::Equal(word) => word.equals(value),
            Test::Unequal(word) => !word.equals(value),
            Test::Less(word, equal) => word.compare(value).is_some_and(|o| o.is_lt() || *equal && o.is_eq()),
            Test::Greater(word, equal) => word.compare(value).is_some_and(|o| o.is_gt() || *equal && o.is_eq()),
            Test::In(words) => words.iter().any(|word| word.equals(value)),
            Test::Prefix(text) => shown(value).starts_with(text.as_str()),
            Test::Contains(text) => shown(value).contains(text.as_str()),
            Test::Null(null) => !null,
        }
    }

    /// What the column at that position is held against, if it is that column that this is about.
    pub(super) fn on_column(&self, column: usize) -> Option<&Test> {
        (self.place == Place::Column(column)).then_some(&self.test)
    }

    /// What the row id is held against, if it is the row id that this is about.
    pub(super) fn on_row_id(&self) -> Option<&Test> {
        (self.place == Place::RowId).then_some(&self.test)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{ColumnSpec, RowKey};

    fn table() -> Table {
        let columns = ["id", "a", "x:text", "n:int", "f:float", "b:bool", "t:timestamp", "j:json"];
        Table::declare(1, "t", &columns.map(|column| ColumnSpec::parse(column).unwrap()), 1).unwrap()
    }

    /// A row with one value, in the column of that name.
    fn row(table: &Table, column: &str, value: Value) -> Row {
        let mut values = vec![Value::Null; table.columns.len()];
        values[table.column(column).unwrap()] = value;
        Row { id: RowKey(b"k7".to_vec()).id(table), values, revision: 1 }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    /// A column, a value in it, the filters that it passes and those that it fails; `~` is a space.
    type Case = (&'static str, Value, &'static str, &'static str);

    fn check(cases: impl IntoIterator<Item = Case>) {
        let table = table();
        for (column, value, passing, failing) in cases {
            let row = row(&table, column, value);
            let passes =
                |text: &str| Filter::parse(&text.replace('~', " ")).unwrap().bind(&table).unwrap().passes(&row);
            for filter in passing.split(' ') {
                assert!(passes(filter), "{filter} fails for {row:?}");
            }
            for filter in failing.split(' ') {
                assert!(!passes(filter), "{filter} passes for {row:?}");
            }
        }
    }

    #[test]
    fn values_compare_by_the_type_of_their_column() {
        check([
            (
                "x",
                text("10"),
                "x=10 x!=10.0 x.lt=9 x.gt=1 x.ge=10 x.le=10 x.in=9,10 x.prefix=1 x.contains=0 x.null=false",
                "x=10.0 x!=10 x.gt=9 x.lt=10 x.gt=10 x.in=1,0 x.prefix=0 x.contains=2 x.null=true",
            ),
            ("x", text("é"), "x.gt=z x.prefix=é x.contains= x.prefix=", "x=e x.lt=z"),
            ("x", text(""), "x= x.lt=a x.in=,a x.null=false", "x.gt= x!= x.null=true"),
            (
                "n",
                Value::Int(10),
                "n=10 n=10.0 n=1e1 n.gt=9 n.gt=9.5 n.lt=10.5 n!=9 n.in=1,10 n.null=false",
                "n=1 n=10.5 n.lt=9 n.gt=10.5 n.in=1,0 n.null=true",
            ),
            (
                "n",
                Value::Int(i64::MAX),
                "n=9223372036854775807 n.lt=9223372036854775807.5 n.lt=1e19",
                "n=9223372036854775806 n.gt=9.3e18",
            ),
            ("f", Value::Float(1.5), "f=1.50 f=15e-1 f.gt=1 f.lt=2 f!=1 f.le=1.5", "f=1 f!=1.5 f.lt=1.5 f.gt=1.5"),
            (
                "f",
                Value::Float(9_007_199_254_740_992.0),
                "f=9007199254740992 f.lt=9007199254740994",
                "f.gt=9007199254740992",
            ),
            ("b", Value::Bool(true), "b=true b!=false b.gt=false b.in=false,true", "b=false b.lt=true b.null=true"),
            (
                "t",
                text("2024-06-01T12:00:00+02:00"),
                "t=2024-06-01T10:00:00Z t.gt=2024-06-01T11:59:59+02:00 t.lt=2024-06-01T12:00:00Z t.prefix=2024-06 t.contains=T12",
                "t!=2024-06-01T10:00:00.000Z t.gt=2024-06-01T10:00:00Z t.prefix=2024-06-01T10",
            ),
        ]);
    }

    #[test]
    fn without_a_type_numbers_compare_as_numbers_and_the_rest_as_text() {
        check([
            (
                "a",
                Value::Int(10),
                "a=10 a=10.0 a.gt=9 a.lt=1e2 a.prefix=1 a.contains=0 a.lt=abc a!=abc a.in=x,10",
                "a=1 a.gt=10 a.lt=9 a.gt=abc a=010 a=+10",
            ),
            ("a", text("10"), "a=10 a=10.0 a.gt=9 a.lt=11 a.gt=9.5 a.in=9,10", "a!=10 a.lt=9 a=010 a!=10.0"),
            ("a", text("010"), "a=010 a.lt=9 a!=10", "a=10 a.gt=9"),
            (
                "a",
                text("2024-06-01"),
                "a.gt=2024 a.lt=2025 a.ge=2024-06-01 a.prefix=2024-",
                "a.lt=2024 a.gt=2025 a=2024",
            ),
            (
                "a",
                text("18446744073709551616"),
                "a=18446744073709551616",
                "a=18446744073709551617 a=1.8446744073709552e19",
            ),
            ("a", Value::Bool(true), "a=true a!=false a.gt=false a.prefix=t", "a=1 a=TRUE"),
            ("a", Value::Json("[1,2]".into()), "a=[1,2] a=[1,~2] a.prefix=[1 a.contains=,2", "a=[2,1] a=12"),
            (
                "j",
                Value::Json(r#"{"k":1,"l":2}"#.into()),
                r#"j={"l":2,"k":1} j.contains="k" j.prefix={"#,
                r#"j={"k":1} j!={"l":2,"k":1}"#,
            ),
            ("j", text("1"), r#"j=1 j="1" j=1.0"#, r#"j!=1 j="2" j!="1""#),
            ("j", Value::Int(1), r#"j=1 j=1.0 j!="1" j.lt=2"#, r#"j="1" j.gt=1"#),
            ("n", Value::Null, "n.null=true", "n=0 n!=0 n.lt=0 n.gt=0 n.in=0 n.null=false"),
            ("a", Value::Null, "a.null=true", "a= a!= a=null a.prefix= a.contains= a.lt=z a.null=false"),
            (
                "a",
                Value::Null,
                "id=k7 row_id=k7 id.prefix=k id.gt=k row_id.in=k6,k7 id.null=false",
                "id=k8 id.lt=k7 id.null=true",
            ),
        ]);
    }

    #[test]
    fn a_word_that_is_none_of_the_type_is_refused_with_both() {
        let table = table();
        for (filter, code, said) in [
            ("n=abc", Code::TypeMismatch, "\"abc\" cannot be compared with column \"n\" of table \"t\", which is int"),
            ("n.gt=", Code::TypeMismatch, "\"\" cannot be compared"),
            ("n=9223372036854775808", Code::TypeMismatch, "which is int"),
            ("n.in=1,x,3", Code::TypeMismatch, "\"x\" cannot"),
            ("n!=NaN", Code::TypeMismatch, "\"NaN\""),
            (
                "f=inf",
                Code::TypeMismatch,
                "\"inf\" cannot be compared with column \"f\" of table \"t\", which is float",
            ),
            ("f.lt=1e400", Code::TypeMismatch, "float"),
            ("f.lt=1e-400", Code::TypeMismatch, "float"),
            ("b=yes", Code::TypeMismatch, "bool"),
            ("b=null", Code::TypeMismatch, "\"null\""),
            (
                "t.gt=2024-01-01",
                Code::TypeMismatch,
                "\"2024-01-01\" cannot be compared with column \"t\" of table \"t\", which is timestamp",
            ),
            ("n.prefix=1", Code::BadFilter, "\".prefix\" compares text, and column \"n\" of table \"t\" is int"),
            ("b.contains=t", Code::BadFilter, "\".contains\" compares text"),
            ("x.null=maybe", Code::BadFilter, "\"maybe\""),
            ("y=1", Code::UnknownColumn, "no column \"y\""),
        ] {
            let failure = Filter::parse(filter).unwrap().bind(&table).unwrap_err();
            assert_eq!(failure.code, code, "{filter}: {}", failure.message);
            assert!(failure.message.contains(said), "{filter}: {}", failure.message);
        }
        let many = format!("x.in={}", ",".repeat(MAX_WORDS));
        assert_eq!(Filter::parse(&many).unwrap().bind(&table).unwrap_err().code, Code::BadFilter);
    }

    /// A scalar of an `any` column with the text that a person would write for it.
    fn scalar() -> impl Strategy<Value = (Value, String)> {
        let int = prop_oneof![-3..12_i64, any::<i64>()];
        let float = prop_oneof![(-6..24_i32).prop_map(|n| f64::from(n) / 2.0), -1e6..1e6_f64];
        prop_oneof![
            int.clone().prop_map(|n| (Value::Int(n), n.to_string())),
            int.prop_map(|n| (Value::Text(n.to_string()), n.to_string())),
            float.prop_map(|f| (Value::Float(f), serde_json::json!(f).to_string())),
            "[ -~]{0,4}".prop_map(|t| (Value::Text(t.clone()), t)),
            any::<bool>().prop_map(|b| (Value::Bool(b), b.to_string())),
        ]
    }

    /// Numbers as numbers, else text; by way of serde_json, which knows nothing of this file.
    fn oracle(own: &str, word: &str) -> std::cmp::Ordering {
        let number = |text: &str| match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Number(number))
                if text.trim() == text && number.as_u64().is_none_or(|n| n >> 63 == 0) =>
            {
                Some(number)
            }
            _ => None,
        };
        match (number(own), number(word)) {
            (Some(a), Some(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                // The floats of these tests are far from where an integer has no float.
                _ => a.as_f64().unwrap().partial_cmp(&b.as_f64().unwrap()).unwrap(),
            },
            _ => own.as_bytes().cmp(word.as_bytes()),
        }
    }

    proptest! {
        #[test]
        fn comparisons_of_mixed_values_agree_with_an_oracle((own, shown) in scalar(), (_, word) in scalar()) {
            let table = table();
            let row = row(&table, "a", own);
            let passes = |sign: &str| Filter::parse(&format!("a{sign}{word}")).unwrap().bind(&table).unwrap().passes(&row);
            let wanted = oracle(&shown, &word);
            prop_assert_eq!(
                [passes(".lt="), passes(".le="), passes("="), passes("!="), passes(".ge="), passes(".gt=")],
                [wanted.is_lt(), wanted.is_le(), wanted.is_eq(), wanted.is_ne(), wanted.is_ge(), wanted.is_gt()],
                "{} {}", shown, word
            );
        }

        #[test]
        fn numbers_are_held_against_whole_and_half_words(
            int in prop_oneof![-9..10_i64, any::<i64>()],
            float in prop_oneof![-20..20_i32, any::<i32>()],
            twice in prop_oneof![-20..20_i64, -(1_i64 << 53)..(1 << 53)],
        ) {
            let table = table();
            let sign = if twice < 0 { "-" } else { "" };
            let word = format!("{sign}{}{}", (twice / 2).abs(), if twice % 2 == 0 { "" } else { ".5" });
            for (column, value, own) in [
                ("n", Value::Int(int), i128::from(int) * 2),
                ("f", Value::Float(f64::from(float) / 2.0), i128::from(float)),
                ("a", Value::Int(int), i128::from(int) * 2),
                ("a", Value::Float(f64::from(float) / 2.0), i128::from(float)),
                ("a", Value::Text(int.to_string()), i128::from(int) * 2),
            ] {
                let row = row(&table, column, value);
                let passes =
                    |sign: &str| Filter::parse(&format!("{column}{sign}{word}")).unwrap().bind(&table).unwrap().passes(&row);
                let wanted = own.cmp(&i128::from(twice));
                prop_assert_eq!(
                    [passes(".lt="), passes(".le="), passes("="), passes(".ge="), passes(".gt=")],
                    [wanted.is_lt(), wanted.is_le(), wanted.is_eq(), wanted.is_ge(), wanted.is_gt()],
                    "{} {:?} {}", column, row, word
                );
            }
        }
    }
}
