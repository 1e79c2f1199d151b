//! Pages: their headers, hostile input, methods. What they do in a browser is tested in `clients/pages`.

use homeserver::config::{Contact, Requirement, Terms};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    harness::{Server, encode, on_both_databases},
    mailbox::{Mailbox, press, wanting},
};

const LOGIN: &str = "/_matrix/static/client/login/";
const REGISTER: &str = "/_matrix/static/client/register/";

/// Pages that anybody can open.
const PAGES: [&str; 6] = [
    "/",
    LOGIN,
    "/_matrix/static/client/login",
    "/_matrix/client/api/v1/login/fallback",
    REGISTER,
    "/_matrix/static/client/register",
];

/// What tries to break out of text, of an attribute and of a script.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;{{7*7}}";

async fn ask(server: &Server, method: Method, path: &str) -> Response {
    let request = reqwest::Client::new().request(method, format!("{}{path}", server.base));
    request.send().await.expect("the server answers")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Checks what every page must say to a browser; answers its policy.
fn policy(response: &Response) -> String {
    assert_eq!(header(response, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(response, "x-content-type-options"), "nosniff");
    assert_eq!(header(response, "referrer-policy"), "no-referrer");
    assert_eq!(header(response, "cache-control"), "no-store");
    assert_eq!(header(response, "x-frame-options"), "DENY");
    assert_eq!(header(response, "access-control-allow-origin"), "", "other sites can not read pages");
    let policy = header(response, "content-security-policy").to_owned();
    for directive in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"]
    {
        assert!(policy.split("; ").any(|found| found == directive), "{directive} is not in {policy}");
    }
    for loose in ["unsafe", "*", "http:", "https:", "'self' 'sha"] {
        assert!(!policy.contains(loose), "{loose} is in {policy}");
    }
    policy
}

/// The values of a directive.
fn values<'a>(policy: &'a str, name: &str) -> Vec<&'a str> {
    let found = policy.split("; ").find_map(|directive| directive.strip_prefix(name)?.strip_prefix(' '));
    found.map(|values| values.split(' ').collect()).unwrap_or_default()
}

/// The text between each `<tag>` and `</tag>`.
fn between<'a>(page: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    page.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
}

fn hash(text: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(text.as_bytes());
    format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(hash))
}

/// Checks that a page has nothing in it but what its policy names.
fn is_whole(policy: &str, page: &str) {
    let scripts: Vec<_> = between(page, "script").into_iter().map(hash).collect();
    assert_eq!(scripts, values(policy, "script-src"));
    let styles: Vec<_> = between(page, "style").into_iter().map(hash).collect();
    assert_eq!(styles, values(policy, "style-src"));
    let outside: String = page.split("<script>").next().into_iter().collect();
    let tags = outside.split('<').filter_map(|rest| rest.split('>').next());
    // Without the values of their attributes.
    let tags: Vec<String> = tags.map(|tag| tag.split('"').step_by(2).collect()).collect();
    for other in [" src=", " style=", " onclick=", " onerror="] {
        assert!(!tags.iter().any(|tag| tag.contains(other)), "{other} in the page");
    }
    assert!(!outside.contains("\"javascript:") && !outside.contains("stylesheet"));
    assert!(page.starts_with("<!doctype html>") && page.contains("<html lang=\"en\">"));
    assert_eq!(page.matches("<h1").count(), 1);
    assert_eq!(page.matches("<main>").count(), 1);
}

fn stage_path(stage: &str) -> String {
    format!("/_matrix/client/v3/auth/{stage}/fallback/web")
}

/// The session of somebody who wants an account.
async fn begins_registration(server: &Server) -> String {
    let challenge = server.stranger().post("/v3/register", json!({ "username": "nina" })).await;
    challenge.body["session"].as_str().expect("a session").to_owned()
}

/// Sends a form as a browser does from a page of the site `site`.
async fn send(server: &Server, path: &str, form: String, site: &str) -> Response {
    let request =
        reqwest::Client::new().post(format!("{}{path}", server.base)).header("sec-fetch-site", site);
    let request =
        request.header("origin", "null").header("content-type", "application/x-www-form-urlencoded");
    request.body(form).send().await.expect("the server answers")
}

