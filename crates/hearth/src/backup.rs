//! `hearth backup DIR`: everything that makes this server what it is, while it runs.
//!
//! The folder it makes can take the place of `data_dir` (with SQLite, at once). It appears under its
//! name only when all of it is on disk: one that was broken off can not be mistaken for a backup.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use homeserver::config::Config;

use crate::progress::{Progress, Unit};

/// Anything that ends the command; its text is for the person who typed it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the names of everything in a backup begin with.
const PARTS: [&str; 5] = ["hearth.db", "hearth.pgdump", "hearth.toml", "signing.key", "media"];

/// Folders within folders of media.
const DEPTH_MAX: usize = 16;

/// Copies database, signing key, media and the configuration in `file` into the new folder `into`, and
/// says on standard output what to do with it.
pub async fn backup(config: &Config, file: Option<&Path>, into: &Path) -> Result<(), Failure> {
    let (unfinished, _lock) = begin(into)?;
    let mut progress = Progress::new();
    let copied = copy(config, file, &unfinished, &mut progress).await;
    progress.end();
    match copied.and_then(|database| finish(&unfinished, into).map(|()| database)) {
        Ok(database) => Ok(say(into, &database)?),
        Err(failure) => {
            // What is left of it is of no use; the failure is what matters.
            let _ = fs::remove_dir_all(&unfinished);
            Err(failure)
        }
    }
}

/// Makes the folder that will be `into`, beside it, and locks it: that of a backup which was broken off is
/// locked by nobody, and removed.
fn begin(into: &Path) -> Result<(PathBuf, File), Failure> {
    if into.symlink_metadata().is_ok() {
        return Err(format!("{} is there already, and nothing is ever written over", into.display()).into());
    }
    let name = into.file_name().ok_or_else(|| format!("{} is no name for a folder", into.display()))?;
    let mut unfinished = OsString::from(name);
    unfinished.push(".unfinished");
    let unfinished = into.with_file_name(unfinished);
    let make = || fs::DirBuilder::new().mode(0o700).create(&unfinished);
    let made = match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let _lock = lock(&unfinished)?;
            remove(&unfinished)?;
            make()
        }
        made => made,
    };
    made.map_err(|error| named(&unfinished, &error))?;
    let lock = lock(&unfinished)?;
    Ok((unfinished, lock))
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let opened = File::open(folder).map_err(|error| named(folder, &error))?;
    match opened.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(format!("{} is there: another backup is being made", folder.display()).into())
        }
        Err(TryLockError::Error(error)) => Err(named(folder, &error)),
        Ok(()) => Ok(opened),
    }
}

/// Removes what is left of a backup, if it is nothing else.
fn remove(unfinished: &Path) -> Result<(), Failure> {
    for entry in entries(unfinished, 0)? {
        let (path, _) = entry?;
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if !PARTS.iter().any(|part| name.starts_with(part)) {
            let what = path.display();
            return Err(
                format!("{what} is no part of a backup that was broken off: move it elsewhere").into()
            );
        }
    }
    fs::remove_dir_all(unfinished).map_err(|error| named(unfinished, &error))
}

/// The database first: whatever media it names are there when it has been copied, and media never
/// change.
async fn copy(
    config: &Config,
    file: Option<&Path>,
    into: &Path,
    progress: &mut Progress,
) -> Result<PathBuf, Failure> {
    let told = |bytes, total| progress.at("database", bytes, total, Unit::Bytes);
    let database = store::database::backup(&config.database_url(), into, told).await?;
    copy_file(&config.signing_key_path(), &into.join("signing.key"))?;
    if let Some(file) = file {
        copy_file(file, &into.join("hearth.toml"))?;
    }
    let media = config.media_path();
    if media.is_dir() {
        let mut media = Media { total: 0, copied: 0, progress };
        media.count(&config.media_path(), 0)?;
        media.copy(&config.media_path(), &into.join("media"), 0)?;
    }
    Ok(database.file.strip_prefix(into)?.to_owned())
}

/// Copies of the media folder so far.
struct Media<'a> {
    total: u64,
    copied: u64,
    progress: &'a mut Progress,
}

impl Media<'_> {
    fn count(&mut self, folder: &Path, depth: usize) -> Result<(), Failure> {
        for entry in entries(folder, depth)? {
            let (path, kind) = entry?;
            if kind.is_dir() {
                self.count(&path, depth + 1)?;
            } else if kind.is_file() {
                self.total += path.metadata().map_or(0, |file| file.len());
            }
        }
        Ok(())
    }

    fn copy(&mut self, from: &Path, into: &Path, depth: usize) -> Result<(), Failure> {
        fs::DirBuilder::new().mode(0o700).create(into).map_err(|error| named(into, &error))?;
        for entry in entries(from, depth)? {
            let (path, kind) = entry?;
            let target = into.join(path.file_name().unwrap_or_default());
            if kind.is_dir() {
                self.copy(&path, &target, depth + 1)?;
            } else if kind.is_file() {
                let source = match File::open(&path) {
                    // Removed meanwhile, and so not named by anything.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    opened => opened.map_err(|error| named(&path, &error))?,
                };
                self.copied += copy_opened(source, &target)?;
                let total = Some(self.total.max(self.copied));
                self.progress.at("media", self.copied, total, Unit::Bytes);
            }
        }
        sync(into)
    }
}

/// What is in a folder. Other things than files and folders are none of ours.
fn entries(
    folder: &Path,
    depth: usize,
) -> Result<impl Iterator<Item = Result<(PathBuf, fs::FileType), Failure>>, Failure> {
    if depth == DEPTH_MAX {
        return Err(format!("{}: media are not nested so deeply", folder.display()).into());
    }
    let entries = fs::read_dir(folder).map_err(|error| named(folder, &error))?;
    Ok(entries.map(|entry| {
        let entry = entry?;
        Ok((entry.path(), entry.file_type()?))
    }))
}

/// Copies a file for the owner alone, onto the disk; answers its bytes.
fn copy_file(from: &Path, into: &Path) -> Result<u64, Failure> {
    copy_opened(File::open(from).map_err(|error| named(from, &error))?, into)
}

fn copy_opened(mut source: File, into: &Path) -> Result<u64, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut target = options.open(into).map_err(|error| named(into, &error))?;
    let bytes = io::copy(&mut source, &mut target).map_err(|error| named(into, &error))?;
    target.sync_all().map_err(|error| named(into, &error))?;
    Ok(bytes)
}

/// Gives the folder its name, once it is on disk.
fn finish(unfinished: &Path, into: &Path) -> Result<(), Failure> {
    sync(unfinished)?;
    fs::rename(unfinished, into).map_err(|error| named(into, &error))?;
    let parent = into.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new(".")))
}

fn sync(folder: &Path) -> Result<(), Failure> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| named(folder, &error))
}

fn named(path: &Path, error: &io::Error) -> Failure {
    format!("{}: {error}", path.display()).into()
}

fn say(into: &Path, database: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "everything is in {}; it holds secrets, keep it safe", into.display())?;
    if database.extension().is_some_and(|kind| kind == "pgdump") {
        writeln!(
            out,
            "to restore: pg_restore --no-owner --dbname=URL {} into an",
            into.join(database).display()
        )?;
        writeln!(out, "empty database, and start hearth with the folder in the place of data_dir")
    } else {
        writeln!(out, "to restore: start hearth with this folder in the place of data_dir")
    }
}
