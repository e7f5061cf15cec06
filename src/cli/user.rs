//! The name of the user, for records.

use rustix::process::getuid;

/// `$USER`, or `$LOGNAME`, or the name in `/etc/passwd`, or the numeric id.
pub fn user_name() -> String {
    #[expect(clippy::disallowed_methods, reason = "the CLI reads the name of the user")]
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let number = getuid().as_raw();
    let listed = || {
        let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        name_in_passwd(number, &list).map(str::to_owned)
    };
    let name = variable("USER").or_else(|| variable("LOGNAME")).or_else(listed);
    name.unwrap_or_else(|| number.to_string())
}

/// The name of the user with this id in a text like `/etc/passwd`.
fn name_in_passwd(number: u32, list: &str) -> Option<&str> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::name_in_passwd;

    #[test]
    fn users_are_found_by_number() {
        let list = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(
            [1000, 0, 7].map(|number| name_in_passwd(number, list)),
            [Some("ada"), Some("root"), None]
        );
    }
}
