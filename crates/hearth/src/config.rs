//! The configuration file: read, complained about in one line, and printed back with its manual.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use homeserver::config::{Complaint, Config, Secret};
use toml::de::{DeTable, DeValue};

use crate::{
    logs,
    manual::{self, Setting},
};

/// Largest configuration file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why the configuration can not be used, in one line that says where and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {message}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct Wrong {
    /// The file as the person named it.
    pub file: String,
    /// The line in it, from 1, if the fault is on one.
    pub line: Option<usize>,
    /// Key and remedy.
    pub message: String,
}

/// The settings in `file`, or the defaults if there is none.
///
/// Secrets that are kept in files of their own are read as well. Relative paths are meant from
/// the working directory of the server, not from where the file is.
pub fn read(file: Option<&Path>) -> Result<Config, Wrong> {
    let Some(path) = file else {
        return Ok(Config::default());
    };
    let name = path.display().to_string();
    let at = |line, message: String| Wrong { file: name.clone(), line, message };
    let text = read_bounded(path).map_err(|error| at(None, format!("can not be read: {error}")))?;
    let mut config = parse(&text).map_err(|(line, message)| at(line, message))?;
    complete(&mut config).map_err(|complaint| {
        let line = line_of_key(&text, complaint.key);
        at(line, format!("{}: {}", complaint.key, complaint.why))
    })?;
    Ok(config)
}

/// The configuration in force as a TOML file, each key under its documentation. A key that is not
/// set stands in a comment, and so does a secret: only that it is set, not what it is.
pub fn print(config: &Config) -> Result<String, toml::ser::Error> {
    let values = toml::Table::try_from(in_force(config))?;
    let mut text = String::new();
    let mut table = String::new();
    for setting in manual::settings() {
        if setting.table != table {
            table.clone_from(&setting.table);
            let meaning = comment(&manual::table_meaning(&table));
            text.push_str(&format!("\n{meaning}[{table}]\n"));
        } else {
            text.push('\n');
        }
        text.push_str(&comment(&setting.meaning));
        let inside = match table.as_str() {
            "" => Some(&values),
            table => values.get(table).and_then(toml::Value::as_table),
        };
        let key = &setting.key;
        let secret = setting.is_secret();
        text.push_str(&match inside.and_then(|inside| inside.get(key)) {
            Some(_) if secret => format!("# {key} is set and not shown\n"),
            Some(value) => format!("{key} = {value}\n"),
            None => format!("# {key} is not set\n"),
        });
    }
    Ok(text.trim_start().to_owned())
}

/// `config` with the defaults that depend on other keys.
fn in_force(config: &Config) -> Config {
    let mut config = config.clone();
    config.media.path = Some(config.media_path());
    config
}

fn comment(lines: &[String]) -> String {
    lines.iter().map(|line| format!("# {line}\n")).collect()
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path)
}

/// A complaint with its line, if it has one.
type Fault = (Option<usize>, String);

fn parse(text: &str) -> Result<Config, Fault> {
    let fault = |error: &toml::de::Error| {
        let line = error.span().map(|span| line_of(text, span.start));
        (line, error.message().replace('\n', " "))
    };
    let table = DeTable::parse(text).map_err(|error| fault(&error))?;
    let settings = manual::settings();
    refuse_unknown_keys(text, table.get_ref(), &settings)?;
    toml::from_str(text).map_err(|error| {
        let (line, message) = fault(&error);
        let setting = error.span().and_then(|span| setting_at(table.get_ref(), &settings, &span));
        let Some(setting) = setting else {
            return (line, message);
        };
        let (name, example) = (setting.name(), setting.example());
        (line, format!("{name}: {message}, write {example}"))
    })
}

fn refuse_unknown_keys(text: &str, file: &DeTable<'_>, settings: &[Setting]) -> Result<(), Fault> {
    for (key, value) in file {
        let line = Some(line_of(text, key.span().start));
        let key = key.get_ref().as_ref();
        if settings.iter().any(|s| s.table.is_empty() && s.key == key) {
            continue;
        }
        let mut inside = settings.iter().filter(|s| s.table == key).peekable();
        if inside.peek().is_none() {
            return Err((line, unknown(settings, "", key)));
        }
        let DeValue::Table(table) = value.get_ref() else {
            let first = &settings.iter().find(|s| s.table == key);
            let first = first.map(|s| s.key.as_str()).unwrap_or_default();
            return Err((line, format!("{key} is a table, write [{key}] and below it {first} = …")));
        };
        for inner in table.keys() {
            let known = inside.clone().any(|s| s.key == *inner.get_ref().as_ref());
            if !known {
                let line = Some(line_of(text, inner.span().start));
                return Err((line, unknown(settings, key, inner.get_ref())));
            }
        }
    }
    Ok(())
}

