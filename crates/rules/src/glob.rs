//! Globs: `*` stands for any characters, `?` for one. Every match is linear in the text.

use smallvec::SmallVec;

/// A pattern with `*` only, matched against the whole text, case-sensitively: event types in filters.
///
/// The pieces between stars are found leftmost first, which is exact when no other wildcard exists.
pub(crate) fn star_matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A pattern with `*` and `?`, as push rules have them. Both sides are expected in lower case.
#[derive(Debug)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Any,
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let tokens = pattern.chars().map(|char| match char {
            '*' => Token::Any,
            '?' => Token::One,
            char => Token::Char(char),
        });
        Self { tokens: tokens.collect() }
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut states = self.start();
        for char in text.chars() {
            states = self.step(&states, char);
        }
        states.has(self.tokens.len())
    }

    /// Whether a part of `text` matches that has a word boundary on both sides.
    pub(crate) fn matches_words(&self, text: &str) -> bool {
        let mut states = States::new(self.tokens.len());
        let mut before = None;
        let mut chars = text.chars();
        loop {
            let at = chars.next();
            // Between `before` and `at`: a match may end here or start here.
            if at.is_none_or(|char| !is_word(char)) && states.has(self.tokens.len()) {
                return true;
            }
            if before.is_none_or(|char| !is_word(char)) {
                self.enter(&mut states, 0);
            }
            let Some(char) = at else {
                return states.has(self.tokens.len());
            };
            states = self.step(&states, char);
            before = at;
        }
    }

    fn start(&self) -> States {
        let mut states = States::new(self.tokens.len());
        self.enter(&mut states, 0);
        states
    }

    /// Marks a state and those that stars open without reading a character.
    fn enter(&self, states: &mut States, mut state: usize) {
        states.add(state);
        while self.tokens.get(state) == Some(&Token::Any) {
            state += 1;
            states.add(state);
        }
    }

    fn step(&self, states: &States, char: char) -> States {
        let mut next = States::new(self.tokens.len());
        for (state, token) in self.tokens.iter().enumerate().filter(|(state, _)| states.has(*state)) {
            match token {
                Token::Any => self.enter(&mut next, state),
                Token::One => self.enter(&mut next, state + 1),
                Token::Char(wanted) if *wanted == char => self.enter(&mut next, state + 1),
                Token::Char(_) => {}
            }
        }
        next
    }
}

/// Whether `needle` occurs in `text` with a word boundary on both sides.
pub(crate) fn contains_word(text: &str, needle: &str) -> bool {
    if needle.is_empty() {
        return false;
    }
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find(needle)) {
        let start = from + found;
        let end = start + needle.len();
        let before = text[..start].chars().next_back();
        let after = text[end..].chars().next();
        if !before.is_some_and(is_word) && !after.is_some_and(is_word) {
            return true;
        }
        // The next candidate begins at least one character later.
        from = start + text[start..].chars().next().map_or(1, char::len_utf8);
    }
    false
}

/// Spec: push rules, «A word boundary is … any character not in the sets `[A-Z]`, `[a-z]`, `[0-9]` or `_`».
fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

/// The positions in a pattern that a text may have reached.
struct States(SmallVec<[u64; 4]>);

impl States {
    fn new(tokens: usize) -> Self {
        Self(SmallVec::from_elem(0, tokens / 64 + 1))
    }

    fn add(&mut self, state: usize) {
        self.0[state / 64] |= 1 << (state % 64);
    }

    fn has(&self, state: usize) -> bool {
        self.0[state / 64] & (1 << (state % 64)) != 0
    }
}
