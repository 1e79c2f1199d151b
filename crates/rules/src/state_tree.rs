//! Room state as a persistent, content-addressed map from `(type, state_key)` to the event id.
//!
//! A hash trie with sixteen branches. A node is named by the hash of its bytes, so two states are
//! equal if their roots are, a state change writes only the nodes on one path, and a difference
//! costs what differs. The shape follows from the entries alone: the order in which they were put
//! in does not matter.
//!
//! A name begins with the era in which the node was made, a number that only grows. The nodes of one
//! time lie side by side in the database then, and a change of state touches one of its pages where
//! it would touch one or two for every node. States that came to be the same way share all their
//! nodes; the same state made at two times may have two names.
//!
//! The functions here do no I/O. They look nodes up through a closure; where one is not at hand they
//! answer [`Missing`] with the names of all the nodes that they know they need, and the caller
//! loads those and asks again. A tree of `n` entries takes at most `log16(n) + 1` rounds.

use std::{collections::BTreeMap, fmt, sync::Arc};

use ruma::{EventId, OwnedEventId};

use crate::weight::{self, allocated};

/// Bytes of a node's name that tell when it was made.
const ERA_BYTES: usize = 5;

/// Bytes of a node's name: the rest is the hash. 160 bits: finding two nodes with one name takes 2^80 work.
const NAME_BYTES: usize = ERA_BYTES + 20;

/// Entries that a leaf holds before it becomes a branch.
const LEAF_ENTRIES_MAX: usize = 16;

/// Nibbles in a path; below the last one a leaf may hold any number of entries.
const DEPTH_MAX: usize = 32;

/// The name of a node: the hash of its bytes. The name of the top node stands for the whole state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Root([u8; NAME_BYTES]);

impl Root {
    /// The state without any entry.
    pub const EMPTY: Root = Root([0; NAME_BYTES]);

    /// Reads a name from storage; `None` if it has not the length of one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Root)
    }

    /// The bytes for storage.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name of a node with these stored bytes that is made in `era`.
    fn of(bytes: &[u8], era: u64) -> Self {
        let mut name = [0; NAME_BYTES];
        let (made, hash) = name.split_at_mut(ERA_BYTES);
        made.copy_from_slice(&era.to_be_bytes()[8 - ERA_BYTES..]);
        hash.copy_from_slice(&blake3::hash(bytes).as_bytes()[..NAME_BYTES - ERA_BYTES]);
        Root(name)
    }

    /// Whether it is a name of the node with these stored bytes.
    pub fn names(&self, bytes: &[u8]) -> bool {
        blake3::hash(bytes).as_bytes()[..NAME_BYTES - ERA_BYTES] == self.0[ERA_BYTES..]
    }

    /// When it was made.
    pub fn era(&self) -> u64 {
        self.0[..ERA_BYTES].iter().fold(0, |era, byte| era << 8 | u64::from(*byte))
    }

    /// The beginning of the hash: enough to tell the nodes of one database apart.
    pub fn mark(&self) -> u64 {
        self.0[ERA_BYTES..][..8].iter().fold(0, |mark, byte| mark << 8 | u64::from(*byte))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..ERA_BYTES + 6].iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// One piece of state: which event stands at `(event_type, state_key)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// The event's `type`.
    pub event_type: Box<str>,
    /// The event's `state_key`.
    pub state_key: Box<str>,
    /// The event that stands there.
    pub event_id: OwnedEventId,
}

impl Entry {
    /// An entry for `event_id` at `(event_type, state_key)`.
    pub fn new(event_type: &str, state_key: &str, event_id: &EventId) -> Self {
        Entry { event_type: event_type.into(), state_key: state_key.into(), event_id: event_id.to_owned() }
    }

    fn is_at(&self, event_type: &str, state_key: &str) -> bool {
        *self.event_type == *event_type && *self.state_key == *state_key
    }

    fn path(&self) -> Path {
        Path::to(&self.event_type, &self.state_key)
    }
}

