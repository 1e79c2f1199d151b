//! Where the server listens.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::Complaint;

/// `[listen]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address for plain HTTP, everything. A reverse proxy in front terminates TLS. Port 0 takes
    /// a free port and prints it.
    pub client: SocketAddr,
    /// Address for TLS, usually "0.0.0.0:8448". Needs the two keys that follow. Not served by this
    /// version.
    pub federation_tls: Option<SocketAddr>,
    /// The certificate chain of `federation_tls`, PEM.
    pub tls_certificate: Option<PathBuf>,
    /// The private key of `tls_certificate`, PEM.
    pub tls_private_key: Option<PathBuf>,
    /// Address for `/metrics` (Prometheus) and `/health`, for example "127.0.0.1:9008". Not
    /// served unless set, and not meant for the public.
    pub metrics: Option<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            client: SocketAddr::from((Ipv4Addr::LOCALHOST, 8008)),
            federation_tls: None,
            tls_certificate: None,
            tls_private_key: None,
            metrics: None,
        }
    }
}

impl Listen {
    pub(super) fn check(&self) -> Result<(), Complaint> {
        if self.federation_tls.is_none() {
            return Ok(());
        }
        for (key, file) in [
            ("listen.tls_certificate", &self.tls_certificate),
            ("listen.tls_private_key", &self.tls_private_key),
        ] {
            if file.is_none() {
                let why = "is missing: listen.federation_tls needs it, write the path of a PEM file";
                return Err(Complaint::new(key, why));
            }
        }
        Ok(())
    }
}
