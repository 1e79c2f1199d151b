//! What the documents say is true, as far as a program can tell.

use std::{fs, path::PathBuf};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_readme_names_every_setting() {
    let readme = document("README.md");
    let settings = hearth::manual::settings();
    let names = settings.iter().map(hearth::manual::Setting::name);
    let missing: Vec<_> = names.filter(|name| !readme.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "add to the table in README.md: {missing:?}");
}

#[test]
fn the_configuration_in_the_readme_is_right() {
    let readme = document("README.md");
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).collect();
    assert!(!blocks.is_empty(), "README.md has no example of a configuration");
    for block in blocks {
        let text = block.split("```").next().unwrap_or_default();
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("hearth.toml");
        fs::write(&path, text).expect("the file is written");
        hearth::config::read(Some(&path)).expect("the example in README.md is right");
    }
}

#[test]
fn the_files_that_documents_name_are_there() {
    for name in ["README.md", "ARCHITECTURE.md", "docs/architecture.md", "CHANGELOG.md"] {
        let text = document(name);
        let quoted = text.split('`').skip(1).step_by(2);
        let paths = quoted.filter(|quoted| {
            let ours = ["crates/", "clients/", "scripts/", "docs/"];
            ours.iter().any(|start| quoted.starts_with(start)) && !quoted.contains(['*', ' ', '<'])
        });
        for path in paths {
            assert!(root().join(path).exists(), "{name} names {path}, which is not there");
        }
    }
}

#[test]
fn cargo_run_knows_which_program_is_meant() {
    let workspace: toml::Table = document("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let members = workspace["workspace"].get("default-members").and_then(toml::Value::as_array);
    let members: Vec<_> = members.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    assert_eq!(members, ["crates/hearth"], "the README's first command is `cargo run --release`");
}
