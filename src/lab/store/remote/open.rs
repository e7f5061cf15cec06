//! Opens remotes: addresses, and credentials from the environment or the provider's own files. Credentials are passed to the client
//! and kept nowhere else. Only the address of a remote is ever printed, and it cannot contain credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::cloud::Cloud;
use super::error::RemoteError;
use super::limits::{ASSEMBLY_TIMEOUT, CONNECT_TIMEOUT, RESPONSE_TIMEOUT};
use super::{Backend, RemoteSettings};
use crate::store::Store;

/// Environment variables by name. The library does not read the environment itself.
pub type Environment = BTreeMap<String, String>;

/// Opens the remote without sending a request.
pub(super) fn open(settings: &RemoteSettings, environment: &Environment) -> Result<Backend, RemoteError> {
    let url = Url::parse(&settings.url).map_err(|error| RemoteError::Answer(error.to_string()))?;
    if url.scheme() == "file" {
        let folder = url.to_file_path().map_err(|()| RemoteError::NoSuchPlace)?;
        return folder_of(&folder, settings.writes).map(Backend::Folder);
    }
    let is_bucket = !url.scheme().starts_with("http");
    let prefix = if is_bucket { url.path() } else { "" };
    let prefix = Path::from_url_path(prefix).map_err(|error| RemoteError::Answer(error.to_string()))?;
    let (store, bucket) = client(&url, settings, environment).map_err(|error| match error {
        object_store::Error::Generic { source, .. } => RemoteError::Denied(source.to_string()),
        other => RemoteError::Answer(other.to_string()),
    })?;
    Ok(Backend::Cloud(Cloud {
        store,
        prefix,
        bucket,
        url,
    }))
}

/// Opens a store in a folder. A missing folder may be a share that is not mounted, so only the layout inside it is created, never the
/// folder.
fn folder_of(folder: &std::path::Path, writes: bool) -> Result<Store, RemoteError> {
    if !folder.is_dir() || (!writes && !folder.join("v1").is_dir()) {
        return Err(RemoteError::NoSuchPlace);
    }
    Store::open(folder).map_err(|error| RemoteError::Answer(error.to_string()))
}

/// The client for a remote, and for a bucket a second one for multipart uploads, which waits longer.
type RemoteClient = (Arc<dyn ObjectStore>, Option<Arc<dyn MultipartStore>>);

fn bucket<T>(endpoint: Option<&str>, build: impl Fn(ClientOptions) -> object_store::Result<T>) -> object_store::Result<RemoteClient>
where
    T: ObjectStore + MultipartStore,
{
    let build = |read_timeout| build(options(endpoint.unwrap_or_default(), read_timeout));
    Ok((Arc::new(build(RESPONSE_TIMEOUT)?), Some(Arc::new(build(ASSEMBLY_TIMEOUT)?))))
}

fn options(address: &str, read_timeout: Duration) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(address.starts_with("http://"))
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout_disabled()
        .with_read_timeout(read_timeout)
        .with_pool_max_idle_per_host(64)
}

fn client(url: &Url, settings: &RemoteSettings, environment: &Environment) -> object_store::Result<RemoteClient> {
    crate::http::choose_cryptography();
    let name = url.host_str().unwrap_or_default();
    let variables = |beginning: &'static str| environment.iter().filter(move |(name, _)| name.starts_with(beginning));
    let endpoint = settings.endpoint.as_deref();
    match url.scheme() {
        "s3" => {
            let mut builder = AmazonS3Builder::new().with_bucket_name(name).with_retry(retry());
            let files = aws_files(environment);
            let given = files.iter().chain(variables("AWS_"));
            for (key, value) in given.filter(|(key, _)| !key.to_ascii_uppercase().starts_with("AWS_ENDPOINT")) {
                if let Ok(key) = key.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value);
                }
            }
            builder = settings.region.iter().fold(builder, AmazonS3Builder::with_region);
            let given = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
                .iter()
                .find_map(|name| environment.get(*name));
            let endpoint = endpoint.or(given.or_else(|| files.get("aws_endpoint_url")).map(String::as_str));
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            bucket(endpoint, |options| builder.clone().with_client_options(options).build())
        }
        "gs" => {
            let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(name).with_retry(retry());
            for (key, value) in variables("GOOGLE_") {
                if let Ok(key) = key.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value);
                }
            }
            if let Some(endpoint) = endpoint {
                builder = builder.with_base_url(endpoint);
            }
            bucket(endpoint, |options| builder.clone().with_client_options(options).build())
        }
        "az" => {
            let mut builder = MicrosoftAzureBuilder::new().with_container_name(name).with_retry(retry());
            for (key, value) in variables("AZURE_") {
                if let Ok(key) = key.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value);
                }
            }
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint.to_owned());
            }
            bucket(endpoint, |options| builder.clone().with_client_options(options).build())
        }
        _ => {
            let builder = HttpBuilder::new().with_url(url.as_str()).with_retry(retry());
            let client = builder.with_client_options(options(url.as_str(), RESPONSE_TIMEOUT)).build()?;
            Ok((Arc::new(client), None))
        }
    }
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: RESPONSE_TIMEOUT,
    }
}

/// `aws_access_key_id` and similar values of the profile, from `~/.aws/config` and `~/.aws/credentials`.
fn aws_files(environment: &Environment) -> BTreeMap<String, String> {
    let profile = environment.get("AWS_PROFILE").map_or("default", String::as_str);
    let home = environment.get("HOME").map(PathBuf::from);
    let file = |variable: &str, name: &str| {
        let path = environment
            .get(variable)
            .map(PathBuf::from)
            .or_else(|| Some(home.as_ref()?.join(".aws").join(name)));
        path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
    };
    let mut found = section(&file("AWS_CONFIG_FILE", "config"), &[profile, &format!("profile {profile}")]);
    found.extend(section(&file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), &[profile]));
    let known = |name: &str| match name {
        "aws_access_key_id" | "aws_secret_access_key" | "aws_session_token" => Some(name.to_owned()),
        "region" => Some("aws_region".to_owned()),
        "endpoint_url" => Some("aws_endpoint_url".to_owned()),
        _ => None,
    };
    found.into_iter().filter_map(|(name, value)| Some((known(&name)?, value))).collect()
}

/// The `name = value` lines below `[title]`.
fn section(text: &str, titles: &[&str]) -> BTreeMap<String, String> {
    let (mut inside, mut found) = (false, BTreeMap::new());
    for line in text.lines().map(str::trim) {
        if let Some(title) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = titles.contains(&title.trim());
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';'])) {
            found.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_the_provider_s_files_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        std::fs::write(
            folder.path().join(".aws/credentials"),
            "[default]\naws_access_key_id = a\n# no = comment\n[lab]\naws_access_key_id=b\naws_secret_access_key = c=d\n",
        )
        .unwrap();
        std::fs::write(
            folder.path().join(".aws/config"),
            "[profile lab]\nregion = eu-west-1\noutput = json\n",
        )
        .unwrap();
        let home = ("HOME".to_owned(), folder.path().to_string_lossy().into_owned());
        let profile = ("AWS_PROFILE".to_owned(), "lab".to_owned());
        let found = aws_files(&Environment::from([home.clone(), profile]));
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let lab = [
            ("aws_access_key_id", "b"),
            ("aws_region", "eu-west-1"),
            ("aws_secret_access_key", "c=d"),
        ];
        assert_eq!(found, BTreeMap::from(lab.map(pair)));
        assert_eq!(
            aws_files(&Environment::from([home])),
            BTreeMap::from([pair(("aws_access_key_id", "a"))])
        );
    }
}
