//! Forms of pages, sent by the pages themselves and by nobody else.

use homeserver::{Answer, Refusal};
use http::{HeaderMap, header, uri::Authority};

use crate::{
    endpoint::Ask,
    plain::{ByHand, Plain},
};

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// A form that a page of this server has sent.
#[derive(Debug)]
pub struct Form {
    /// The parts of the request.
    pub plain: Plain,
    /// The decoded pairs of the form, in order.
    pub fields: Vec<(String, String)>,
}

impl Ask<ByHand> for Form {
    fn read(request: http::Request<&[u8]>, path: &[&str]) -> Answer<Self> {
        let authority = request.uri().authority().cloned();
        if !comes_from_here(request.headers(), authority) {
            return Err(Refusal::forbidden("Another site has sent this form: only this server's pages may"));
        }
        let body = *request.body();
        if body.len() > FORM_BYTES_MAX {
            return Err(Refusal::too_large(format!("A form has at most {FORM_BYTES_MAX} bytes")));
        }
        let fields = serde_html_form::from_bytes(body)
            .map_err(|_| Refusal::bad_json("The body is not a form in form-encoded UTF-8"))?;
        Ok(Form { plain: Plain::read(request, path)?, fields })
    }
}

impl Form {
    /// The first value of the field `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Whether a form was sent by a page of this server, as far as the browser says so. A form is worth
/// nothing without the secret that its page was opened with, so this is the second lock.
///
/// Browsers of today say whose page it was (`Sec-Fetch-Site`), if the connection is safe. Otherwise there
/// is `Origin`; it is `null` for forms of pages that send no referrer, as ours.
fn comes_from_here(headers: &HeaderMap, authority: Option<Authority>) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text(header::ORIGIN.as_str()).filter(|origin| *origin != "null") else { return true };
    let host = text(header::HOST.as_str()).map(str::to_owned).or(authority.map(|host| host.to_string()));
    let named = origin.split_once("://").map(|(_, host)| host);
    host.is_some_and(|host| named.is_some_and(|named| named.eq_ignore_ascii_case(&host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_says_whose_page_sent_a_form() {
        let cases: [(&[(&str, &str)], bool); 10] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://hearth.test")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "null")], true),
            (&[("origin", "https://hearth.test"), ("host", "hearth.test")], true),
            (&[("origin", "http://hearth.test:8008"), ("host", "Hearth.test:8008")], true),
            (&[("origin", "https://evil.test"), ("host", "hearth.test")], false),
            (&[("origin", "https://hearth.test.evil.test"), ("host", "hearth.test")], false),
        ];
        for (headers, wanted) in cases {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, http::HeaderValue::from_static(value));
            }
            assert_eq!(comes_from_here(&map, None), wanted, "{headers:?}");
        }
    }
}
