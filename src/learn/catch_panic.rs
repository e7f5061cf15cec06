//! Calls of readers that may panic on malformed files. The panic becomes an error and prints nothing.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// The number of nested calls on this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The message of the last panic within a call.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A reader panicked, with this message.
#[derive(Debug, thiserror::Error)]
#[error("the file contradicts itself ({0})")]
pub struct Panicked(String);

/// Calls `read` and returns its result.
///
/// If it panics, values that it was changing must not be used any more.
///
/// # Errors
/// When it panics, on this thread.
pub fn call<T>(read: impl FnOnce() -> T) -> Result<T, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| match DEPTH.get() {
            0 => others(info),
            _ => {
                let payload = info.payload();
                let text = payload.downcast_ref::<String>().map(String::as_str);
                let said = text
                    .or_else(|| payload.downcast_ref::<&str>().copied())
                    .unwrap_or("no reason given");
                LAST_PANIC.set(said.lines().next().unwrap_or_default().to_owned());
            }
        }));
    });
    DEPTH.set(DEPTH.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|_| Panicked(LAST_PANIC.take()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_value_with_its_reason() {
        assert_eq!(call(|| 1).unwrap(), 1);
        let inner = call(|| call(|| panic!("row {}\nof 3", 7)).unwrap_err().to_string()).unwrap();
        assert_eq!(inner, "the file contradicts itself (row 7)");
        assert_eq!(DEPTH.get(), 0);
    }
}