/// A node of the tree, as kept in memory.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a box would cost every step down the tree a cache miss")]
pub enum Node {
    /// At most [`LEAF_ENTRIES_MAX`] entries, in the order of `(type, state_key)`.
    Leaf(Vec<Entry>),
    /// The children by the next nibble of the path.
    Branch([Option<Root>; 16]),
}

const TAG_LEAF: u8 = 0;
const TAG_BRANCH: u8 = 1;

impl Node {
    /// The bytes for storage.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Node::Leaf(entries) => {
                let mut bytes = vec![TAG_LEAF];
                for entry in entries {
                    for part in [&*entry.event_type, &*entry.state_key, entry.event_id.as_str()] {
                        bytes.extend_from_slice(&(part.len() as u16).to_le_bytes());
                        bytes.extend_from_slice(part.as_bytes());
                    }
                }
                bytes
            }
            Node::Branch(children) => {
                let present = (0..16).filter(|&i| children[i].is_some()).fold(0u16, |set, i| set | 1 << i);
                let mut bytes = vec![TAG_BRANCH];
                bytes.extend_from_slice(&present.to_le_bytes());
                children.iter().flatten().for_each(|child| bytes.extend_from_slice(&child.0));
                bytes
            }
        }
    }

    /// Reads stored bytes; `None` if they are not those of a node.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&tag, mut rest) = bytes.split_first()?;
        match tag {
            TAG_LEAF => {
                let mut entries = Vec::new();
                while !rest.is_empty() {
                    let event_type = take_text(&mut rest)?.into();
                    let state_key = take_text(&mut rest)?.into();
                    let event_id = EventId::parse(take_text(&mut rest)?).ok()?;
                    entries.push(Entry { event_type, state_key, event_id });
                }
                entries.shrink_to_fit();
                Some(Node::Leaf(entries))
            }
            TAG_BRANCH => {
                let (present, mut names) = rest.split_first_chunk::<2>()?;
                let present = u16::from_le_bytes(*present);
                let mut children = [None; 16];
                for (i, child) in children.iter_mut().enumerate() {
                    if present & 1 << i != 0 {
                        let (name, others) = names.split_first_chunk::<NAME_BYTES>()?;
                        *child = Some(Root(*name));
                        names = others;
                    }
                }
                names.is_empty().then_some(Node::Branch(children))
            }
            _ => None,
        }
    }

    /// About how many bytes it takes in memory behind an `Arc`, for a cache's budget.
    pub fn weight(&self) -> usize {
        let Node::Leaf(entries) = self else { return weight::shared::<Self>() };
        let texts = |entry: &Entry| {
            let texts = [&*entry.event_type, &*entry.state_key, entry.event_id.as_str()];
            texts.into_iter().map(|text| allocated(text.len())).sum::<usize>()
        };
        let texts = entries.iter().map(texts).sum::<usize>();
        weight::shared::<Self>() + weight::list::<Entry>(entries.capacity()) + texts
    }
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (text, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

/// Nodes that an operation needs and that were not at hand: load them and ask again.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<Root>);

/// What a change of state came to.
#[derive(Debug)]
pub struct Grown {
    /// The new state.
    pub root: Root,
    /// The nodes that were not in the old tree.
    pub nodes: Vec<NewNode>,
}

/// A node that came to be.
#[derive(Debug)]
pub struct NewNode {
    /// Its name.
    pub name: Root,
    /// What it is.
    pub node: Arc<Node>,
    /// Its bytes for storage.
    pub bytes: Vec<u8>,
}

/// A place where two states differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The event's `type`.
    pub event_type: Box<str>,
    /// The event's `state_key`.
    pub state_key: Box<str>,
    /// What stands there in the first state.
    pub before: Option<OwnedEventId>,
    /// What stands there in the second.
    pub after: Option<OwnedEventId>,
}

/// Where the way to an entry leads at each depth.
struct Path([u8; DEPTH_MAX / 2]);