/// What to say about a key that is none, with the one that was probably meant.
fn unknown(settings: &[Setting], table: &str, key: &str) -> String {
    let name = match table {
        "" => key.to_owned(),
        table => format!("{table}.{key}"),
    };
    // The right key in the wrong table is the likeliest mistake, then a slip of the finger.
    let elsewhere = settings.iter().find(|s| s.key == key);
    if let Some(meant) = elsewhere {
        let place = match meant.table.as_str() {
            "" => "at the top of the file, before the first [table]".to_owned(),
            table => format!("below [{table}]"),
        };
        return format!("unknown key {name}, write {key} {place}");
    }
    let here = settings.iter().filter(|s| s.table == table);
    let mut candidates: Vec<&str> = here.map(|s| s.key.as_str()).collect();
    if table.is_empty() {
        candidates.extend(settings.iter().map(|s| s.table.as_str()).filter(|t| !t.is_empty()));
        candidates.dedup();
    }
    let nearest = candidates.iter().map(|c| (edits(key, c), *c)).min();
    match nearest {
        Some((distance, nearest)) if distance <= nearest.len().div_ceil(3) => {
            format!("unknown key {name}, write {nearest} instead")
        }
        _ => format!("unknown key {name}, write one of {}", candidates.join(", ")),
    }
}

/// How many characters must be added, removed or replaced to make `b` of `a`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The setting whose value stands at `span`.
fn setting_at<'s>(file: &DeTable<'_>, settings: &'s [Setting], span: &Range<usize>) -> Option<&'s Setting> {
    let holds = |value: Range<usize>| value.start <= span.start && span.end <= value.end;
    let find = |table: &str, key: &str| settings.iter().find(|s| s.table == table && s.key == key);
    for (key, value) in file {
        if let Some(table) = value.get_ref().as_table() {
            let inner = table.iter().find(|(_, value)| holds(value.span()));
            if let Some((inner, _)) = inner {
                return find(key.get_ref(), inner.get_ref());
            }
        } else if holds(value.span()) {
            return find("", key.get_ref());
        }
    }
    None
}

/// The line, from 1, of the byte at `offset`.
fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The line where `name` (`table.key`) is set, or else where its table begins.
fn line_of_key(text: &str, name: &str) -> Option<usize> {
    let file = DeTable::parse(text).ok()?;
    let (table, key) = name.split_once('.').unwrap_or(("", name));
    let entry = |table: &DeTable<'_>, name: &str| {
        let mut keys = table.iter();
        let found = keys.find(|(key, _)| key.get_ref() == name);
        found.map(|(key, _)| line_of(text, key.span().start))
    };
    if table.is_empty() {
        return entry(file.get_ref(), key);
    }
    let inside = file.get_ref().get(table)?.get_ref().as_table()?;
    entry(inside, key).or_else(|| entry(file.get_ref(), table))
}

/// Reads what the settings refer to, and checks what they mean together.
fn complete(config: &mut Config) -> Result<(), Complaint> {
    read_secrets(config)?;
    logs::filter(&config.log.level).map_err(|why| Complaint { key: "log.level", why })?;
    config.check()
}

/// Puts the secrets that are kept in files of their own where they belong.
fn read_secrets(config: &mut Config) -> Result<(), Complaint> {
    let Config { database, registration, captcha, oauth2, email, sms, .. } = config;
    for (key, file, secret) in [
        ("database.url_file", &database.url_file, &mut database.url),
        (
            "registration.shared_secret_file",
            &registration.shared_secret_file,
            &mut registration.shared_secret,
        ),
        ("captcha.secret_file", &captcha.secret_file, &mut captcha.secret),
        ("email.password_file", &email.password_file, &mut email.password),
        ("sms.token_file", &sms.token_file, &mut sms.token),
    ] {
        read_secret(key, file.as_ref(), secret)?;
    }
    for provider in &mut oauth2.providers {
        let file = provider.client_secret_file.as_ref();
        read_secret("oauth2.providers", file, &mut provider.client_secret)?;
    }
    Ok(())
}

fn read_secret(
    key: &'static str,
    file: Option<&PathBuf>,
    secret: &mut Option<Secret>,
) -> Result<(), Complaint> {
    let Some(file) = file else { return Ok(()) };
    let complain = |why: String| Complaint { key, why };
    if secret.is_some() {
        let direct = key.trim_end_matches("_file");
        return Err(complain(format!("{direct} is set too, write one of the two")));
    }
    let read = Secret::read(file)
        .map_err(|error| complain(format!("{} can not be read: {error}", file.display())))?;
    if read.reveal().is_empty() {
        return Err(complain(format!("{} is empty, write the secret on its first line", file.display())));
    }
    *secret = Some(read);
    Ok(())
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
