//! `docs/not-yet.md` lists each endpoint of the client-server API (v1.19) that this server does not
//! have yet, and no other.
//!
//! The list is made from `endpoints.txt` beside this file (the module of the specification, the method
//! and the path of each endpoint of its OpenAPI description) and from `api::routes`. To bring it up to
//! date: `HEARTH_WRITE_DOCS=1 cargo test -p hearth --test not_yet`.

use std::{collections::BTreeSet, fmt::Write, path::PathBuf};

/// Every endpoint of v1.19: `module METHOD path` in each line.
const ENDPOINTS: &str = include_str!("endpoints.txt");

const HEAD: &str = "# Not yet

What the client-server API of Matrix v1.19 has and this server does not have yet, by the module of the
specification. Whoever asks for it gets `M_UNRECOGNIZED` with the status 404, as the specification wants
it, so that clients know at once. A test compares this page with the routes in `crates/api/src/routes.rs`;
`HEARTH_WRITE_DOCS=1 cargo test -p hearth --test not_yet` writes it anew.
";

/// A path without the names of its places, which the specification and the routes choose differently.
fn anonymous(path: &str) -> String {
    let part = |part: &'_ str| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The endpoints that are served: `METHOD path`.
fn served() -> BTreeSet<String> {
    let routes = api::routes::routes();
    let lines = routes.iter().flat_map(|endpoint| {
        endpoint.paths.iter().map(|path| format!("{} {}", endpoint.method, anonymous(path)))
    });
    lines.collect()
}

/// The page as it should be.
fn page() -> String {
    let served = served();
    let mut page = HEAD.to_owned();
    let mut module_before = "";
    for line in ENDPOINTS.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(module), Some(method), Some(path)) = (words.next(), words.next(), words.next()) else {
            panic!("not «module METHOD path»: {line}");
        };
        if served.contains(&format!("{method} {}", anonymous(path))) {
            continue;
        }
        if module != module_before {
            write!(page, "\n## {module}\n\n").expect("text grows");
            module_before = module;
        }
        writeln!(page, "- `{method} {path}`").expect("text grows");
    }
    page
}

#[test]
fn the_list_of_what_is_not_there_yet_is_true() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/not-yet.md");
    let wanted = page();
    if std::env::var_os("HEARTH_WRITE_DOCS").is_some() {
        std::fs::write(&file, &wanted).expect("docs/not-yet.md can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let (wanted, found): (BTreeSet<_>, BTreeSet<_>) = (wanted.lines().collect(), found.lines().collect());
    let missing: Vec<_> = wanted.difference(&found).collect();
    let wrong: Vec<_> = found.difference(&wanted).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "docs/not-yet.md lacks {missing:#?}\nand should not have {wrong:#?}\n\
         HEARTH_WRITE_DOCS=1 cargo test -p hearth --test not_yet writes it anew"
    );
}

#[test]
fn the_specification_has_each_endpoint_once() {
    let endpoints: Vec<_> = ENDPOINTS.lines().filter_map(|line| line.split_once(' ')).collect();
    let distinct: BTreeSet<_> = endpoints.iter().map(|(_, endpoint)| anonymous(endpoint)).collect();
    assert_eq!(distinct.len(), endpoints.len());
    assert!(endpoints.len() > 150, "endpoints.txt has lost something");
}
