use axum::routing::get;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    task::JoinHandle,
};

use super::*;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);
/// What a peer that reads all the time is never without, however much this machine has to do.
const STALLED: Duration = Duration::from_secs(2);
const HELLO: &[u8] = b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";

const LARGE: &[u8] = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
/// More than the operating system takes off our hands.
const LARGE_BYTES: usize = 64 << 20;

/// A served door: `/hello` answers at once, `/slow` when `finish` is notified, `/large` at length.
struct Served {
    address: SocketAddr,
    finish: Arc<Notify>,
    asked: Arc<Notify>,
    stop: watch::Sender<bool>,
    done: JoinHandle<()>,
}

async fn serve(connections_max: u32, patience: Patience) -> Served {
    let (finish, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (until, begun) = (finish.clone(), asked.clone());
    let slow = async move || {
        begun.notify_one();
        until.notified().await;
        "late"
    };
    let router = Router::new().route("/hello", get(async || "hi")).route("/slow", get(slow));
    let router = router.route("/large", get(async || vec![b'x'; LARGE_BYTES]));
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let door = Door::open(address, router, connections_max).expect("a port is free");
    let door = door.with_patience(patience);
    let (stop, stopping) = watch::channel(false);
    let address = door.address();
    Served { address, finish, asked, stop, done: tokio::spawn(door.serve(stopping, LONG)) }
}

async fn connect(served: &Served) -> TcpStream {
    TcpStream::connect(served.address).await.expect("the door is open")
}

/// What the peer says until it closes.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the peer says until `end` has been said.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut bytes = [0; 512];
        let length = stream.read(&mut bytes).await.expect("the connection lives");
        assert!(length > 0, "closed after {text:?}");
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    text
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let served = serve(10, Patience { first_request: SHORT, idle: LONG, stalled: LONG }).await;
    for begun in [&b""[..], b"P", b"GET /hello HTTP/1.1\r\nx: y"] {
        let mut stream = connect(&served).await;
        stream.write_all(begun).await.expect("the connection lives");
        assert_eq!(read_to_end(&mut stream).await, "");
    }
}

#[tokio::test]
async fn a_connection_that_asks_no_more_is_closed() {
    let served = serve(10, Patience { first_request: SHORT, idle: SHORT, stalled: LONG }).await;
    let mut stream = connect(&served).await;
    stream.write_all(HELLO).await.expect("the connection lives");
    let said = read_to_end(&mut stream).await;
    assert!(said.ends_with("\r\n\r\nhi"), "{said}");
}

#[tokio::test]
async fn a_request_under_way_is_no_neglect() {
    let served = serve(10, Patience { first_request: SHORT, idle: SHORT, stalled: LONG }).await;
    let mut stream = connect(&served).await;
    stream.write_all(SLOW).await.expect("the connection lives");
    // A second one is closed for its silence, so that much time has passed.
    assert_eq!(read_to_end(&mut connect(&served).await).await, "");
    assert_eq!(read_to_end(&mut connect(&served).await).await, "");
    served.finish.notify_one();
    let said = read_until(&mut stream, "late").await;
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
}

#[tokio::test]
async fn silent_connections_up_to_the_limit_delay_others_only_until_they_are_closed() {
    let served = serve(3, Patience { first_request: SHORT, idle: LONG, stalled: LONG }).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(connect(&served).await);
    }
    let mut stream = connect(&served).await;
    stream.write_all(HELLO).await.expect("the connection lives");
    assert!(read_until(&mut stream, "hi").await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_given_up_and_one_that_takes_a_little_is_not() {
    let patience = Patience { first_request: LONG, idle: LONG, stalled: STALLED };
    let served = serve(1, patience).await;
    let mut dead = connect(&served).await;
    dead.write_all(LARGE).await.expect("the connection lives");
    // There is place for one only.
    let mut slow = connect(&served).await;
    slow.write_all(LARGE).await.expect("the connection lives");
    let (mut read, mut bytes) = (0, vec![0; 64 * 1024]);
    loop {
        match slow.read(&mut bytes).await.expect("the connection lives") {
            0 => panic!("closed after {read} bytes"),
            length if read + length < LARGE_BYTES => read += length,
            _ => break,
        }
    }
    drop(dead);
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_finish_and_takes_no_more() {
    let served = serve(10, Patience { first_request: LONG, idle: LONG, stalled: LONG }).await;
    let (mut idle, mut silent, mut slow) =
        (connect(&served).await, connect(&served).await, connect(&served).await);
    idle.write_all(HELLO).await.expect("the connection lives");
    read_until(&mut idle, "hi").await;
    slow.write_all(SLOW).await.expect("the connection lives");
    served.asked.notified().await;
    served.stop.send_replace(true);
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(read_to_end(&mut silent).await, "");
    assert!(!served.done.is_finished());
    served.finish.notify_one();
    assert!(read_to_end(&mut slow).await.ends_with("late"));
    served.done.await.expect("the door does not panic");
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn a_request_with_too_many_headers_is_refused() {
    let served = serve(10, Patience::default()).await;
    let mut stream = connect(&served).await;
    let headers: String = (0..HEADERS_MAX + 1).map(|n| format!("x-{n}: y\r\n")).collect();
    let request = format!("GET /hello HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("the connection lives");
    let said = read_to_end(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
}