on_both_databases! {
    async fn a_page_is_one_file_and_its_policy_names_all_of_it(server: Server) {
        for path in PAGES {
            let response = ask(&server, Method::GET, path).await;
            assert_eq!(response.status(), 200, "{path}");
            let policy = policy(&response);
            is_whole(&policy, &response.text().await.expect("a whole page"));
        }
    }

    async fn a_page_answers_head_and_no_other_method(server: Server) {
        for path in PAGES {
            let response = ask(&server, Method::HEAD, path).await;
            assert_eq!(response.status(), 200, "{path}");
            policy(&response);
            assert_eq!(response.bytes().await.expect("an answer").len(), 0);
            for method in [Method::PUT, Method::DELETE, Method::PATCH] {
                let response = ask(&server, method, path).await;
                assert_eq!(response.status(), 405, "{path}");
                let body: Value = response.json().await.expect("an error object");
                assert_eq!(body["errcode"], "M_UNRECOGNIZED");
            }
        }
    }

    async fn nothing_of_a_query_gets_into_a_page(server: Server) {
        let hostile: String = encode(HOSTILE);
        for path in PAGES {
            let plain = ask(&server, Method::GET, path).await.text().await.expect("a page");
            let names = ["device_id", "loginToken", "session", "error", hostile.as_str()];
            let query: Vec<_> = names.iter().map(|name| format!("{name}={hostile}")).collect();
            let response = ask(&server, Method::GET, &format!("{path}?{}", query.join("&"))).await;
            assert_eq!(response.text().await.expect("a page"), plain, "{path}");
        }
    }

    async fn a_page_of_a_busy_address_says_so_in_html(server: Server) {
        let mut server = server;
        server.restart_with(|config| config.limits.enabled = true).await;
        let refused = loop {
            let response = send(&server, &stage_path("m.login.dummy"), String::new(), "same-origin").await;
            if response.status() != 400 {
                break response;
            }
        };
        assert_eq!(refused.status(), 429);
        assert!(header(&refused, "retry-after").parse::<u64>().is_ok_and(|wait_s| wait_s > 0));
        let policy = policy(&refused);
        let page = refused.text().await.expect("a page");
        is_whole(&policy, &page);
        assert!(page.contains("Too many requests") && page.contains("Wait a minute"), "{page}");
    }

    async fn the_front_page_says_whom_to_ask_and_escapes_what_the_operator_wrote(server: Server) {
        let mut server = server;
        server.restart_with(|config| {
            config.well_known.client = Some(format!("https://matrix.hearth.test/{HOSTILE}"));
            config.well_known.support_page = Some(format!("https://hearth.test/{HOSTILE}"));
            let matrix_id = "@alice:hearth.test".try_into().ok();
            let email_address = Some(format!("alice@hearth.test?{HOSTILE}"));
            config.well_known.contacts = vec![Contact { role: HOSTILE.to_owned(), matrix_id, email_address }];
        }).await;
        let response = ask(&server, Method::GET, "/").await;
        let policy = policy(&response);
        let page = response.text().await.expect("a page");
        is_whole(&policy, &page);
        assert!(page.contains("@alice:hearth.test"));
        assert!(!page.contains("<img") && !page.contains("<script>"), "{page}");
        assert!(!page.contains(env!("CARGO_PKG_VERSION")), "nobody need know the version");
    }

    async fn a_closed_server_says_so_instead_of_showing_a_form(server: Server) {
        let mut server = server;
        server.restart_with(|config| config.registration.enabled = false).await;
        let page = ask(&server, Method::GET, REGISTER).await.text().await.expect("a page");
        assert!(page.contains("Registration is closed") && !page.contains("<form"), "{page}");
        let front = ask(&server, Method::GET, "/").await.text().await.expect("a page");
        assert!(front.contains("Registration is closed") && !front.contains("client/register"), "{front}");
    }

    async fn a_stage_has_a_page_under_every_prefix(server: Server) {
        let session = begins_registration(&server).await;
        for prefix in ["api/v1", "v2_alpha", "api/v2_alpha", "r0", "v3"] {
            let path = format!("/_matrix/client/{prefix}/auth/m.login.dummy/fallback/web?session={session}");
            let response = ask(&server, Method::GET, &path).await;
            assert_eq!(response.status(), 200, "{path}");
            let policy = policy(&response);
            let page = response.text().await.expect("a page");
            is_whole(&policy, &page);
            assert!(page.contains("make an account") && page.contains(&session), "{page}");
            assert_eq!(ask(&server, Method::HEAD, &path).await.status(), 200);
            assert_eq!(ask(&server, Method::PUT, &path).await.status(), 405);
        }
    }

    async fn a_stage_is_completed_by_its_form_alone(server: Server) {
        let session = begins_registration(&server).await;
        let path = stage_path("m.login.dummy");
        let refused = [
            // Without the session in the form, by no form at all, and by the page of another site.
            (format!("{path}?session={session}"), String::new(), "same-origin", 400),
            (path.clone(), "{\"session\": 1}".to_owned(), "same-origin", 400),
            (path.clone(), format!("session={session}"), "cross-site", 403),
            (path.clone(), format!("session={session}"), "same-site", 403),
            (path.clone(), format!("session={session}&x={}", "x".repeat(70_000)), "same-origin", 413),
        ];
        for (path, form, site, status) in refused {
            let response = send(&server, &path, form, site).await;
            assert_eq!(response.status(), status, "{path}");
            let policy = policy(&response);
            is_whole(&policy, &response.text().await.expect("a page"));
        }
        let path = format!("{path}?session={session}");
        let page = ask(&server, Method::GET, &path).await.text().await.expect("a page");
        assert!(page.contains("<form") && !page.contains("data-done"), "{page}");

        let done = send(&server, &path, format!("session={session}"), "same-origin").await;
        assert_eq!(done.status(), 200);
        let policy = policy(&done);
        let page = done.text().await.expect("a page");
        is_whole(&policy, &page);
        assert!(page.contains("data-done") && page.contains("onAuthDone"), "{page}");
        let again = ask(&server, Method::GET, &path).await.text().await.expect("a page");
        assert!(again.contains("data-done"), "{again}");
        let wish = json!({ "username": "nina", "auth": { "session": session } });
        server.stranger().post("/v3/register", wish).await.ok();
    }

    async fn a_hostile_session_or_stage_is_refused_in_harmless_html(server: Server) {
        let hostile = encode(HOSTILE);
        for session in [hostile.as_str(), "", "%00", "%ff", &"x".repeat(5_000)] {
            for stage in ["m.login.dummy", "m.login.password", "m.nothing", hostile.as_str(), "%00"] {
                let path = format!("{}?session={session}", stage_path(stage));
                let response = ask(&server, Method::GET, &path).await;
                assert_eq!(response.status(), 400, "{path}");
                let policy = policy(&response);
                let page = response.text().await.expect("a page");
                is_whole(&policy, &page);
                assert!(!page.contains("<img"), "{page}");
                assert!(page.contains("start again from there"), "{page}");
                let response = send(&server, &path, format!("session={session}"), "same-origin").await;
                assert_eq!(response.status(), 400, "{path}");
                is_whole(&self::policy(&response), &response.text().await.expect("a page"));
            }
        }
    }

    async fn a_session_that_has_expired_is_a_page_that_says_so(server: Server) {
        let session = begins_registration(&server).await;
        server.pass(std::time::Duration::from_secs(2 * 60 * 60));
        let path = format!("{}?session={session}", stage_path("m.login.dummy"));
        let response = ask(&server, Method::GET, &path).await;
        assert_eq!(response.status(), 400);
        assert!(response.text().await.expect("a page").contains("unknown or has expired"));
    }

    async fn what_was_wrong_is_said_where_it_can_be_put_right(server: Server) {
        let mut server = server;
        server.restart_with(|config| config.registration.require = vec![Requirement::Token]).await;
        let session = begins_registration(&server).await;
        let form = format!("session={session}&token={}", encode(HOSTILE));
        let response = send(&server, &stage_path("m.login.registration_token"), form, "same-origin").await;
        assert_eq!(response.status(), 400);
        let policy = policy(&response);
        let page = response.text().await.expect("a page");
        is_whole(&policy, &page);
        assert!(page.contains("aria-invalid=\"true\"") && page.contains("role=\"alert\""), "{page}");
        assert!(page.contains(&session) && !page.contains("<img"), "{page}");
    }

    async fn a_page_of_a_captcha_lets_its_provider_in_and_nobody_else(server: Server) {
        let mut server = server;
        server.restart_with(|config| {
            config.registration.require = vec![Requirement::Recaptcha];
            config.captcha.site_key = Some(HOSTILE.to_owned());
            config.captcha.secret = Some(homeserver::config::Secret::new("secret"));
        }).await;
        let session = begins_registration(&server).await;
        for path in [format!("{}?session={session}", stage_path("m.login.recaptcha")), REGISTER.to_owned()] {
            let response = ask(&server, Method::GET, &path).await;
            let policy = header(&response, "content-security-policy").to_owned();
            let page = response.text().await.expect("a page");
            let own: Vec<_> = between(&page, "script").into_iter().map(hash).collect();
            let scripts = ["https://www.google.com/recaptcha/", "https://www.gstatic.com/recaptcha/"];
            let wanted: Vec<_> = own.iter().map(String::as_str).chain(scripts).collect();
            assert_eq!(values(&policy, "script-src"), wanted, "{path}");
            let frames = ["js:", "https://www.google.com/recaptcha/", "https://recaptcha.google.com/recaptcha/"];
            assert_eq!(values(&policy, "frame-src"), frames, "{path}");
            assert!(page.contains("src=\"https://www.google.com/recaptcha/api.js?onload="), "{page}");
            assert!(!page.contains("<img"), "{page}");
        }
    }

    async fn what_people_agree_to_is_escaped(server: Server) {
        let mut server = server;
        server.restart_with(|config| {
            config.registration.require = vec![Requirement::Terms];
            config.registration.terms = vec![Terms {
                id: "privacy".to_owned(),
                version: "1".to_owned(),
                language: HOSTILE.to_owned(),
                name: HOSTILE.to_owned(),
                url: format!("https://hearth.test/{HOSTILE}"),
            }];
        }).await;
        let session = begins_registration(&server).await;
        let path = format!("{}?session={session}", stage_path("m.login.terms"));
        let response = ask(&server, Method::GET, &path).await;
        let policy = policy(&response);
        let page = response.text().await.expect("a page");
        is_whole(&policy, &page);
        assert!(page.contains("https://hearth.test/") && !page.contains("<img"), "{page}");
    }

    async fn the_link_in_a_mail_leads_to_a_page_like_the_others(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| {
            mailbox.serves(config);
            config.email.next_link_hosts = vec!["app.example.org".to_owned()];
        }).await;
        let mut wanted = wanting("alice@example.org", "s1");
        wanted["next_link"] = "https://app.example.org:8443/done?a=1".into();
        server.stranger().post("/v3/register/email/requestToken", wanted).await.ok();
        let link = mailbox.newest("alice@example.org").link();
        let response = ask(&server, Method::GET, &link).await;
        let policy = header(&response, "content-security-policy").to_owned();
        assert_eq!(values(&policy, "form-action"), ["'self'", "https://app.example.org:8443"]);
        is_whole(&policy, &response.text().await.expect("a page"));
        let (path, form) = link.split_once('?').expect("a query");
        for site in ["cross-site", "same-site"] {
            assert_eq!(send(&server, path, form.to_owned(), site).await.status(), 403);
        }
        let (status, location, page) = press(&server, &link).await;
        assert_eq!((status, location.as_deref()), (303, Some("https://app.example.org:8443/done?a=1")));
        assert!(page.contains("confirmed"), "{page}");
        let gone = ask(&server, Method::GET, &format!("{path}?sid=x&client_secret=x&token={}", encode(HOSTILE))).await;
        assert_eq!(gone.status(), 400);
        is_whole(&self::policy(&gone), &gone.text().await.expect("a page"));
    }

    async fn the_page_of_an_address_escapes_what_was_entered(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| {
            mailbox.serves(config);
            config.registration.require = vec![Requirement::Email];
        }).await;
        let session = begins_registration(&server).await;
        let path = stage_path("m.login.email.identity");
        let hostile = encode(HOSTILE);
        for form in [
            format!("session={session}&address={hostile}"),
            format!("session={session}&address={hostile}&sid={hostile}&client_secret={hostile}"),
            format!("session={session}&address={hostile}&sid=%00&client_secret=%00"),
        ] {
            let response = send(&server, &path, form, "same-origin").await;
            assert_eq!(response.status(), 400);
            let policy = policy(&response);
            let page = response.text().await.expect("a page");
            is_whole(&policy, &page);
            assert!(page.contains("role=\"alert\"") && !page.contains("<img"), "{page}");
        }
        let begun = send(&server, &path, format!("session={session}&address=a%40example.org"), "same-origin").await;
        assert_eq!(begun.status(), 200);
        is_whole(&policy(&begun), &begun.text().await.expect("a page"));
        assert!(mailbox.newest("a@example.org").link().contains("confirm"));
    }
}
