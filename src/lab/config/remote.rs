//! Remotes: stores elsewhere that an experiment's runs read from and write to.

use url::Url;

use super::nearest::{known, nearest};
use super::{ConfigValue, Diagnostic, Diagnostics, ValueData};

/// Kinds of addresses.
const SCHEMES: [&str; 6] = ["s3", "gs", "az", "http", "https", "file"];

/// A store elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct RemoteEntry {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, `https://host/path`, `file:///folder`.
    pub url: String,
    /// Whether runs write to it too.
    #[serde(default)]
    pub access: RemoteAccess,
    /// Whether a run that cannot use it ends, instead of going on without it.
    #[serde(default)]
    pub required: bool,
    /// The server, where it is not the provider's own: `http://minio.lab:9000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The provider's region, where neither the environment nor the provider's files say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// The access of runs to a remote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RemoteAccess {
    /// Take from it.
    #[default]
    Read,
    /// Take from it, and bring there what ran here.
    ReadWrite,
}

/// Masks passwords in the addresses of remotes, so that they are printed nowhere; [`check`] refuses them.
pub(super) fn mask(settings: &mut ConfigValue) {
    let remotes = settings.as_table_mut().and_then(|settings| settings.get_mut("remotes"));
    let Some(ValueData::List(remotes)) = remotes.map(|remotes| &mut remotes.data) else {
        return;
    };
    for remote in remotes {
        let Some(fields) = remote.as_table_mut() else { continue };
        for value in fields.values_mut() {
            if let ValueData::Text(text) = &mut value.data
                && let Some(masked) = masked(text)
            {
                *text = masked;
            }
        }
    }
}

/// `s3://***@bucket/x?***`: the address with the parts masked that may be secret; `None` without such parts.
fn masked(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = authority.rsplit_once('@').map(|(_, host)| format!("***@{host}"));
    let bare = tail.find(['?', '#']).map(|at| format!("{}***", &tail[..=at]));
    let is_secret = host.is_some() || bare.is_some();
    is_secret.then(|| {
        let (host, tail) = (host.as_deref().unwrap_or(authority), bare.as_deref().unwrap_or(tail));
        format!("{scheme}{}{host}{tail}", if scheme.is_empty() { "" } else { "://" })
    })
}

/// Reports what is wrong with the addresses.
pub(super) fn check(remotes: &[RemoteEntry], settings: &ConfigValue, problems: &mut Diagnostics) {
    let places = settings
        .as_table()
        .and_then(|fields| fields.get("remotes"))
        .and_then(ConfigValue::as_list);
    for (number, remote) in remotes.iter().enumerate() {
        let fields = places.and_then(|places| places.get(number)).and_then(ConfigValue::as_table);
        let urls = [("url", Some(&remote.url)), ("endpoint", remote.endpoint.as_ref())];
        for (field, url) in urls.into_iter().filter_map(|(field, url)| Some((field, url?))) {
            let Some(problem) = wrong(field, url) else { continue };
            // A line of the file is not shown where it has a secret in it.
            let place = fields.and_then(|fields| fields.get(field)).filter(|_| !url.contains("***"));
            problems.push(problem.at(place.and_then(ConfigValue::at)));
        }
    }
}

fn wrong(field: &str, text: &str) -> Option<Diagnostic> {
    if text.contains("***") {
        let message = format!("the {field} `{text}` of a remote must not hold a name, a password or a query");
        let help = "credentials come from the environment or the provider's own files, as docs/store.md says";
        return Some(Diagnostic::new(message).help(help));
    }
    let schemes: &[&str] = if field == "url" { &SCHEMES } else { &["http", "https"] };
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            let example = if field == "url" { "s3://bucket/prefix" } else { "https://host" };
            return Some(Diagnostic::new(format!("`{text}` is not an address such as `{example}`: {error}")));
        }
    };
    if !schemes.contains(&url.scheme()) {
        let message = format!(
            "no {field} of a remote begins with `{}:` ({})",
            url.scheme(),
            known(schemes.iter().copied())
        );
        return Some(Diagnostic::new(message).suggest(nearest(url.scheme(), schemes.iter().copied())));
    }
    let is_folder = url.scheme() == "file";
    if is_folder && url.to_file_path().is_err() {
        return Some(Diagnostic::new(format!("`{text}` names no folder of this machine")).help("write `file:///folder`, from the root"));
    }
    (!is_folder && url.host_str().is_none_or(str::is_empty)).then(|| Diagnostic::new(format!("`{text}` names no bucket or host")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_other_addresses_are_left_alone() {
        assert_eq!(masked("s3://key:secret@bucket/x").as_deref(), Some("s3://***@bucket/x"));
        assert_eq!(masked("https://host/x?sig=secret#y").as_deref(), Some("https://host/x?***"));
        assert_eq!(masked("https://a@b:p@host").as_deref(), Some("https://***@host"));
        for plain in ["s3://bucket/a@b", "file:///a/b", "http://host:9000", "nonsense", "read-write"] {
            assert_eq!(masked(plain), None, "{plain}");
        }
    }

    #[test]
    fn an_address_is_checked_before_anything_runs() {
        let said = |field, text| wrong(field, text).map(|problem| problem.message);
        for fine in ["s3://bucket", "gs://b/p", "az://c/p", "https://h:1/p", "file:///cache"] {
            assert_eq!(said("url", fine), None, "{fine}");
        }
        insta::assert_snapshot!([
            said("url", "s3:/***@b").unwrap(),
            said("url", "cache").unwrap(),
            said("url", "sftp://host/x").unwrap(),
            said("url", "file://host/x").unwrap(),
            said("endpoint", "s3://bucket").unwrap(),
        ].join("\n"), @r"
        the url `s3:/***@b` of a remote must not hold a name, a password or a query
        `cache` is not an address such as `s3://bucket/prefix`: relative URL without a base
        no url of a remote begins with `sftp:` (known: s3, gs, az, http, https, file)
        `file://host/x` names no folder of this machine
        no endpoint of a remote begins with `s3:` (known: http, https)
        ");
    }
}
