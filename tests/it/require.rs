//! Tests that need something which a machine may not have: they are skipped by name, and fail in CI.

/// Prints that the test `name` is skipped. With `CI=true` it fails instead.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible in the output")]
pub fn skipped(name: &str, requirement: &str) {
    #[expect(clippy::disallowed_methods, reason = "only the environment tells whether this is CI")]
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!is_ci, "{name} must not be skipped in CI: it needs {requirement}");
    eprintln!("skipped: {name}: it needs {requirement}");
}

/// Unwraps an option. If it is `None`, the test ends here and is [`skipped`].
///
/// `let disk = require!(Disk::new(path), "the right to mount a file system");`
macro_rules! require {
    ($found:expr, $requirement:expr) => {{
        let Some(found) = $found else {
            // A closure is named after the function that it is in.
            let name = std::any::type_name_of_val(&|| ()).trim_end_matches("::{{closure}}");
            return $crate::require::skipped(name, $requirement);
        };
        found
    }};
}
pub(crate) use require;
