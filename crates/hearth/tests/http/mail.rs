//! Mails that the server sends, and those that it does not.

use std::time::Duration;

use homeserver::config::SmtpTls;
use serde_json::json;

use crate::{
    harness::on_both_databases,
    mailbox::{Mailbox, page, press, wanting},
};

const REGISTER: &str = "/v3/register/email/requestToken";

on_both_databases! {
    async fn a_mail_says_who_asks_and_what_its_link_does(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let begun = server.stranger().post(REGISTER, wanting("Alice@Example.ORG", "secret")).await.ok();
        assert!(begun.get("submit_url").is_none(), "{begun}");
        let mail = mailbox.newest("alice@example.org");
        for (header, value) in [
            ("From", "Hearth <matrix@hearth.test>"),
            ("To", "alice@example.org"),
            ("Subject", "Confirm your address for hearth.test"),
            ("Date", "Thu, 01 Jan 2026 00:00:00 +0000"),
            ("Auto-Submitted", "auto-generated"),
        ] {
            assert_eq!(mail.header(header), Some(value), "{}", mail.text);
        }
        let id = mail.header("Message-ID").expect("a Message-ID");
        assert!(id.starts_with('<') && id.ends_with("@hearth.test>"), "{id}");
        assert_eq!(mail.shown()["sid"], begun["sid"]);
        assert_eq!(mail.shown()["client_secret"], "secret");
        for part in ["text/plain", "text/html", "making an account on hearth.test", "<a href=\"https://hearth.test/"] {
            assert!(mail.text.contains(part), "{part} is not in {}", mail.text);
        }
    }

    async fn without_a_mail_server_none_is_sent(server: Server) {
        let stranger = server.stranger();
        for path in ["register", "account/password", "account/3pid"] {
            let path = format!("/v3/{path}/email/requestToken");
            stranger.post(&path, wanting("a@example.org", "s")).await.refused(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED");
            let phone = json!({ "country": "GB", "phone_number": "07700900001", "client_secret": "s",
                "send_attempt": 1 });
            let path = path.replace("email", "msisdn");
            stranger.post(&path, phone).await.refused(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED");
        }
    }

    async fn a_mail_is_sent_once_for_each_attempt(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let stranger = server.stranger();
        let mut body = wanting("alice@example.org", "secret");
        let begun = stranger.post(REGISTER, body.clone()).await.ok();
        for again in [1, 1, 0] {
            body["send_attempt"] = again.into();
            assert_eq!(stranger.post(REGISTER, body.clone()).await.ok(), begun);
        }
        assert_eq!(mailbox.mails().len(), 1);
        body["send_attempt"] = 2.into();
        assert_eq!(stranger.post(REGISTER, body).await.ok(), begun);
        assert_eq!(mailbox.mails().len(), 2);
        // Whichever of the two mails is read: both lead to the same session.
        assert_eq!(mailbox.mails()[0].link(), mailbox.mails()[1].link());
        let other = stranger.post(REGISTER, wanting("alice@example.org", "other")).await.ok();
        assert_ne!(other["sid"], begun["sid"]);
        assert_eq!(mailbox.mails().len(), 3);
    }

    async fn asked_many_times_at_once_it_is_sent_once(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let asking = (0..8).map(|_| {
            let stranger = server.stranger();
            tokio::spawn(async move { stranger.post(REGISTER, wanting("alice@example.org", "secret")).await })
        });
        for reply in asking.collect::<Vec<_>>() {
            let reply = reply.await.expect("a reply");
            match reply.status {
                200 => {}
                _ => drop(reply.refused(429, "M_LIMIT_EXCEEDED")),
            }
        }
        assert_eq!(mailbox.mails().len(), 1);
    }

    async fn a_mail_that_was_not_sent_is_sent_when_it_is_asked_for_again(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let stranger = server.stranger();
        let body = wanting("later@example.org", "secret");
        stranger.post(REGISTER, body.clone()).await.refused(503, "M_UNKNOWN");
        let begun = stranger.post(REGISTER, body).await.ok();
        let (status, _, text) = press(&server, &mailbox.newest("later@example.org").link()).await;
        assert_eq!((status, mailbox.mails().len()), (200, 1), "{text} {begun}");
        let body = wanting("nobody@example.org", "secret");
        stranger.post(REGISTER, body).await.refused(400, "M_INVALID_PARAM");
        // A mail server that is not there at all.
        server.restart_with(|config| config.email.port = Some(1)).await;
        let body = wanting("bob@example.org", "secret");
        server.stranger().post(REGISTER, body).await.refused(503, "M_UNKNOWN");
    }

    async fn a_mail_server_that_does_not_speak_tls_gets_none(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        for tls in [SmtpTls::Starttls, SmtpTls::Tls] {
            server.restart_with(|config| { mailbox.serves(config); config.email.tls = tls; }).await;
            let refused = server.stranger().post(REGISTER, wanting("alice@example.org", "secret")).await;
            refused.refused(503, "M_UNKNOWN");
        }
        assert!(mailbox.mails().is_empty());
    }

    async fn nothing_gets_into_a_mail_by_way_of_an_address(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let stranger = server.stranger();
        for address in [
            "alice@example.org\r\nBcc: bob@example.org",
            "alice@example.org\nSubject: hello",
            "alice@example.org>\r\nRCPT TO:<bob@example.org",
            "alice@example.org,bob@example.org",
            "alice\u{0}@example.org",
            "\"alice\r\n\"@example.org",
            "<script>@example.org",
            "alice@127.0.0.1",
            "alice",
            "",
        ] {
            stranger.post(REGISTER, wanting(address, "secret")).await.refused(400, "M_INVALID_PARAM");
        }
        for body in [
            json!({ "email": "alice@example.org", "client_secret": "a\r\nb", "send_attempt": 1 }),
            json!({ "email": "alice@example.org", "client_secret": "a&b=c", "send_attempt": 1 }),
            json!({ "email": "alice@example.org", "client_secret": "", "send_attempt": 1 }),
            json!({ "email": "alice@example.org", "client_secret": "x".repeat(256), "send_attempt": 1 }),
        ] {
            stranger.post(REGISTER, body).await.refused(400, "M_INVALID_PARAM");
        }
        for (key, errcode) in [("email", "M_MISSING_PARAM"), ("client_secret", "M_MISSING_PARAM"),
            ("send_attempt", "M_MISSING_PARAM")] {
            let mut body = wanting("alice@example.org", "secret");
            body[key] = json!(null);
            let missing = stranger.post(REGISTER, body.clone()).await;
            assert_eq!(missing.status, 400, "{key}: {}", missing.body);
            body.as_object_mut().expect("an object").remove(key);
            stranger.post(REGISTER, body.clone()).await.refused(400, errcode);
            body[key] = json!([1]);
            stranger.post(REGISTER, body).await.refused(400, "M_BAD_JSON");
        }
        assert!(mailbox.mails().is_empty());
    }

    async fn an_address_that_the_mail_server_can_not_take_is_refused(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::of_ascii().await);
        server.restart_with(|config| mailbox.serves(config)).await;
        let stranger = server.stranger();
        for address in ["ünï@example.org", "alice@exämple.org"] {
            stranger.post(REGISTER, wanting(address, "secret")).await.refused(400, "M_INVALID_PARAM");
        }
        stranger.post(REGISTER, wanting("alice@example.org", "secret")).await.ok();
        mailbox.newest("alice@example.org");
    }

    async fn operators_write_their_own_letters(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        let folder = tempfile::tempdir().expect("a folder");
        let letter = "Welcome to {{ server }}!\n\nHello {{address}},\n\n{{link}}\n";
        std::fs::write(folder.path().join("register.txt"), letter).expect("a letter");
        let path = folder.path().to_owned();
        server.restart_with(|config| { mailbox.serves(config); config.email.templates = Some(path); }).await;
        let stranger = server.stranger();
        stranger.post(REGISTER, wanting("alice@example.org", "secret")).await.ok();
        let mail = mailbox.newest("alice@example.org");
        assert_eq!(mail.header("Subject"), Some("Welcome to hearth.test!"));
        assert!(mail.text.contains("\nHello alice@example.org,\n"), "{}", mail.text);
        assert_eq!(page(&server, &mail.link()).await.0, 200);
        // What is not there is the server's own.
        stranger.post("/v3/account/3pid/email/requestToken", wanting("alice@example.org", "secret")).await.ok();
        let subject = "Confirm your address for hearth.test";
        assert_eq!(mailbox.newest("alice@example.org").header("Subject"), Some(subject));
    }

    async fn nobody_is_flooded_with_mails(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        server.restart_with(|config| { mailbox.serves(config); config.limits.enabled = true; }).await;
        let from = |n: u32| server.stranger().at(&format!("192.0.2.{n}"));
        for n in 0..5 {
            let body = wanting("alice@example.org", &format!("secret{n}"));
            from(n).post(REGISTER, body).await.ok();
        }
        let body = wanting("Alice@example.org", "secret6");
        let refused = from(6).post(REGISTER, body.clone()).await.refused(429, "M_LIMIT_EXCEEDED");
        assert!(refused["retry_after_ms"].as_i64() > Some(60_000), "{refused}");
        from(6).post(REGISTER, wanting("bob@example.org", "secret")).await.ok();
        server.pass(Duration::from_secs(12 * 60));
        from(6).post(REGISTER, body).await.ok();
        // Many addresses, one client.
        let mut sent = 0;
        while from(99).post(REGISTER, wanting(&format!("u{sent}@example.org"), "secret")).await.status == 200 {
            sent += 1;
            assert!(sent <= 20, "{sent} mails");
        }
        assert_eq!(mailbox.mails().len(), 7 + sent);
    }

    async fn only_some_domains_may_be_wanted(server: Server) {
        let (mut server, mailbox) = (server, Mailbox::open().await);
        let domains = vec!["Example.org".to_owned()];
        server.restart_with(|config| { mailbox.serves(config); config.email.allowed_domains = domains; }).await;
        let stranger = server.stranger();
        for denied in ["a@example.com", "a@sub.example.org", "a@example.org.evil.test"] {
            stranger.post(REGISTER, wanting(denied, "secret")).await.refused(403, "M_THREEPID_DENIED");
        }
        stranger.post(REGISTER, wanting("a@EXAMPLE.org", "secret")).await.ok();
    }
}
