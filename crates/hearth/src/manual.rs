//! What every setting means: read from the doc comments of `homeserver::config`.
//!
//! One text serves the programmer, `hearth config` and the complaints about a wrong file. The
//! reader knows only the shape that rustfmt gives to a struct of public fields.

/// One key of the configuration file, as its doc comment describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The table it is in; empty for the keys at the top.
    pub table: String,
    /// Its name in that table.
    pub key: String,
    /// What it means: the lines of its doc comment.
    pub meaning: Vec<String>,
    /// The Rust type of its value, without `Option`.
    kind: String,
}

impl Setting {
    /// The key as people name it: `registration.require`.
    pub fn name(&self) -> String {
        match self.table.as_str() {
            "" => self.key.clone(),
            table => format!("{table}.{}", self.key),
        }
    }

    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.kind == "Secret"
    }

    /// What a value of this setting looks like in the file.
    pub fn example(&self) -> &'static str {
        match self.kind.as_str() {
            "bool" => "true or false",
            "SocketAddr" => "an address with a port, \"127.0.0.1:8008\"",
            "OwnedServerName" => "a server name, \"example.org\"",
            "RoomVersionId" => "a room version, \"12\"",
            "LogFormat" => "\"text\" or \"json\"",
            "Vec<Requirement>" => "a list, [\"token\", \"recaptcha\", \"email\", \"terms\"]",
            "Vec<String>" => "a list of texts, [\"a\", \"b\"]",
            "SmtpTls" => "\"starttls\", \"tls\" or \"none\"",
            "u16" => "a number, 587",
            "Vec<Provider>" => "a list, [{ id = \"example\", name = \"Example\", client_id = \"…\", … }]",
            "Vec<PathBuf>" => "a list of files, [\"bridge.yaml\"]",
            "Vec<Network>" => "a list of addresses or networks, [\"127.0.0.1\", \"10.0.0.0/8\"]",
            "Vec<Terms>" => {
                "a list, [{ id = \"privacy\", version = \"1\", name = \"Privacy policy\", \
                 url = \"https://…\" }]"
            }
            "Vec<Contact>" => "a list, [{ role = \"m.role.admin\", matrix_id = \"@alice:…\" }]",
            _ => "a text in quotes, \"…\"",
        }
    }
}

/// All settings in the order of the file: the keys at the top, then table by table.
pub fn settings() -> Vec<Setting> {
    let source = homeserver::config::SOURCE;
    let mut settings = Vec::new();
    for field in fields(source, "Config") {
        let inner = fields(source, &field.kind);
        if inner.is_empty() {
            settings.push(field);
            continue;
        }
        settings.extend(inner.into_iter().map(|setting| Setting { table: field.key.clone(), ..setting }));
    }
    // Keys at the top come before the first table, whatever the order of the struct: TOML wants it.
    settings.sort_by_key(|setting| !setting.table.is_empty());
    settings
}

/// What stands above each table: the doc comment of the field that holds it.
pub fn table_meaning(table: &str) -> Vec<String> {
    let field = fields(homeserver::config::SOURCE, "Config").into_iter().find(|field| field.key == table);
    field.map(|field| field.meaning).unwrap_or_default()
}

/// The public fields of `pub struct {name} {`; none if there is no such struct.
fn fields(source: &str, name: &str) -> Vec<Setting> {
    let start = format!("pub struct {name} {{");
    let body = source.lines().skip_while(|line| *line != start).skip(1).take_while(|line| *line != "}");
    let mut meaning = Vec::new();
    let mut fields = Vec::new();
    for line in body.map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            meaning.push(text.trim().to_owned());
        } else if let Some((key, kind)) = line.strip_prefix("pub ").and_then(field) {
            fields.push(Setting {
                table: String::new(),
                key: key.to_owned(),
                meaning: std::mem::take(&mut meaning),
                kind: kind.to_owned(),
            });
        }
    }
    fields
}

fn field(line: &str) -> Option<(&str, &str)> {
    let (key, kind) = line.trim_end_matches(',').split_once(": ")?;
    let optional = kind.strip_prefix("Option<").and_then(|k| k.strip_suffix('>'));
    Some((key, optional.unwrap_or(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_meaning() {
        let settings = settings();
        assert!(settings.len() > 25, "only {} settings found", settings.len());
        for setting in settings {
            assert!(!setting.meaning.is_empty(), "{} has no doc comment", setting.name());
        }
    }

    #[test]
    fn the_keys_that_scripts_rely_on_are_there() {
        let names: Vec<_> = settings().iter().map(Setting::name).collect();
        for key in [
            "server_name",
            "data_dir",
            "default_room_version",
            "appservices",
            "listen.client",
            "listen.federation_tls",
            "listen.tls_certificate",
            "listen.tls_private_key",
            "database.url",
            "media.path",
            "registration.enabled",
            "registration.require",
            "registration.shared_secret",
            "federation.enabled",
            "federation.verify_tls",
            "federation.allow_loopback",
            "limits.enabled",
            "log.level",
        ] {
            assert!(names.iter().any(|name| name == key), "{key} is gone");
        }
    }
}