impl Path {
    fn to(event_type: &str, state_key: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(event_type.as_bytes());
        // No event type contains this byte, for it is never part of UTF-8.
        hasher.update(&[0xff]);
        hasher.update(state_key.as_bytes());
        let mut path = [0; DEPTH_MAX / 2];
        path.copy_from_slice(&hasher.finalize().as_bytes()[..DEPTH_MAX / 2]);
        Path(path)
    }

    fn nibble(&self, depth: usize) -> usize {
        let byte = self.0[depth / 2];
        usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
    }
}

/// The event at `(event_type, state_key)` in the state `root`.
///
/// # Errors
/// [`Missing`] if a node on the way is not at hand.
pub fn get(
    root: Root,
    event_type: &str,
    state_key: &str,
    nodes: impl Fn(&Root) -> Option<Arc<Node>>,
) -> Result<Option<OwnedEventId>, Missing> {
    let path = Path::to(event_type, state_key);
    let mut at = root;
    for depth in 0.. {
        if at == Root::EMPTY {
            return Ok(None);
        }
        let node = nodes(&at).ok_or_else(|| Missing(vec![at]))?;
        match &*node {
            Node::Leaf(entries) => {
                let found = entries.iter().find(|entry| entry.is_at(event_type, state_key));
                return Ok(found.map(|entry| entry.event_id.clone()));
            }
            Node::Branch(children) => match children[path.nibble(depth)] {
                Some(child) => at = child,
                None => return Ok(None),
            },
        }
    }
    Ok(None)
}

/// The state `root` with `changes` put in, each in the place of what stood at its key. New nodes are
/// made in `era`, of which the lower 40 bits count.
///
/// # Errors
/// [`Missing`] if a node on the way is not at hand.
pub fn put(
    root: Root,
    changes: Vec<Entry>,
    era: u64,
    nodes: impl Fn(&Root) -> Option<Arc<Node>>,
) -> Result<Grown, Missing> {
    let mut growing = Growing { era, nodes, grown: Vec::new() };
    let changes = changes.into_iter().map(|entry| (entry.path(), entry)).collect();
    let root = growing.put_below((root != Root::EMPTY).then_some(root), changes, 0)?;
    Ok(Grown { root: root.unwrap_or(Root::EMPTY), nodes: growing.grown })
}

/// A tree into which changes are put.
struct Growing<F> {
    era: u64,
    nodes: F,
    grown: Vec<NewNode>,
}

impl<F: Fn(&Root) -> Option<Arc<Node>>> Growing<F> {
    fn put_below(
        &mut self,
        at: Option<Root>,
        changes: Vec<(Path, Entry)>,
        depth: usize,
    ) -> Result<Option<Root>, Missing> {
        if changes.is_empty() {
            return Ok(at);
        }
        let node = match at {
            Some(name) => Some((self.nodes)(&name).ok_or_else(|| Missing(vec![name]))?),
            None => None,
        };
        let node = match node.as_deref() {
            Some(Node::Branch(children)) => self.put_in_branch(*children, changes, depth)?,
            Some(Node::Leaf(entries)) => self.leaf_or_branch(merged(entries, changes), depth)?,
            None => self.leaf_or_branch(merged(&[], changes), depth)?,
        };
        let bytes = node.to_bytes();
        if at.is_some_and(|name| name.names(&bytes)) {
            return Ok(at);
        }
        let name = Root::of(&bytes, self.era);
        self.grown.push(NewNode { name, node: Arc::new(node), bytes });
        Ok(Some(name))
    }

    fn put_in_branch(
        &mut self,
        mut children: [Option<Root>; 16],
        changes: Vec<(Path, Entry)>,
        depth: usize,
    ) -> Result<Node, Missing> {
        let mut below: [Vec<(Path, Entry)>; 16] = Default::default();
        for (path, entry) in changes {
            below[path.nibble(depth)].push((path, entry));
        }
        for (child, changes) in children.iter_mut().zip(below) {
            *child = self.put_below(*child, changes, depth + 1)?;
        }
        Ok(Node::Branch(children))
    }

