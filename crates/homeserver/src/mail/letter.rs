//! What mails say.
//!
//! A letter is a text file: the subject, an empty line, then paragraphs; `{{name}}` stands for a value.
//! The one text becomes both forms of the mail. Operators write their own into `email.templates`, under
//! the same names.

use std::path::Path;

/// Bytes of a letter that an operator has written.
const LETTER_BYTES_MAX: usize = 64 * 1024;

/// A letter to somebody.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Which one.
    pub kind: Kind,
    /// What `{{name}}` stands for: names and values.
    pub values: Vec<(&'static str, String)>,
}

/// The letters there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To whoever makes an account: confirm the address.
    Register,
    /// To whoever makes an account with a client of 2015: type this code.
    Code,
    /// To whoever wants to add an address: confirm it.
    Add,
    /// To whoever wants a new password: confirm it.
    Password,
    /// To whoever logs in with a client of 2015: confirm it.
    Login,
    /// The same: type this code.
    LoginCode,
    /// The address is somebody's already.
    InUse,
    /// The address is nobody's.
    Unknown,
}

impl Kind {
    fn file_name(self) -> &'static str {
        match self {
            Kind::Register => "register.txt",
            Kind::Code => "code.txt",
            Kind::Add => "add.txt",
            Kind::Password => "password.txt",
            Kind::Login => "login.txt",
            Kind::LoginCode => "login_code.txt",
            Kind::InUse => "in_use.txt",
            Kind::Unknown => "unknown.txt",
        }
    }

    fn built_in(self) -> &'static str {
        match self {
            Kind::Register => include_str!("letters/register.txt"),
            Kind::Code => include_str!("letters/code.txt"),
            Kind::Add => include_str!("letters/add.txt"),
            Kind::Password => include_str!("letters/password.txt"),
            Kind::Login => include_str!("letters/login.txt"),
            Kind::LoginCode => include_str!("letters/login_code.txt"),
            Kind::InUse => include_str!("letters/in_use.txt"),
            Kind::Unknown => include_str!("letters/unknown.txt"),
        }
    }
}

/// A letter as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

impl Letter {
    /// Writes the letter, by the file in `folder` if there is one.
    pub(super) async fn write(&self, folder: Option<&Path>) -> Written {
        let own = match folder {
            Some(folder) => read(&folder.join(self.kind.file_name())).await,
            None => None,
        };
        self.fill(own.as_deref().unwrap_or(self.kind.built_in()))
    }

    fn fill(&self, template: &str) -> Written {
        let filled = fill(&template.replace("\r\n", "\n"), &self.values);
        let (subject, body) = filled.trim().split_once('\n').unwrap_or((&filled, ""));
        let subject: String = subject.chars().filter(|character| !character.is_control()).collect();
        Written { html: html(&subject, body), text: format!("{}\n", body.trim()), subject }
    }
}

/// The text of an operator's letter. One that can not be read is not worth a mail that is not sent.
async fn read(path: &Path) -> Option<String> {
    match tokio::fs::read_to_string(path).await {
        Ok(text) if text.len() <= LETTER_BYTES_MAX => Some(text),
        Ok(_) => {
            tracing::warn!(path = %path.display(), "the letter is too long, the built-in one is used");
            None
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the letter can not be read");
            None
        }
    }
}

/// Puts values in the places of their names. What values say is not looked at again.
fn fill(template: &str, values: &[(&'static str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let named = after.split_once("}}").and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name.trim())?;
            Some((value, after))
        });
        match named {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// The paragraphs of `body` as a page. One that is a link and nothing else can be followed.
fn html(subject: &str, body: &str) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n<body>\n",
        escape(subject)
    );
    for paragraph in body.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        let text = escape(paragraph);
        let is_link = (paragraph.starts_with("https://") || paragraph.starts_with("http://"))
            && !paragraph.contains(char::is_whitespace);
        match is_link {
            true => page.push_str(&format!("<p><a href=\"{text}\">{text}</a></p>\n")),
            false => page.push_str(&format!("<p>{}</p>\n", text.replace('\n', "<br>\n"))),
        }
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// Text as HTML, fit for attributes as well.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(values: Vec<(&'static str, String)>) -> Letter {
        Letter { kind: Kind::Register, values }
    }

    #[test]
    fn one_text_becomes_both_forms() {
        let link = "https://example.org/?a=1&b=2".to_owned();
        let letter = letter(vec![("link", link), ("server", "a<b".to_owned())]);
        let written = letter.fill("To {{server}}\n\nGo on\nhere:\n\n{{link}}\n");
        assert_eq!(written.subject, "To a<b");
        assert_eq!(written.text, "Go on\nhere:\n\nhttps://example.org/?a=1&b=2\n");
        let link = "https://example.org/?a=1&amp;b=2";
        assert!(written.html.contains("<title>To a&lt;b</title>"), "{}", written.html);
        assert!(written.html.contains("<p>Go on<br>\nhere:</p>"), "{}", written.html);
        assert!(written.html.contains(&format!("<p><a href=\"{link}\">{link}</a></p>")), "{}", written.html);
    }

    #[test]
    fn values_are_text_and_nothing_else() {
        let values = vec![
            ("address", "{{link}}<script>@example.org".to_owned()),
            ("link", "https://secret".to_owned()),
            ("server", "x\r\nBcc: bob@example.org".to_owned()),
        ];
        let written = letter(values).fill("Hi {{server}}\n\n{{address}} {{nothing}} {{ {{address");
        assert!(!written.html.contains("<script>") && !written.text.contains("secret"), "{written:?}");
        assert!(!written.subject.contains(char::is_control), "{}", written.subject);
        assert!(written.text.ends_with("{{nothing}} {{ {{address\n"), "{}", written.text);
    }

    #[test]
    fn every_letter_says_where_it_comes_from() {
        use Kind::{Add, Code, InUse, Login, LoginCode, Password, Register, Unknown};
        for kind in [Register, Code, Add, Password, Login, LoginCode, InUse, Unknown] {
            let (subject, body) = kind.built_in().split_once("\n\n").expect("a subject and a body");
            assert!(!subject.contains('\n') && subject.contains("{{server}}"), "{kind:?}: {subject}");
            let confirms = !matches!(kind, InUse | Unknown);
            let shown =
                if matches!(kind, Code | LoginCode) { "\n\n{{code}}\n\n" } else { "\n\n{{link}}\n\n" };
            assert_eq!(body.contains(shown), confirms, "{kind:?}");
            assert!(body.contains("If it was not you"), "{kind:?}");
        }
    }
}
