use super::*;

/// Writes `text` to a file, reads it as the configuration.
fn read_text(text: &str) -> Result<Config, Wrong> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("hearth.toml");
    std::fs::write(&path, text).expect("the file is written");
    read(Some(&path)).map_err(|wrong| Wrong { file: "hearth.toml".to_owned(), ..wrong })
}

fn assert_refused(text: &str, complaint: &str) {
    let refused = read_text(text).expect_err(text);
    assert_eq!(refused.to_string(), complaint, "{text}");
}

#[test]
fn a_wrong_key_is_refused_in_one_line_that_says_what_to_write() {
    for (text, complaint) in [
        (
            "server_name = \"example.org\"\n\n[registration]\nenbled = true\n",
            "hearth.toml:4: unknown key registration.enbled, write enabled instead",
        ),
        ("sever_name = \"a\"", "hearth.toml:1: unknown key sever_name, write server_name instead"),
        ("[registraton]", "hearth.toml:1: unknown key registraton, write registration instead"),
        (
            "[listen]\nserver_name = \"a\"",
            "hearth.toml:2: unknown key listen.server_name, write server_name at the top of the file, \
             before the first [table]",
        ),
        (
            "shared_secret = \"a\"",
            "hearth.toml:1: unknown key shared_secret, write shared_secret below [registration]",
        ),
        ("[media]\nxyzzy = 1", "hearth.toml:2: unknown key media.xyzzy, write one of path"),
        (
            "listen = \"127.0.0.1:80\"",
            "hearth.toml:1: listen is a table, write [listen] and below it client = …",
        ),
    ] {
        assert_refused(text, complaint);
    }
}

#[test]
fn a_wrong_value_is_refused_in_one_line_that_says_what_to_write() {
    for (text, complaint) in [
        (
            "[limits]\nenabled = \"yes\"",
            "hearth.toml:2: limits.enabled: invalid type: string \"yes\", expected a boolean, \
             write true or false",
        ),
        (
            "default_room_version = 12",
            "hearth.toml:1: default_room_version: invalid type: integer `12`, expected a string, \
             write a room version, \"12\"",
        ),
        (
            "default_room_version = \"13\"",
            "hearth.toml:1: default_room_version: there is no room version \"13\" here, \
             write one of \"6\" to \"12\"",
        ),
        (
            "[listen]\n\nclient = \"localhost:8008\"",
            "hearth.toml:3: listen.client: invalid socket address syntax, \
             write an address with a port, \"127.0.0.1:8008\"",
        ),
        (
            "[listen]\nfederation_tls = \"0.0.0.0:8448\"",
            "hearth.toml:1: listen.tls_certificate: is missing: listen.federation_tls needs it, \
             write the path of a PEM file",
        ),
        (
            "[registration]\nrequire = [\"token\", \"email\"]\n[email]\ntls = \"starttls\"",
            "hearth.toml:3: email.host: is missing: registration.require has \"email\", \
             write the name of a mail server",
        ),
        (
            "[registration]\nrequire = [\"recaptcha\"]\n[captcha]\nsite_key = \"a\"",
            "hearth.toml:3: captcha.secret: is missing: registration.require has \"recaptcha\", \
             write what its provider gave you",
        ),
        (
            "[log]\nlevel = \"loud\"",
            "hearth.toml:2: log.level: \"loud\" is no level, write \"info\" or \"info,store=debug\"",
        ),
        (
            "[registration]\nshared_secret_file = \"/nonexistent\"",
            "hearth.toml:2: registration.shared_secret_file: /nonexistent can not be read: \
             No such file or directory (os error 2)",
        ),
        (
            "[registration]\nshared_secret = \"a\"\nshared_secret_file = \"b\"",
            "hearth.toml:3: registration.shared_secret_file: registration.shared_secret is set \
             too, write one of the two",
        ),
        (
            "[database]\nurl = \"mysql://x\"",
            "hearth.toml:2: database.url: write \"sqlite:PATH\" or \
             \"postgres://USER:PASSWORD@HOST/NAME\"",
        ),
    ] {
        assert_refused(text, complaint);
    }
}

#[test]
fn a_text_that_is_no_toml_is_refused_with_its_line() {
    for text in ["a = ", "[listen\n", "server_name = \"a", "a = 1\na = 2", "\u{0}"] {
        let refused = read_text(text).expect_err(text);
        assert!(refused.line.is_some(), "{text}: {refused}");
        assert!(!refused.to_string().contains('\n'), "{text}: {refused}");
    }
}

#[test]
fn what_hearth_config_prints_can_be_read_back() {
    let config = read_text(
        "server_name = \"example.org\"\n[registration]\nenabled = true\nrequire = [\"token\"]\n\
         [well_known]\ncontacts = [{ role = \"m.role.admin\", email_address = \"a@example.org\" }]",
    )
    .expect("the file is right");
    let printed = print(&config).expect("it can be printed");
    let again = read_text(&printed).expect("what was printed is a right file");
    assert_eq!(print(&again).expect("it can be printed"), printed);
    assert_eq!(again.server_name, "example.org");
    assert_eq!(again.well_known.contacts.len(), 1);
}

#[test]
fn every_key_is_printed_with_its_documentation() {
    let printed = print(&Config::default()).expect("it can be printed");
    for setting in manual::settings() {
        assert!(printed.contains(&setting.key), "{} is missing", setting.name());
    }
    assert!(printed.contains("# Where clients find this server"));
}

#[test]
fn secrets_are_read_from_files_and_never_printed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "hunter2\n").expect("the file is written");
    let text = format!("[registration]\nshared_secret_file = {:?}", secret.display().to_string());
    let config = read_text(&text).expect("the file is right");
    let read = config.registration.shared_secret.as_ref().map(Secret::reveal);
    assert_eq!(read, Some("hunter2"));
    let printed = print(&config).expect("it can be printed");
    assert!(!printed.contains("hunter2"), "{printed}");
}
