//! `runner key`, and whom this machine believes.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::experiment::{config_folder, environment};
use super::{CliError, Exit};
use lab::config::Settings;
use lab::store::{NotAKey, PublicKey, SecretKey, Store, Trust};
use lab::text::{Color, Paint};

/// Make and show the key that signs records
#[derive(Clone, Debug, clap::Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What to do with the key.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Make a key and print its public half, which others add to `trusted`
    New,
    /// Print the public half of the key
    Show,
}

/// Makes or shows the key.
///
/// # Errors
/// When there is one already, or none.
pub fn key(args: &KeyArgs) -> Result<Exit, CliError> {
    let path = path()?;
    match args.command {
        KeyCommand::New => make(&path)?,
        KeyCommand::Show => {}
    }
    super::print(&format!("{}\n", read(&path)?.public()))
}

/// Makes a key that only the user can read.
fn make(path: &Path) -> Result<(), CliError> {
    let mut seed = [0; 32];
    let cannot = |error: io::Error| CliError::Write(path.to_owned(), error);
    getrandom::fill(&mut seed).map_err(|error| cannot(io::Error::other(error)))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(cannot)?;
    let mut options = std::fs::File::options();
    let mut file = match options.write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(CliError::Usage(format!(
                "there is a key in {} already; records that it signed would lose their signer: move it away first if you mean it",
                path.display()
            )));
        }
        opened => opened.map_err(cannot)?,
    };
    let text = SecretKey::from_seed(&seed).to_text();
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(cannot)
}

/// Where the user's secret key is.
fn path() -> Result<PathBuf, CliError> {
    let folder = config_folder(&environment());
    let folder = folder.ok_or_else(|| CliError::Usage("neither XDG_CONFIG_HOME nor HOME is set: there is no place for a key".into()))?;
    Ok(folder.join("key"))
}

fn read(path: &Path) -> Result<SecretKey, CliError> {
    let wrong = |why: String| CliError::Usage(format!("cannot use the key in {}: {why}", path.display()));
    let about = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CliError::Usage(format!("there is no key in {}: make one with `runner key new`", path.display())),
        _ => wrong(error.to_string()),
    })?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(wrong(
            "others can read or write it: `chmod 600` it, and make a new one if it was shared".to_owned(),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    text.parse().map_err(|error: NotAKey| wrong(error.to_string()))
}

/// The file of the key that signs what a run computes.
pub(super) fn to_sign_with(settings: &Settings) -> Result<Option<PathBuf>, CliError> {
    if !settings.sign {
        let message = "`require_signature` needs `sign = true`: else the next run would ignore what this one computes";
        return if settings.require_signature {
            Err(CliError::Usage(message.to_owned()))
        } else {
            Ok(None)
        };
    }
    let path = path()?;
    read(&path)?;
    Ok(Some(path))
}

/// Whom the settings believe; the user's own key always, where it signs.
pub(super) fn trust(settings: &Settings) -> Result<Trust, CliError> {
    let mut trusted = Vec::new();
    for text in &settings.trusted {
        let key: PublicKey = text
            .parse()
            .map_err(|error| CliError::Usage(format!("`{text}` in `trusted` is {error}")))?;
        trusted.push(key);
    }
    if settings.require_signature && settings.sign {
        trusted.push(read(&path()?)?.public());
    }
    Ok(Trust::new(trusted, settings.require_signature))
}

/// Says on standard error which records were ignored.
pub(super) fn warn(store: &Store, paint: Paint) {
    let ignored = store.ignored();
    if let Some((key, distrust)) = ignored.first_key_value() {
        let others = if ignored.len() > 1 {
            format!(", and {} more", ignored.len() - 1)
        } else {
            String::new()
        };
        let warning = paint.paint(Color::Yellow, "warning:");
        // There is nowhere to say that standard error is gone.
        let _ = writeln!(io::stderr(), "{warning} ignored record {}: {distrust}{others}", key.short());
    }
}
