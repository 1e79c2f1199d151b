//! Every SQL statement of `store` can be prepared on both databases.
//!
//! The statements are read from the source text, so that one which no test executes is found, too.

#[path = "tidy/source.rs"]
#[allow(dead_code, reason = "the rules of the house use the rest")]
mod source;

use std::collections::BTreeMap;

use store::{
    Db, Error, Value,
    database::{FromRow, Row},
    testing,
};

/// A row that nobody looks at.
struct Ignored;

impl FromRow for Ignored {
    fn from_row(_: &Row<'_>) -> store::Result<Self> {
        Ok(Ignored)
    }
}

/// Statement by place.
fn statements() -> BTreeMap<String, String> {
    let mut statements = BTreeMap::new();
    for file in source::files() {
        let applies = file.path.starts_with("crates/store/src/")
            // Statements of one engine only stand behind the door, and are executed at each start.
            && !file.path.starts_with("crates/store/src/database/")
            && !file.is_test();
        for (number, text) in file.strings.iter().filter(|(_, text)| applies && source::is_sql(text)) {
            statements.insert(format!("{}:{number}", file.path), text.clone());
        }
    }
    statements
}

/// The highest `$n` in `sql`.
fn parameters(sql: &str) -> usize {
    let numbers = sql.split('$').skip(1).filter_map(|rest| {
        let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
        digits.parse::<usize>().ok()
    });
    numbers.max().unwrap_or(0)
}

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    let statements = statements();
    assert!(!statements.is_empty(), "no statement found in crates/store/src");
    let tried = testing::on_each_database(async |db: Db| {
        let mut wrong = Vec::new();
        for (place, sql) in &statements {
            // The door takes statements that live as long as the program; so does this one.
            let explain: &'static str = Box::leak(format!("EXPLAIN {sql}").into_boxed_str());
            let nothing = vec![Value::Null; parameters(sql)];
            if let Err(error) = db.rows::<Ignored>(explain, &nothing).await {
                wrong.push(format!("{place}: {error}"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Broken(wrong.join("\n  "))) }
    });
    tried.await.expect("every statement prepares");
}
