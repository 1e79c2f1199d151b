//! The rules of the house, so that no review has to keep them.
//!
//! Each test reads the source text of every crate and says which file and line breaks which rule,
//! and what to do instead. The rules and their reasons are in `ARCHITECTURE.md`.

#[path = "tidy/source.rs"]
mod source;

use source::{File, files, root};

/// Lines of a file, so that it has one subject.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function, so that it can be read in one piece.
const FUNCTION_LINES_MAX: usize = 70;
/// Names that say nothing about what is inside.
const FORBIDDEN_NAMES: [&str; 6] = ["util", "utils", "common", "helpers", "misc", "manager"];
/// Each crate with those it may depend on. One straight line: a crate sees what is to its right.
const LINE: [&str; 5] = ["hearth", "api", "homeserver", "store", "rules"];

/// Fails with all complaints, one per line.
fn complain(rule: &str, complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

/// Complains about every line of code outside tests that holds one of `needles`, in files that
/// `applies` chooses.
fn forbid(rule: &str, needles: &[&str], applies: impl Fn(&File) -> bool) {
    let mut complaints = Vec::new();
    for file in files().iter().filter(|file| applies(file)) {
        for (number, code) in file.code_outside_tests() {
            if let Some(needle) = needles.iter().find(|needle| code.contains(**needle)) {
                complaints.push(format!("{}:{number}: {needle}", file.path));
            }
        }
    }
    complain(rule, complaints);
}

#[test]
fn the_crates_stand_in_one_straight_line() {
    let mut complaints = Vec::new();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).expect("there are crates") {
        let name = entry.expect("a crate").file_name().to_string_lossy().into_owned();
        let Some(place) = LINE.iter().position(|krate| *krate == name) else {
            complaints.push(format!("crates/{name}: there are five crates, put the code into one of them"));
            continue;
        };
        let manifest = std::fs::read_to_string(root().join("crates").join(&name).join("Cargo.toml"))
            .expect("a crate has a Cargo.toml");
        let table: toml::Table = manifest.parse().expect("Cargo.toml is TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else { continue };
            for left in LINE[..=place].iter().filter(|krate| dependencies.contains_key(**krate)) {
                complaints.push(format!("{name} depends on {left}: the line is {}", LINE.join(" -> ")));
            }
        }
        let next = LINE.get(place + 1).copied();
        let dependencies = table.get("dependencies").and_then(toml::Value::as_table);
        if let (Some(next), Some(dependencies)) = (next, dependencies)
            && !dependencies.contains_key(next)
        {
            complaints.push(format!("{name} does not depend on {next}: the line is broken"));
        }
        found.push(name);
    }
    assert_eq!(found.len(), LINE.len(), "crates found: {found:?}");
    complain("the crates stand in one straight line", complaints);
}

#[test]
fn sql_stands_only_in_store() {
    let mut complaints = Vec::new();
    for file in files().iter().filter(|file| !file.is_in("store")) {
        for (number, text) in &file.strings {
            if source::is_sql(text) && !file.is_test() {
                let start: String = text.chars().take(40).collect();
                complaints.push(format!("{}:{number}: \"{start}…\": write a function in store", file.path));
            }
        }
    }
    complain("SQL stands only in store", complaints);
}

#[test]
fn http_is_named_only_in_api_and_hearth() {
    forbid("axum and hyper only in api and hearth", &["axum::", "hyper::", "hyper_util::"], |file| {
        !file.is_in("api") && !file.is_in("hearth")
    });
}

#[test]
fn rules_are_pure() {
    let ambient = [
        "tokio",
        "async fn",
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::thread",
        "SystemTime",
        "Instant",
        "MilliSecondsSinceUnixEpoch::now",
        "rand::",
        "println!",
    ];
    forbid("rules knows no I/O, no clock, no chance, no async", &ambient, |file| file.is_in("rules"));
}

