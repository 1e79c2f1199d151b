//! From the common SQL to what SQLite reads.

use std::collections::HashMap;

/// The texts that SQLite reads, once per statement. A statement is known by its address: it is
/// part of the program and never changes.
#[derive(Default)]
pub(super) struct Texts(HashMap<(usize, usize), Box<str>>);

impl Texts {
    pub(super) fn of(&mut self, sql: &'static str) -> &str {
        let key = (sql.as_ptr().addr(), sql.len());
        self.0.entry(key).or_insert_with(|| translate(sql).into_boxed_str())
    }
}

/// `$1` becomes `?1`; `= ANY($1)` becomes `IN rarray(?1)` and `<> ALL($1)` `NOT IN rarray(?1)`.
/// Quoted text and comments stay as they are.
fn translate(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '\'' | '"' => quoted(rest, next),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '=' | '<' => match list(rest) {
                Some((word, number, length)) => {
                    out.push_str(&format!("{word} rarray(?{number})"));
                    rest = &rest[length..];
                    continue;
                }
                None => 1,
            },
            '$' => {
                out.push('?');
                rest = &rest[1..];
                continue;
            }
            _ => next.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

/// The length of the quoted text that `rest` starts with. A doubled quote inside ends one text and
/// starts the next, which comes to the same.
fn quoted(rest: &str, quote: char) -> usize {
    rest[1..].find(quote).map_or(rest.len(), |end| end + 2)
}

/// `= ANY($n)` or `<> ALL($n)` at the start of `rest`: SQLite's word, `n`, and the length.
fn list(rest: &str) -> Option<(&'static str, &str, usize)> {
    let (operator, quantifier, word) =
        if rest.starts_with('=') { ("=", "ANY", "IN") } else { ("<>", "ALL", "NOT IN") };
    let after = rest.strip_prefix(operator)?.trim_start();
    let after = after.strip_prefix(quantifier)?.trim_start();
    let after = after.strip_prefix('(')?.trim_start().strip_prefix('$')?;
    let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, after) = after.split_at(digits);
    let after = after.trim_start().strip_prefix(')')?;
    Some((word, number, rest.len() - after.len()))
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn placeholders_and_lists_become_what_sqlite_reads() {
        let cases = [
            ("SELECT 1", "SELECT 1"),
            ("SELECT a FROM t WHERE b = $1 AND c = $12", "SELECT a FROM t WHERE b = ?1 AND c = ?12"),
            ("a = ANY($2)", "a IN rarray(?2)"),
            ("a = ANY ( $2 ) AND b", "a IN rarray(?2) AND b"),
            ("a <> ALL($1)", "a NOT IN rarray(?1)"),
            ("a <> $1", "a <> ?1"),
            ("a <= $1", "a <= ?1"),
            ("(a, b) < ($1, $2)", "(a, b) < (?1, ?2)"),
            ("a = 'it''s $1' AND b = $1", "a = 'it''s $1' AND b = ?1"),
            ("a -- = ANY($1)\n= $1", "a -- = ANY($1)\n= ?1"),
            ("/* $1 */ $1", "/* $1 */ ?1"),
            ("'ü$1", "'ü$1"),
            ("ü = $1", "ü = ?1"),
        ];
        for (ours, theirs) in cases {
            assert_eq!(translate(ours), theirs);
        }
    }
}
