//! The user, for records.

use rustix::process::getuid;

/// `$USER`, else `$LOGNAME`, else what the system's list of users says, else the number.
pub fn name() -> String {
    #[expect(clippy::disallowed_methods, reason = "the CLI says who has a stage run")]
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let number = getuid().as_raw();
    let listed = || {
        let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        of(number, &list).map(str::to_owned)
    };
    let name = variable("USER").or_else(|| variable("LOGNAME")).or_else(listed);
    name.unwrap_or_else(|| number.to_string())
}

/// The name of the user `number` in a list like `/etc/passwd`.
fn of(number: u32, list: &str) -> Option<&str> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn users_are_found_by_number() {
        let list = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!([of(1000, list), of(0, list), of(7, list)], [Some("ada"), Some("root"), None]);
    }
}