#[test]
fn time_and_chance_are_arguments() {
    let ambient = [
        "SystemTime::now",
        "Utc::now",
        "MilliSecondsSinceUnixEpoch::now",
        "SecondsSinceUnixEpoch::now",
        "rand::rng",
        "rand::random",
        "rand::fill",
        "thread_rng",
        "OsRng",
        "SysRng",
        "getrandom",
    ];
    forbid("use home.clock and home.dice; only start.rs may look at the world", &ambient, |file| {
        file.path != "crates/hearth/src/start.rs"
    });
}

#[test]
fn durations_are_measured_only_where_they_are_reported() {
    // What a stopwatch shows goes to a metric and decides nothing.
    let stopwatches =
        ["crates/hearth/src/start.rs", "crates/store/src/database/", "crates/api/src/endpoint.rs"];
    forbid("Instant::now only in the files that measure for metrics", &["Instant::now"], |file| {
        !stopwatches.iter().any(|place| file.path.starts_with(place))
    });
}

#[test]
fn nothing_is_unwrapped_or_left_to_do() {
    let needles =
        [".unwrap()", ".unwrap_err()", "todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME", "XXX"];
    let mut complaints = Vec::new();
    for file in files().iter().filter(|file| !file.path.contains("tests/tidy")) {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(needle) = needles.iter().find(|needle| line.contains(**needle)) {
                complaints.push(format!("{}:{}: {needle}", file.path, number + 1));
            }
        }
    }
    complain("no unwrap (say why with expect, or use ?), nothing left to do", complaints);
}

#[test]
fn no_static_holds_state() {
    let holders =
        ["Mutex", "RwLock", "Atomic", "OnceLock", "OnceCell", "LazyLock", "LazyCell", "RefCell", "DashMap"];
    let mut complaints = Vec::new();
    for file in files() {
        for (number, code) in file.code_outside_tests() {
            let code = code.trim_start();
            let declared = code.strip_prefix("pub(crate) ").or(code.strip_prefix("pub ")).unwrap_or(code);
            let thread_local = code.contains("thread_local!");
            let is_static = declared.starts_with("static ");
            if thread_local || (is_static && holders.iter().any(|holder| declared.contains(holder))) {
                complaints.push(format!("{}:{number}: keep it in Home or pass it", file.path));
            }
        }
    }
    complain("no static holds state", complaints);
}

#[test]
fn a_file_has_one_subject() {
    let mut complaints = Vec::new();
    for file in files() {
        let lines = file.text.lines().count();
        if lines >= FILE_LINES_MAX {
            complaints.push(format!("{}: {lines} lines, divide it", file.path));
        }
        let parts = file.path.split(['/', '.']);
        for name in parts.filter(|part| FORBIDDEN_NAMES.contains(part)) {
            complaints.push(format!("{}: {name} says nothing, name it after its subject", file.path));
        }
    }
    complain(
        &format!("a file has fewer than {FILE_LINES_MAX} lines and a name that says something"),
        complaints,
    );
}

#[test]
fn a_function_can_be_read_in_one_piece() {
    let mut complaints = Vec::new();
    for file in files() {
        for function in file.functions() {
            if function.lines >= FUNCTION_LINES_MAX {
                complaints.push(format!(
                    "{}:{}: {} has {} lines, divide it",
                    file.path, function.line, function.name, function.lines
                ));
            }
        }
    }
    complain(&format!("a function has fewer than {FUNCTION_LINES_MAX} lines"), complaints);
}

#[test]
fn every_route_is_in_routes_rs() {
    // router.rs hands the lines of routes.rs to axum; metrics and health are no part of Matrix.
    let places = [
        "crates/api/src/routes.rs",
        "crates/api/src/router.rs",
        "crates/hearth/src/metrics.rs",
        "crates/hearth/src/health.rs",
    ];
    forbid("every route stands in api's routes.rs", &[".route(", ".nest(", "Router::new()"], |file| {
        !places.contains(&file.path.as_str()) && !file.is_test()
    });
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = files().into_iter().filter(|file| !file.text.starts_with("//!") && !file.is_test());
    let complaints = silent.map(|file| format!("{}: begin with //! and a sentence", file.path)).collect();
    complain("a file begins with what it is for", complaints);
}
