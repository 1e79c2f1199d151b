//! What every page is made of: one layout, one style, a script of its own, and the policy by which
//! the browser holds it to that.
//!
//! A page is one file. Its style and its script stand in it, and the policy names them by their
//! hashes: nothing else is applied or run, not even another file of this server, where the uploads of
//! strangers lie as well.

use askama::Template;
use axum::{body::Body, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use homeserver::{Answer, Home, Refusal};
use http::{HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::answer::{Reply, Written};

const STYLE: &str = include_str!("../../templates/page.css");

/// Where Google's captcha has further parts of itself.
const CAPTCHA_SCRIPTS: &str = "https://www.gstatic.com/recaptcha/";
const CAPTCHA_FRAMES: &str = "https://recaptcha.google.com/recaptcha/";

/// A page for people.
#[derive(Debug)]
pub struct Page {
    status: StatusCode,
    layout: Layout,
    captcha: Option<String>,
    leads_to: Option<String>,
    goes_on_to: Option<HeaderValue>,
}

#[derive(Debug, Template)]
#[template(path = "layout.html")]
struct Layout {
    title: String,
    server_name: String,
    style: &'static str,
    script: &'static str,
    content: String,
}

impl Page {
    /// A page of this server called `title`, with `content` in it.
    ///
    /// # Errors
    /// A broken server, if the template can not be written.
    pub fn new(home: &Home, title: impl Into<String>, content: &impl Template) -> Answer<Self> {
        let layout = Layout {
            title: title.into(),
            server_name: home.server_name().to_string(),
            style: STYLE,
            script: "",
            content: written(content)?,
        };
        Ok(Page { status: StatusCode::OK, layout, captcha: None, leads_to: None, goes_on_to: None })
    }

    /// The same page with another status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Page { status, ..self }
    }

    /// The same page with a script.
    #[must_use]
    pub fn with_script(mut self, script: &'static str) -> Self {
        self.layout.script = script;
        self
    }

    /// The same page, which may show the captcha whose script is at `script_url`.
    #[must_use]
    pub fn with_captcha(self, script_url: &str) -> Self {
        Page { captcha: folder(script_url), ..self }
    }

    /// The same page, whose form may lead to the site of `url` as well; a `url` that is none leads
    /// nowhere.
    #[must_use]
    pub fn leading_to(self, url: &str) -> Self {
        Page { leads_to: site(url).or_else(|| app(url)), ..self }
    }

    /// The same page, but the browser goes on to `url` at once.
    ///
    /// # Errors
    /// A broken server, if that is no URL.
    pub fn going_on_to(self, url: &str) -> Answer<Self> {
        let url = HeaderValue::try_from(url);
        let url = url.map_err(|error| Refusal::broken(format!("a page goes on to no URL: {error}")))?;
        Ok(Page { status: StatusCode::SEE_OTHER, goes_on_to: Some(url), ..self })
    }

    /// What the browser lets this page do
    /// (<https://www.w3.org/TR/CSP3/>).
    fn policy(&self) -> String {
        let mut directives = vec![
            "default-src 'none'".to_owned(),
            format!("style-src 'sha256-{}'", hash(self.layout.style)),
            // The icon stands in the page.
            "img-src data:".to_owned(),
            // A browser applies this to where the answer of a form redirects, too.
            format!("form-action 'self' {}", self.leads_to.as_deref().unwrap_or_default()),
            "base-uri 'none'".to_owned(),
            // A web view shows a page on its own, and so does a new window: no client needs frames. In
            // one, a page of somebody else could lead the hand that clicks.
            "frame-ancestors 'none'".to_owned(),
        ];
        if !self.layout.script.is_empty() {
            let (scripts, frames) = match &self.captcha {
                Some(folder) => (format!("{folder} {CAPTCHA_SCRIPTS}"), format!("{folder} {CAPTCHA_FRAMES}")),
                None => Default::default(),
            };
            directives.push(format!("script-src 'sha256-{}' {scripts}", hash(self.layout.script)));
            directives.push("connect-src 'self'".to_owned());
            // Apps that show a page in a web view have it tell them the outcome by a frame whose
            // address is `js:{…}`. They catch that address; to a browser it leads nowhere.
            directives.push(format!("frame-src js: {frames}"));
        }
        directives.iter().map(|directive| directive.trim_end()).collect::<Vec<_>>().join("; ")
    }
}

impl Reply<Written> for Page {
    fn reply(self) -> Answer<Response> {
        let policy = HeaderValue::try_from(self.policy())
            .map_err(|error| Refusal::broken(format!("the policy of a page: {error}")))?;
        let mut response = Response::new(Body::from(written(&self.layout)?));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(url) = self.goes_on_to {
            headers.insert(header::LOCATION, url);
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        let further: [(HeaderName, &str); 5] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // The address of a page has the session in it.
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
            // For web views that are older than frame-ancestors.
            (header::X_FRAME_OPTIONS, "DENY"),
        ];
        for (name, value) in further {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

fn written(template: &impl Template) -> Answer<String> {
    template.render().map_err(|error| Refusal::broken(format!("a page can not be written: {error}")))
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

/// The site of `url` as a policy names it: scheme, host and port, and nothing that could be taken for
/// another directive.
fn site(url: &str) -> Option<String> {
    let url: http::Uri = url.parse().ok()?;
    let scheme = url.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    let plain =
        |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let host = url.host().filter(plain)?;
    Some(match url.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// The app that opens `url`, as a policy names it: its scheme, if a browser does not open it itself.
fn app(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let own = ["http", "https", "javascript", "data", "blob", "file", "about", "filesystem", "vbscript"];
    let is_app = scheme.bytes().all(plain) && !own.contains(&scheme.to_ascii_lowercase().as_str());
    (is_app && !scheme.is_empty()).then(|| format!("{scheme}:"))
}

/// The folder in which the file at `url` is, as a policy names it.
fn folder(url: &str) -> Option<String> {
    let parsed: http::Uri = url.parse().ok()?;
    let folder = parsed.path().rsplit_once('/')?.0;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    folder.bytes().all(plain).then_some(format!("{}{folder}/", site(url)?))
}

#[cfg(test)]
mod tests {
    use super::{app, folder, site};

    #[test]
    fn a_policy_names_the_folder_of_a_captcha() {
        let cases = [
            ("https://www.google.com/recaptcha/api.js", Some("https://www.google.com/recaptcha/")),
            ("https://captcha.test/api.js?x=1", Some("https://captcha.test/")),
            ("https://captcha.test/a;script-src/api.js", None),
            ("/api.js", None),
        ];
        for (url, wanted) in cases {
            assert_eq!(folder(url).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn a_policy_names_apps_by_their_schemes() {
        let cases = [
            ("element://connect", Some("element:")),
            ("io.element.app:/callback", Some("io.element.app:")),
            ("https://example.org/", None),
            ("JavaScript:alert(1)", None),
            ("data:text/html,x", None),
            ("a;b:c", None),
            (":", None),
            ("", None),
        ];
        for (url, wanted) in cases {
            assert_eq!(app(url).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn a_policy_names_sites_and_nothing_else() {
        let cases = [
            ("https://app.example.org/#/done?x=1", Some("https://app.example.org")),
            ("http://127.0.0.1:8080/next", Some("http://127.0.0.1:8080")),
            ("https://[2001:db8::1]/next", Some("https://[2001:db8::1]")),
            ("https://user:secret@example.org/", Some("https://example.org")),
            ("javascript:alert(1)", None),
            ("app://done", None),
            ("https://a;script-src*/", None),
            ("https://a,b/", None),
            ("/next", None),
            ("", None),
        ];
        for (url, wanted) in cases {
            assert_eq!(site(url).as_deref(), wanted, "{url}");
        }
    }
}
