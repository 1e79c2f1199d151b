//! Globs: `*` stands for any characters, `?` for one. Every match is linear in the text.

use std::collections::BTreeMap;

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

/// The most characters of a [`Glob`], runs of stars counted once. A longer pattern matches nothing.
pub(crate) const GLOB_CHARS_MAX: usize = 255;

/// A pattern with `*` and `?`, as push rules have them. Both sides are expected in lower case.
///
/// An automaton that is in many states at once, one bit for each: a step per character of the text, whatever
/// the pattern.
#[derive(Debug)]
pub(crate) struct Glob {
    /// Where a character must be this one.
    chars: BTreeMap<char, States>,
    /// Where any one character will do.
    ones: States,
    /// Where any number of characters will do; never twice in a row.
    stars: States,
    /// The state behind the last character.
    end: usize,
}

impl Glob {
    /// Compiles a pattern; `None` if it is longer than [`GLOB_CHARS_MAX`].
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        Self::of(pattern, true)
    }

    /// A text that matches itself alone.
    pub(crate) fn literal(text: &str) -> Option<Self> {
        Self::of(text, false)
    }

    fn of(pattern: &str, wild: bool) -> Option<Self> {
        let mut glob = Self { chars: BTreeMap::new(), ones: States::NONE, stars: States::NONE, end: 0 };
        let mut after_star = false;
        for char in pattern.chars() {
            let star = wild && char == '*';
            if star && after_star {
                continue;
            }
            if glob.end == GLOB_CHARS_MAX {
                return None;
            }
            match char {
                '*' if wild => glob.stars.add(glob.end),
                '?' if wild => glob.ones.add(glob.end),
                char => glob.chars.entry(char).or_insert(States::NONE).add(glob.end),
            }
            after_star = star;
            glob.end += 1;
        }
        Some(glob)
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let states = text.chars().fold(self.started(States::NONE), |states, char| self.step(states, char));
        states.has(self.end)
    }

    /// Whether a part of `text` matches that has a word boundary on both sides.
    pub(crate) fn matches_words(&self, text: &str) -> bool {
        let mut states = States::NONE;
        let mut before_is_word = false;
        for char in text.chars() {
            // Between two characters, a match may end here or start here.
            if !is_word(char) && states.has(self.end) {
                return true;
            }
            if !before_is_word {
                states = self.started(states);
                if !is_word(char) && states.has(self.end) {
                    return true;
                }
            }
            states = self.step(states, char);
            before_is_word = is_word(char);
        }
        states.has(self.end) || (!before_is_word && self.started(states).has(self.end))
    }

    /// With a match that begins here.
    fn started(&self, mut states: States) -> States {
        states.add(0);
        self.through_stars(states)
    }

    fn step(&self, states: States, char: char) -> States {
        let chars = self.chars.get(&char).copied().unwrap_or(States::NONE);
        let moved = states.and(chars.or(self.ones)).advanced();
        self.through_stars(moved.or(states.and(self.stars)))
    }

    /// A star may stand for nothing. As there are never two in a row, once is enough.
    fn through_stars(&self, states: States) -> States {
        states.or(states.and(self.stars).advanced())
    }
}

/// Whether `text` has a part that is `word`, with a word boundary on both sides.
pub(crate) fn contains_word(text: &str, word: &str) -> bool {
    // Most texts do not have it at all, and searching is faster than matching.
    !word.is_empty()
        && text.contains(word)
        && Glob::literal(word).is_some_and(|glob| glob.matches_words(text))
}

/// Spec: push rules, «A word boundary is … any character not in the sets `[A-Z]`, `[a-z]`, `[0-9]` or `_`».
fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

/// A set of positions in a pattern.
#[derive(Debug, Clone, Copy)]
struct States([u64; 4]);

impl States {
    const NONE: Self = Self([0; 4]);

    fn add(&mut self, state: usize) {
        self.0[state / 64] |= 1 << (state % 64);
    }

    fn has(self, state: usize) -> bool {
        self.0[state / 64] & (1 << (state % 64)) != 0
    }

    fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// Every state moved to the next.
    fn advanced(self) -> Self {
        let carried = |word: usize| if word == 0 { 0 } else { self.0[word - 1] >> 63 };
        Self(std::array::from_fn(|word| self.0[word] << 1 | carried(word)))
    }
}
