//! `runner signing-key`, and which signatures this machine trusts.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::warning::warn;
use super::{CliError, Exit, environment};
use lab::config::Settings;
use lab::store::{NotAKey, PublicKey, SecretKey, Store, Trust};

/// Create or show the key that signs records
#[derive(Clone, Debug, clap::Args)]
pub struct SigningKeyArgs {
    #[command(subcommand)]
    pub command: SigningKeyCommand,
}

/// The subcommands of `runner signing-key`.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum SigningKeyCommand {
    /// Create a key and print its public half, for the `trusted` setting of others
    New,
    /// Print the public half of the key
    Show,
}

/// Creates or shows the key.
///
/// # Errors
/// When `new` finds a key, or `show` finds none.
pub fn signing_key(args: &SigningKeyArgs) -> Result<Exit, CliError> {
    let path = key_path()?;
    match args.command {
        SigningKeyCommand::New => create_key(&path)?,
        SigningKeyCommand::Show => {}
    }
    super::print(&format!("{}\n", read_key(&path)?.public()))
}

/// Creates a key file that only the user can read.
fn create_key(path: &Path) -> Result<(), CliError> {
    let mut seed = [0; 32];
    let cannot_write = |error: io::Error| CliError::Write(path.to_owned(), error);
    getrandom::fill(&mut seed).map_err(|error| cannot_write(io::Error::other(error)))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(cannot_write)?;
    let mut options = std::fs::File::options();
    let mut file = match options.write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(CliError::Usage(format!(
                "a key already exists in {}; to replace it, move it away first (records that it signed stay signed by it)",
                path.display()
            )));
        }
        opened => opened.map_err(cannot_write)?,
    };
    let text = SecretKey::from_seed(&seed).to_text();
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(cannot_write)
}

/// The path of the user's secret key.
fn key_path() -> Result<PathBuf, CliError> {
    let folder = environment::config_folder(&environment::variables());
    let folder = folder.ok_or_else(|| CliError::Usage("cannot find the signing key: neither XDG_CONFIG_HOME nor HOME is set".into()))?;
    Ok(folder.join("key"))
}

fn read_key(path: &Path) -> Result<SecretKey, CliError> {
    let unusable = |why: String| CliError::Usage(format!("cannot use the key in {}: {why}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CliError::Usage(format!(
            "no signing key in {}: create one with `runner signing-key new`",
            path.display()
        )),
        _ => unusable(error.to_string()),
    })?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(unusable(
            "others can read or write it; run `chmod 600` on it, or create a new one if it was shared".to_owned(),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    text.parse().map_err(|error: NotAKey| unusable(error.to_string()))
}

/// The file of the key that signs the records of a run; `None` without `sign = true`.
pub(super) fn key_for_signing(settings: &Settings) -> Result<Option<PathBuf>, CliError> {
    if !settings.sign {
        let message = "`require_signature` needs `sign = true`: without it, the next run would ignore the records of this one";
        return if settings.require_signature {
            Err(CliError::Usage(message.to_owned()))
        } else {
            Ok(None)
        };
    }
    let path = key_path()?;
    read_key(&path)?;
    Ok(Some(path))
}

/// The key that signs records; `None` without `sign = true`.
pub(super) fn own_key(settings: &Settings) -> Result<Option<SecretKey>, CliError> {
    key_for_signing(settings)?.map(|path| read_key(&path)).transpose()
}

/// The keys that the settings trust, and the user's own key if it signs records.
pub(super) fn trust(settings: &Settings) -> Result<Trust, CliError> {
    let mut trusted = Vec::new();
    for text in &settings.trusted {
        let key: PublicKey = text
            .parse()
            .map_err(|error| CliError::Usage(format!("`{text}` in `trusted` is {error}")))?;
        trusted.push(key);
    }
    if settings.require_signature && settings.sign {
        trusted.push(read_key(&key_path()?)?.public());
    }
    Ok(Trust::new(trusted, settings.require_signature))
}

/// Prints a warning if records were ignored.
pub(super) fn warn_of_ignored_records(store: &Store) {
    let ignored = store.ignored();
    if let Some((key, distrust)) = ignored.first_key_value() {
        let others = if ignored.len() > 1 {
            format!(", and {} more", ignored.len() - 1)
        } else {
            String::new()
        };
        warn(format!("ignored record {}: {distrust}{others}", key.short()));
    }
}
