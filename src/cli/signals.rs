//! Signals: requests to stop are counted, and what the caller has ignored stays ignored.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Exit;

/// Counts Ctrl-C and termination signals from now on. The third one ends the process at once.
///
/// A hang-up and a request to end that the caller has ignored (`nohup`, `trap "" TERM`) stay ignored, here and by workers. An interruption
/// does not: scripts ignore it for what they start with `&`, and it is how they ask just that to stop (`kill -INT`). In the background,
/// writing to the terminal goes on, and reading from it is an error: neither stops this process nor a program of a stage, which nobody
/// would see.
pub fn count_interrupts() -> Arc<AtomicUsize> {
    let interrupts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&interrupts);
    let ignored: Vec<libc::c_int> = [libc::SIGHUP, libc::SIGTERM]
        .into_iter()
        .filter(|signal| is_ignored(*signal))
        .collect();
    // Without the handler, the first Ctrl-C ends the process and its workers without asking them to save a checkpoint.
    let _ = ctrlc::set_handler(move || {
        if counted.fetch_add(1, Ordering::Relaxed) >= 2 {
            #[expect(clippy::disallowed_methods, reason = "the third request to stop: the first two did not work")]
            std::process::exit(Exit::Interrupted as i32);
        }
    });
    ignored.into_iter().for_each(ignore);
    ignore(libc::SIGTTOU);
    ignore(libc::SIGTTIN);
    interrupts
}

/// Whether this process ignores a signal.
fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: all fields of `sigaction` are numbers or nullable pointers, for which zeros are values.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the null pointer asks for no change; `action` is a place for the answer that outlives the call.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Ignores a signal from now on. Processes that this one starts inherit it.
fn ignore(signal: libc::c_int) {
    // SAFETY: to ignore a signal installs no handler, so no code runs in its context.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_known_as_such() {
        // The test's own process: nothing here depends on a window's size.
        assert!(!is_ignored(libc::SIGWINCH));
        ignore(libc::SIGWINCH);
        assert!(is_ignored(libc::SIGWINCH));
    }
}
