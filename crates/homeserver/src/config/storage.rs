//! Where everything is kept: the database, and the files that people upload.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Complaint, Secret};

/// `[database]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// "sqlite:PATH" or "postgres://USER:PASSWORD@HOST/NAME". Unset: `hearth.db` in `data_dir`.
    /// A PostgreSQL database must have been created with the collation "C".
    pub url: Option<Secret>,
    /// A file that holds the url, instead of `url`.
    pub url_file: Option<PathBuf>,
}

/// `[media]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// The folder of uploaded files. Unset: `media` in `data_dir`.
    pub path: Option<PathBuf>,
}

impl Database {
    pub(super) fn check(&self) -> Result<(), Complaint> {
        if let Some(url) = &self.url
            && !["sqlite:", "postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.reveal().starts_with(scheme))
        {
            return Err(Complaint::new(
                "database.url",
                "write \"sqlite:PATH\" or \"postgres://USER:PASSWORD@HOST/NAME\"",
            ));
        }
        Ok(())
    }
}
