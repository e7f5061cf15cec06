//! The address of a server.

use lab::config::ParamError;
use reqwest::Url;

/// Refuses what is no address, and an address that may hold a secret.
pub(in super::super) fn check_address(endpoint: &str) -> Result<(), ParamError> {
    let url = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let has_name = match &url {
        Some(url) => !url.username().is_empty() || url.password().is_some(),
        None => endpoint.contains('@'),
    };
    if has_name {
        return Err(ParamError::secret(
            "the address `endpoint` must not hold a name or a password: a key comes from the environment (`api_key_env`)",
        ));
    }
    if url.is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
        return Err(ParamError::secret(
            "the address `endpoint` must not hold a query or a fragment: the paths of the requests are appended to it",
        ));
    }
    if !(endpoint.starts_with("http://") || endpoint.starts_with("https://")) {
        return Err(ParamError::new("endpoint", "an address begins with `http://` or `https://`"));
    }
    Ok(())
}
