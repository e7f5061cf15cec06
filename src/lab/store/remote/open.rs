//! Opens remotes: addresses, and credentials from the environment or the provider's own files. Credentials are handed to the client
//! and kept nowhere else; what is printed of a remote is its address, in which none can stand.

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

use super::cloud::{CONNECT, Cloud, PATIENCE};
use super::trouble::Trouble;
use super::{Backend, Place};
use crate::store::Store;

/// Environment variables by name; the library reads none itself.
pub type Environment = BTreeMap<String, String>;

/// Opens the remote without asking it anything.
pub(super) fn open(place: &Place, environment: &Environment) -> Result<Backend, Trouble> {
    let url = Url::parse(&place.url).map_err(|error| Trouble::Answer(error.to_string()))?;
    if url.scheme() == "file" {
        let folder = url.to_file_path().map_err(|()| Trouble::NoSuchPlace)?;
        return folder_of(&folder, place.writes).map(Backend::Folder);
    }
    let is_bucket = !url.scheme().starts_with("http");
    let prefix = if is_bucket { url.path() } else { "" };
    let prefix = Path::from_url_path(prefix).map_err(|error| Trouble::Answer(error.to_string()))?;
    let (store, bucket) = client(&url, place, environment).map_err(|error| match error {
        object_store::Error::Generic { source, .. } => Trouble::Denied(source.to_string()),
        other => Trouble::Answer(other.to_string()),
    })?;
    Ok(Backend::Cloud(Cloud {
        store,
        prefix,
        bucket,
        url,
    }))
}

/// A folder that is not there may be a share that is not mounted: it is not made, but for the layout in it.
fn folder_of(folder: &std::path::Path, writes: bool) -> Result<Store, Trouble> {
    if !folder.is_dir() || (!writes && !folder.join("v1").is_dir()) {
        return Err(Trouble::NoSuchPlace);
    }
    Store::open(folder).map_err(|error| Trouble::Answer(error.to_string()))
}

/// A bucket may be silent for so long while it puts the parts of an object together: S3 speaks of minutes.
const ASSEMBLY: Duration = Duration::from_secs(600);

/// What speaks to the remote, and, of a bucket, what sends large objects in parts: it waits for longer.
type Client = (Arc<dyn ObjectStore>, Option<Arc<dyn MultipartStore>>);

fn bucket<T>(endpoint: Option<&str>, build: impl Fn(ClientOptions) -> object_store::Result<T>) -> object_store::Result<Client>
where
    T: ObjectStore + MultipartStore,
{
    let build = |silence| build(options(endpoint.unwrap_or_default(), silence));
    Ok((Arc::new(build(PATIENCE)?), Some(Arc::new(build(ASSEMBLY)?))))
}

fn options(address: &str, silence: Duration) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(address.starts_with("http://"))
        .with_connect_timeout(CONNECT)
        .with_timeout_disabled()
        .with_read_timeout(silence)
        .with_pool_max_idle_per_host(64)
}

fn client(url: &Url, place: &Place, environment: &Environment) -> object_store::Result<Client> {
    crate::http::choose_cryptography();
    let name = url.host_str().unwrap_or_default();
    let variables = |beginning: &'static str| environment.iter().filter(move |(name, _)| name.starts_with(beginning));
    let endpoint = place.endpoint.as_deref();
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
            builder = place.region.iter().fold(builder, AmazonS3Builder::with_region);
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
            let client = builder.with_client_options(options(url.as_str(), PATIENCE)).build()?;
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
        retry_timeout: PATIENCE,
    }
}

/// `aws_access_key_id` and the like of the profile, from `~/.aws/config` and `~/.aws/credentials`.
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
