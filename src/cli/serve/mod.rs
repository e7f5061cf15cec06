//! `runner serve`: the page of a report, live on this machine.
//!
//! | file | part |
//! |---|---|
//! | `access` | who may look: the token, the cookie, the `Host` |
//! | `server` | HTTP: connections, routes, what each is answered |
//! | `patience` | connections that do not take what is written to them |
//! | `events` | what has changed, as server-sent events |
//! | `tail` | the log of a stage, as server-sent events |
//! | `watcher` | looks at the experiment, the store and its runs, while somebody looks at the page |
//! | `loaded` | the experiment as its file is now, and its page |
//! | `status` | how the run is, as the page is told it |
//! | `board` | what the watcher has seen, for all who look |

mod access;
mod board;
mod events;
mod loaded;
mod patience;
mod server;
mod status;
mod tail;
mod watcher;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::park_timeout;
use std::time::Duration;

use super::experiment::ExperimentArgs;
use super::signals::count_interrupts;
use super::{CliError, Exit, print};
use access::Access;
use server::Site;
use watcher::Watcher;

/// The first port that is tried where none is given.
const PORT: u16 = 7397;

/// How many ports are tried from there on.
const PORTS: u16 = 50;

/// How often is looked at the runs while somebody looks at the page, and whether Ctrl-C has arrived.
const INTERVAL: Duration = Duration::from_millis(300);

/// Show the report's page in a browser, kept up to date while runs go on
///
/// The page is on this machine alone, at an address that is printed. It only shows: nothing is run, and nothing is written.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// Listen on this port; 0 is any free one [default: 7397, or the next free one]
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
}

/// Serves the page until Ctrl-C.
///
/// # Errors
/// When the experiment is wrong, its store cannot be opened, or there is no port to listen on.
pub fn serve(args: &ServeArgs) -> Result<Exit, CliError> {
    let mut watcher = Watcher::new(args.experiment.clone())?;
    let listener = listen(args.port)?;
    let failed = |error: io::Error| CliError::Environment(format!("cannot serve the page: {error}"));
    let port = listener.local_addr().map_err(failed)?.port();
    let access = Access::new(port).map_err(|error| failed(io::Error::other(error)))?;
    let interrupts = count_interrupts();
    let address = access.address();
    let site = Arc::new(Site::new(access));
    server::start(listener, Arc::clone(&site)).map_err(failed)?;
    print(&format!("{address}  (Ctrl-C ends it)\n"))?;
    while interrupts.load(Ordering::Relaxed) == 0 {
        if site.is_looked_at() {
            site.show(watcher.look(site.takes_page_request()));
        }
        // Whoever opens the page ends the pause.
        park_timeout(INTERVAL);
    }
    Ok(Exit::Done)
}

/// A port of this machine that others cannot reach.
fn listen(port: Option<u16>) -> Result<TcpListener, CliError> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let found = match port {
        Some(port) => bind(port),
        None => {
            let tried = (PORT..PORT + PORTS).map(bind);
            let is_other = |found: &io::Result<TcpListener>| !matches!(found, Err(error) if error.kind() == io::ErrorKind::AddrInUse);
            tried.into_iter().find(is_other).unwrap_or_else(|| bind(0))
        }
    };
    found.map_err(|error| {
        let port = port.map_or_else(String::new, |port| format!(" {port}"));
        CliError::Usage(format!(
            "cannot listen on port{port} of this machine: {error}; `--port` names another one"
        ))
    })
}
