//! Reads Rust source as far as the rules of the house need it: what is code, what is a string,
//! where a function begins and ends. It relies on the layout that rustfmt gives, and knows
//! strings, characters and comments, so that a brace in a text does not count.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file of one of the crates.
pub(crate) struct File {
    /// Its path from the root of the repository, with slashes.
    pub(crate) path: String,
    /// Everything in it.
    pub(crate) text: String,
    /// The same lines with strings emptied and comments blanked.
    pub(crate) code: Vec<String>,
    /// The string literals in it, each with the line where it begins.
    pub(crate) strings: Vec<(usize, String)>,
}

/// A function with its first line, from its signature to its closing brace.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate is in crates/");
    crates.parent().expect("crates/ is in the root").to_owned()
}

/// Every Rust file of the crates, in order of their paths.
pub(crate) fn files() -> Vec<File> {
    let mut paths = Vec::new();
    collect(&root().join("crates"), &mut paths);
    paths.sort();
    assert!(paths.len() > 10, "only {} files found", paths.len());
    paths.iter().map(|path| File::read(path)).collect()
}

/// Whether a string literal is a SQL statement.
pub(crate) fn is_sql(text: &str) -> bool {
    let start = text.trim_start();
    let mut words = start.split_whitespace();
    let (Some(first), Some(second)) = (words.next(), words.next()) else { return false };
    match first {
        "SELECT" | "WITH" => start.contains(" FROM ") || start.contains("\nFROM ") || first == "SELECT",
        "INSERT" | "REPLACE" => second == "INTO" || second == "OR",
        "UPDATE" => start.contains(" SET ") || start.contains("SET\n"),
        "DELETE" => second == "FROM",
        "CREATE" | "DROP" | "ALTER" => ["TABLE", "INDEX", "UNIQUE", "VIEW"].contains(&second),
        _ => false,
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

impl File {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a source file can be read");
        let (code, strings) = divide(&text);
        let path = path.strip_prefix(root()).expect("it is in the repository");
        let path = path.to_string_lossy().replace('\\', "/");
        Self { path, text, code, strings }
    }

    /// Whether it belongs to the crate `name`.
    pub(crate) fn is_in(&self, name: &str) -> bool {
        self.path.starts_with(&format!("crates/{name}/"))
    }

    /// Whether it holds only tests, or what measures.
    pub(crate) fn is_test(&self) -> bool {
        let folders = ["/tests/", "/testing", "/examples/", "/benches/"];
        folders.iter().any(|folder| self.path.contains(folder)) || self.path.ends_with("tests.rs")
    }

    /// The lines of code with their numbers, up to the tests at the end of the file.
    pub(crate) fn code_outside_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.code.iter().position(|line| line.trim() == "#[cfg(test)]");
        let end = if self.is_test() { 0 } else { end.unwrap_or(self.code.len()) };
        self.code[..end].iter().enumerate().map(|(number, line)| (number + 1, line.as_str()))
    }

    /// Its functions with their lengths.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for (number, line) in self.code.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let indent = line.len() - line.trim_start().len();
            let rest = &self.code[number..];
            // rustfmt puts the closing brace under the first letter of the signature.
            let end = rest.iter().position(|line| {
                let (start, end) = (line.trim_start(), line.trim_end());
                let empty = start.starts_with(')') && end.ends_with("{}");
                let closed = start.starts_with('}') || end.ends_with(';') || empty;
                closed && line.len() - start.len() == indent
            });
            let one_line = line.trim_end().ends_with('}');
            let lines = if one_line { 1 } else { end.map_or(rest.len(), |end| end + 1) };
            functions.push(Function { name: name.to_owned(), line: number + 1, lines });
        }
        functions
    }
}

/// The name of the function whose signature begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    for modifier in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe "] {
        words = words.strip_prefix(modifier).unwrap_or(words);
    }
    let rest = words.strip_prefix("fn ")?;
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    Some(&rest[..end])
}

/// The lines of `text` without what stands in comments and strings, and the strings.
fn divide(text: &str) -> (Vec<String>, Vec<(usize, String)>) {
    let mut code = String::with_capacity(text.len());
    let mut strings = Vec::new();
    let mut rest = text;
    let mut number = 1;
    while let Some(next) = rest.chars().next() {
        let before = code.chars().last().unwrap_or(' ');
        let named = before.is_alphanumeric() || before == '_';
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some((start, length)) = string(rest, named) {
            strings.push((number, unescape(&rest[start..length])));
            code.push_str("\"\"");
            length
        } else if let Some(length) = character(rest) {
            code.push_str("' '");
            length
        } else {
            if next != '\n' {
                code.push(next);
            }
            next.len_utf8()
        };
        let passed = &rest[..length];
        let breaks = passed.matches('\n').count();
        code.extend(std::iter::repeat_n('\n', breaks));
        number += breaks;
        rest = &rest[length..];
    }
    (code.lines().map(str::to_owned).collect(), strings)
}

/// If a string literal begins here: where its text starts and where the literal ends.
fn string(rest: &str, named: bool) -> Option<(usize, usize)> {
    if rest.starts_with('"') {
        let mut escaped = false;
        for (at, letter) in rest.char_indices().skip(1) {
            match letter {
                '"' if !escaped => return Some((1, at + 1)),
                '\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        return Some((1, rest.len()));
    }
    if named || !(rest.starts_with("r\"") || rest.starts_with("r#")) {
        return None;
    }
    let hashes = rest[1..].find(|letter| letter != '#')?;
    let start = 1 + hashes + 1;
    if !rest[1 + hashes..].starts_with('"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let end = rest[start..].find(&close).map_or(rest.len(), |end| start + end + close.len());
    Some((start, end))
}

/// If a character literal begins here, not a lifetime: how long it is.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    if let Some(escaped) = inside.strip_prefix('\\') {
        // The escaped character itself may be a quote.
        return escaped[1..].find('\'').map(|end| 1 + 1 + 1 + end + 1);
    }
    let letter = inside.chars().next()?;
    inside[letter.len_utf8()..].starts_with('\'').then_some(1 + letter.len_utf8() + 1)
}

/// The text of a literal: without its end, with continued lines joined as the compiler does.
fn unescape(literal: &str) -> String {
    let text = literal.trim_end_matches('#');
    let text = text.strip_suffix('"').unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('\n') => while letters.next_if(|next| next.is_whitespace()).is_some() {},
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[test]
fn strings_and_comments_are_no_code() {
    let text = "let a = \"b{\"; // {\nlet c = '{'; let d: &'static str = r#\"\"{\"#;\nfn e() { '\\'' }\n";
    let (code, strings) = divide(text);
    assert_eq!(code, ["let a = \"\"; ", "let c = ' '; let d: &'static str = \"\";", "fn e() { ' ' }"]);
    assert_eq!(strings, [(1, "b{".to_owned()), (2, "\"{".to_owned())]);
}

#[test]
fn a_statement_is_known_by_its_words() {
    for (text, sql) in [
        ("SELECT 1", true),
        ("\n  SELECT a FROM b", true),
        ("INSERT INTO a VALUES (1)", true),
        ("UPDATE a SET b = 1", true),
        ("DELETE FROM a", true),
        ("WITH a AS (SELECT 1) SELECT * FROM a", true),
        ("CREATE TABLE a (b BIGINT)", true),
        ("SELECT", false),
        ("DELETE", false),
        ("UPDATE", false),
        ("Select one", false),
        ("the room", false),
    ] {
        assert_eq!(is_sql(text), sql, "{text}");
    }
}
