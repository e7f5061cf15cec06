//! Who may look at the page: those who know the token, under a name of this machine.

use std::hint::black_box;

/// The bytes of a token.
const TOKEN: usize = 32;

/// The secret of one server, and the names that it answers to.
pub(super) struct Access {
    token: String,
    port: u16,
}

impl Access {
    /// With a new token.
    pub(super) fn new(port: u16) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN];
        getrandom::fill(&mut bytes)?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { token, port })
    }

    /// The address that lets a browser in.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/?token={}", self.port, self.token)
    }

    /// Whether this `Host` is this machine. A page of elsewhere may have a name that leads here; its requests carry that name.
    pub(super) fn is_host(&self, host: &str) -> bool {
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
            let port = host
                .get(..name.len())
                .filter(|begin| begin.eq_ignore_ascii_case(name))
                .and(host.get(name.len()..));
            port.is_some_and(|rest| rest == format!(":{}", self.port) || (rest.is_empty() && self.port == 80))
        })
    }

    /// Whether the address has the token; `None` if it has none at all.
    pub(super) fn is_token_of(&self, query: &str) -> Option<bool> {
        let given = query.split('&').find_map(|field| field.strip_prefix("token="))?;
        Some(is_equal(given, &self.token))
    }

    /// Whether a `Cookie` header has the cookie of this server.
    pub(super) fn is_cookie_of(&self, header: &str) -> bool {
        let name = self.cookie_name();
        let mut pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(found, value)| found == name && is_equal(value, &self.token))
    }

    /// The `Set-Cookie` header.
    pub(super) fn cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name(), self.token)
    }

    /// The servers of a machine share cookies: each has its own.
    fn cookie_name(&self) -> String {
        format!("runner-{}", self.port)
    }
}

/// Whether two texts are equal; that takes as long wherever they differ.
fn is_equal(given: &str, secret: &str) -> bool {
    let pairs = given.bytes().zip(secret.bytes());
    let differences = pairs.fold(0, |found, (a, b)| black_box(found | (a ^ b)));
    given.len() == secret.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            token: "secret".to_owned(),
            port: 7397,
        }
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let [a, b] = [1, 2].map(|port| Access::new(port).unwrap().token);
        assert!(a.len() == 2 * TOKEN && a != b);
    }

    #[test]
    fn names_of_this_machine_with_the_port_are_hosts_and_no_others() {
        for host in ["127.0.0.1:7397", "localhost:7397", "LOCALHOST:7397", "[::1]:7397"] {
            assert!(access().is_host(host), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "localhost:80",
            "evil.example:7397",
            "localhost.evil.example:7397",
            "127.0.0.1:7397.evil",
            "127.0.0.1:73970",
            "é27.0.0.1:7397",
        ] {
            assert!(!access().is_host(host), "{host}");
        }
    }

    #[test]
    fn the_whole_token_is_wanted() {
        let of = |query: &str| access().is_token_of(query);
        assert_eq!((of("token=secret"), of("a=b&token=secret")), (Some(true), Some(true)));
        for wrong in ["token=", "token=secre", "token=secretX", "token=Secret"] {
            assert_eq!(of(wrong), Some(false), "{wrong}");
        }
        assert_eq!((of(""), of("mytoken=secret")), (None, None));
    }

    #[test]
    fn the_cookie_is_that_of_this_port() {
        assert!(access().is_cookie_of("runner-7397=secret"));
        assert!(access().is_cookie_of("a=b; runner-7398=other;  runner-7397=secret"));
        for wrong in ["", "runner-7398=secret", "runner-7397=", "runner-7397=secretX", "secret"] {
            assert!(!access().is_cookie_of(wrong), "{wrong}");
        }
        assert_eq!(access().cookie(), "runner-7397=secret; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(access().address(), "http://127.0.0.1:7397/?token=secret");
    }
}
