//! The Hugging Face Hub: addresses, and the cache that its own programs keep on this machine.

use std::path::{Path, PathBuf};

use crate::source::{Source, SourcePlace};

/// The settings of the hub. They come from the environment, which only the command line reads.
#[derive(Clone, Debug, Default)]
pub struct Hub {
    /// `https://huggingface.co`, or `HF_ENDPOINT`.
    pub endpoint: String,
    /// `HF_TOKEN`, or the file that `hf auth login` writes.
    pub token: Option<String>,
    /// `HF_HUB_CACHE`, or the folder `hub` in `HF_HOME`.
    pub cache: Option<PathBuf>,
}

impl Hub {
    /// The URL of a file of the source; `None` if the source is a path.
    pub(super) fn address(&self, source: &Source, file: Option<&str>) -> Option<String> {
        match source.place() {
            SourcePlace::Path(_) => None,
            SourcePlace::Url(url) => Some(match file {
                Some(file) => format!("{}/{}", url.trim_end_matches('/'), url_escaped(file)),
                None => url.to_owned(),
            }),
            SourcePlace::Hub { repository, revision } => {
                let kind = if source.is_model { "" } else { "datasets/" };
                let (endpoint, file) = (self.endpoint.trim_end_matches('/'), url_escaped(file?));
                Some(format!(
                    "{endpoint}/{kind}{repository}/resolve/{}/{file}",
                    revision.replace('/', "%2F")
                ))
            }
        }
    }

    /// The URL under which the hub tells the commit of a revision.
    pub(super) fn revision_address(&self, source: &Source) -> Option<String> {
        let SourcePlace::Hub { repository, revision } = source.place() else {
            return None;
        };
        let kind = if source.is_model { "models" } else { "datasets" };
        let endpoint = self.endpoint.trim_end_matches('/');
        Some(format!(
            "{endpoint}/api/{kind}/{repository}/revision/{}",
            revision.replace('/', "%2F")
        ))
    }

    /// The folder in the hub's own cache, if it has all files of the source: `models--owner--name/snapshots/<commit>`.
    pub(super) fn cached(&self, source: &Source) -> Option<PathBuf> {
        let SourcePlace::Hub { repository, revision } = source.place() else {
            return None;
        };
        let kind = if source.is_model { "models" } else { "datasets" };
        let folder = self.cache.as_ref()?.join(format!("{kind}--{}", repository.replace('/', "--")));
        let named = std::fs::read_to_string(folder.join("refs").join(revision));
        let commit = named.map_or_else(|_| revision.to_owned(), |commit| commit.trim().to_owned());
        let snapshot = folder.join("snapshots").join(commit);
        let has = |file: &String| snapshot.join(file).is_file();
        source
            .files
            .iter()
            .all(has)
            .then_some(snapshot)
            .filter(|snapshot| is_below(snapshot, &folder))
    }
}

/// A file such as `refs/main` could contain `../..`: its path must stay in the folder.
fn is_below(path: &Path, folder: &Path) -> bool {
    path.starts_with(folder) && !path.components().any(|part| part == std::path::Component::ParentDir)
}

/// A file's name in a URL.
fn url_escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/=+,@:".contains(&byte);
    let escape = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    name.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(hub: &str, files: &[&str], is_model: bool) -> Source {
        Source {
            hub: Some(hub.to_owned()),
            files: files.iter().map(|&file| file.to_owned()).collect(),
            is_model,
            ..Source::default()
        }
    }

    #[test]
    fn addresses_are_those_of_the_hub() {
        let hub = Hub {
            endpoint: "https://huggingface.co/".to_owned(),
            ..Hub::default()
        };
        let data = source("openai/gsm8k", &["main/a b.parquet"], false);
        let model = Source {
            revision: Some("refs/pr/1".to_owned()),
            ..source("a/b", &["config.json"], true)
        };
        let address = |source: &Source| hub.address(source, source.files.first().map(String::as_str)).unwrap();
        assert_eq!(
            address(&data),
            "https://huggingface.co/datasets/openai/gsm8k/resolve/main/main/a%20b.parquet"
        );
        assert_eq!(address(&model), "https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/config.json");
        assert_eq!(
            hub.revision_address(&data).unwrap(),
            "https://huggingface.co/api/datasets/openai/gsm8k/revision/main"
        );
        let url = Source {
            url: Some("https://a.org/data/".to_owned()),
            ..Source::default()
        };
        assert_eq!(hub.address(&url, Some("x.csv")).unwrap(), "https://a.org/data/x.csv");
    }

    #[test]
    fn the_hub_s_own_cache_is_used_if_it_has_all_files() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("models--a--b");
        for (file, text) in [
            ("refs/main", "12ab\n"),
            ("snapshots/12ab/config.json", "{}"),
            ("refs/bad", "../../.."),
        ] {
            std::fs::create_dir_all(repository.join(file).parent().unwrap()).unwrap();
            std::fs::write(repository.join(file), text).unwrap();
        }
        let hub = Hub {
            cache: Some(folder.path().to_owned()),
            ..Hub::default()
        };
        let revision = |revision: &str| Source {
            revision: Some(revision.to_owned()),
            ..source("a/b", &["config.json"], true)
        };
        let snapshot = repository.join("snapshots/12ab");
        assert_eq!(hub.cached(&source("a/b", &["config.json"], true)), Some(snapshot.clone()));
        assert_eq!(hub.cached(&revision("12ab")), Some(snapshot));
        assert_eq!(hub.cached(&revision("34cd")), None);
        assert_eq!(hub.cached(&revision("bad")), None);
        assert_eq!(hub.cached(&source("a/b", &["config.json", "model.safetensors"], true)), None);
        assert_eq!(
            hub.cached(&source("a/b", &["config.json"], false)),
            None,
            "a data set of the same name"
        );
    }
}