    fn leaf_or_branch(&mut self, entries: Vec<Entry>, depth: usize) -> Result<Node, Missing> {
        if entries.len() > LEAF_ENTRIES_MAX && depth < DEPTH_MAX {
            let entries = entries.into_iter().map(|entry| (entry.path(), entry)).collect();
            return self.put_in_branch([None; 16], entries, depth);
        }
        Ok(Node::Leaf(entries))
    }
}

/// The entries with the changes in their places, in order.
fn merged(entries: &[Entry], changes: Vec<(Path, Entry)>) -> Vec<Entry> {
    let mut at: BTreeMap<(Box<str>, Box<str>), OwnedEventId> = BTreeMap::new();
    for Entry { event_type, state_key, event_id } in
        entries.iter().cloned().chain(changes.into_iter().map(|(_, entry)| entry))
    {
        at.insert((event_type, state_key), event_id);
    }
    at.into_iter()
        .map(|((event_type, state_key), event_id)| Entry { event_type, state_key, event_id })
        .collect()
}

/// All the entries of the state `root` whose event type `wanted` accepts.
///
/// # Errors
/// [`Missing`] with every node that was not at hand.
pub fn entries(
    root: Root,
    wanted: impl Fn(&str) -> bool,
    nodes: impl Fn(&Root) -> Option<Arc<Node>>,
) -> Result<Vec<Entry>, Missing> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    let mut todo = if root == Root::EMPTY { vec![] } else { vec![root] };
    while let Some(name) = todo.pop() {
        match nodes(&name).as_deref() {
            None => missing.push(name),
            Some(Node::Branch(children)) => todo.extend(children.iter().flatten()),
            Some(Node::Leaf(here)) => {
                found.extend(here.iter().filter(|entry| wanted(&entry.event_type)).cloned());
            }
        }
    }
    if missing.is_empty() { Ok(found) } else { Err(Missing(missing)) }
}

/// Where the states `before` and `after` differ.
///
/// # Errors
/// [`Missing`] with every node that was not at hand.
pub fn diff(
    before: Root,
    after: Root,
    nodes: impl Fn(&Root) -> Option<Arc<Node>>,
) -> Result<Vec<Change>, Missing> {
    let mut missing = Vec::new();
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let named = |root: Root| (root != Root::EMPTY).then_some(root);
    let mut todo = vec![(named(before), named(after))];
    while let Some((before, after)) = todo.pop() {
        if before == after {
            continue;
        }
        let mut load = |name: Option<Root>| {
            let name = name?;
            nodes(&name).or_else(|| {
                missing.push(name);
                None
            })
        };
        match (load(before).as_deref(), load(after).as_deref()) {
            (Some(Node::Branch(left)), Some(Node::Branch(right))) => {
                todo.extend(left.iter().copied().zip(right.iter().copied()));
            }
            (left, right) => {
                spread(left, &mut old, |child| todo.push((Some(child), None)));
                spread(right, &mut new, |child| todo.push((None, Some(child))));
            }
        }
    }
    if missing.is_empty() { Ok(pair_up(old, new)) } else { Err(Missing(missing)) }
}

/// Takes the entries of a leaf, or hands on the children of a branch.
fn spread(node: Option<&Node>, entries: &mut Vec<Entry>, child: impl FnMut(Root)) {
    match node {
        Some(Node::Leaf(here)) => entries.extend(here.iter().cloned()),
        Some(Node::Branch(children)) => children.iter().flatten().copied().for_each(child),
        None => {}
    }
}

fn pair_up(old: Vec<Entry>, new: Vec<Entry>) -> Vec<Change> {
    let mut at: BTreeMap<(Box<str>, Box<str>), [Option<OwnedEventId>; 2]> = BTreeMap::new();
    for (side, entries) in [old, new].into_iter().enumerate() {
        for entry in entries {
            at.entry((entry.event_type, entry.state_key)).or_default()[side] = Some(entry.event_id);
        }
    }
    at.into_iter()
        .filter(|(_, [before, after])| before != after)
        .map(|((event_type, state_key), [before, after])| Change { event_type, state_key, before, after })
        .collect()
}

#[cfg(test)]
mod tests;
