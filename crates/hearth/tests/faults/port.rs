//! Ports that stay a test's own while nobody listens on them.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// None of those that the operating system gives away: one of these would soon be somebody else's,
/// who listens or only connects, while a server is dead that is to come back there.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port on 127.0.0.1 for TCP, which is ours until this is dropped.
pub struct Port {
    /// The port.
    pub number: u16,
    /// By the port of the same number for UDP tests see whose it is, across processes.
    _claim: UdpSocket,
}

impl Port {
    /// One that nobody uses.
    pub fn claim() -> Self {
        loop {
            let number = rand::random_range(PORTS);
            let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)) else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Port { number, _claim: claim };
            }
        }
    }
}
