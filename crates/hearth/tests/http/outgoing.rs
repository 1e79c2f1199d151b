//! What this server asks of others, and what it refuses to ask.

use std::{net::Ipv4Addr, time::Duration};

use homeserver::outgoing::{self, Error};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::harness::{Server, on_both_databases};

/// A host that answers each connection with these bytes; answers its port.
async fn answering(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    port
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into()
}

async fn get(server: &Server, url: &str) -> Result<Value, Error> {
    outgoing::get_json(&server.home, url, Some("token")).await
}

on_both_databases! {
    async fn no_request_goes_to_an_inner_address(server: Server) {
        let port = answering(http("200 OK", "{}")).await;
        for host in ["127.0.0.1", "localhost", "[::1]", "2130706433", "0.0.0.0", "10.0.0.1", "169.254.169.254",
            "[::ffff:127.0.0.1]"] {
            for scheme in ["http", "https"] {
                let refused = get(&server, &format!("{scheme}://{host}:{port}/")).await;
                assert!(matches!(refused, Err(Error::NotAllowed(_))), "{scheme} {host}: {refused:?}");
            }
        }
    }

    async fn answers_are_json_within_limits(server: Server) {
        let mut server = server;
        server.restart_with(|config| config.federation.allow_loopback = true).await;
        let port = answering(http("200 OK", r#"{"a":1}"#)).await;
        assert_eq!(get(&server, &format!("http://localhost:{port}/")).await.expect("JSON"), json!({ "a": 1 }));
        let url = format!("http://127.0.0.1:{port}/");
        let posted: Value = outgoing::post_form(&server.home, &url, &[("a", "b c&d")]).await.expect("JSON");
        assert_eq!(posted["a"], 1);
        let posted: Value = outgoing::post_json(&server.home, &url, None, &json!({})).await.expect("JSON");
        assert_eq!(posted["a"], 1);

        let port = answering(http("200 OK", "no")).await;
        let error = get(&server, &format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(error, Err(Error::Unexpected(_))), "{error:?}");

        let port = answering(http("403 Forbidden", r#"{"errcode":"M_FORBIDDEN"}"#)).await;
        let error = get(&server, &format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(&error, Err(Error::Status { status: 403, body }) if body.starts_with(b"{")), "{error:?}");

        let large = format!("\"{}\"", "x".repeat(outgoing::ANSWER_BYTES_MAX));
        let port = answering(http("200 OK", &large)).await;
        let error = get(&server, &format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(error, Err(Error::TooLarge)), "{error:?}");
    }

    async fn redirects_are_not_followed(server: Server) {
        let mut server = server;
        server.restart_with(|config| config.federation.allow_loopback = true).await;
        let inner = answering(http("200 OK", "{}")).await;
        let redirect = format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{inner}/\r\n\
            content-length: 0\r\nconnection: close\r\n\r\n");
        let port = answering(redirect.into()).await;
        let error = get(&server, &format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(error, Err(Error::Status { status: 302, .. })), "{error:?}");
    }

    async fn who_does_not_answer_is_not_there(server: Server) {
        let mut server = server;
        server.restart_with(|config| config.federation.allow_loopback = true).await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let url = format!("http://127.0.0.1:{port}/");
        let asking = get(&server, &url);
        let error = tokio::time::timeout(Duration::from_secs(20), asking).await.expect("an end");
        assert!(matches!(error, Err(Error::Unreachable(_))), "{error:?}");
    }
}
