//! Sources: files from outside the experiment, and how their content is checked.
//!
//! A source is a file or several files: at a path, at an address, or in a repository of the Hugging Face Hub. Only its content counts: the
//! key of a stage that reads a source has the source's pin, or without a pin the digest of the files, and never the place.
//!
//! | file | part |
//! |---|---|
//! | `files` | the files of a source on this machine, and their digests |
//! | `patterns` | what `files` names and chooses |
//! | `choose` | which files of a folder a source has |
//! | `git_ignore` | what the project's `.gitignore` files leave out |
//! | `left_out` | what is never taken unless it is named |
//! | `hidden` | names that begin with a dot |

mod choose;
mod files;
mod git_ignore;
mod hidden;
mod left_out;
mod patterns;
mod unfit;

pub use files::SourceFiles;
pub use left_out::{FIGURE_MARK, PAGE_MARK};
pub use unfit::UnfitFile;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::config::ParamError;
use crate::hash::Digest;

/// The param that names a source, and the input at which a stage finds it.
pub const SOURCE: &str = "source";

/// The param that a key has in place of a source: what its content is.
pub const CONTENT: &str = "content";

/// Where something is, and what it must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// Its name under `[sources]`; the configuration fills it in.
    #[schemars(skip)]
    pub name: String,
    /// A file, or a folder of files, from the file that says it.
    pub path: Option<PathBuf>,
    /// An `https` address: of the file, or with `files` of the folder they are in.
    pub url: Option<String>,
    /// A repository of the Hugging Face Hub: `openai/gsm8k`.
    pub hub: Option<String>,
    /// A branch, tag or commit of the repository (left out: `main`).
    pub revision: Option<String>,
    /// Which files: one or a list, with folders where there are some. Of a folder also patterns: `*` stands for any text within a name, `**`
    /// for any folders, and what begins with `!` is taken out.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany")]
    pub files: Vec<String>,
    /// The digest that `sha256sum` prints for the file; for several files, the digest of its output for them, sorted by name.
    pub sha256: Option<String>,
    /// The same by `b3sum`.
    pub blake3: Option<String>,
    /// The files of the experiment that names it, its own last: they are no part of a folder. The configuration fills them in.
    #[serde(rename = "_experiment", skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub experiment: Vec<PathBuf>,
    /// Whether it is a model: the hub keeps models and data sets apart.
    #[serde(skip)]
    pub is_model: bool,
    /// Whether it is code, the source of a program: what the project ignores is no part of it.
    #[serde(skip)]
    pub is_code: bool,
}

/// A text or a list of texts, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A name, or a list of names.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Names;
    impl<'de> serde::de::Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
            Ok(vec![name.to_owned()])
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut names = Vec::new();
            while let Some(name) = items.next_element()? {
                names.push(name);
            }
            Ok(names)
        }
    }
    deserializer.deserialize_any(Names)
}

/// Where a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePlace<'a> {
    Path(&'a Path),
    Url(&'a str),
    Hub { repository: &'a str, revision: &'a str },
}

/// How a pin was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    Sha256,
    Blake3,
}

/// The digest that the content of a source must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePin {
    pub algorithm: DigestAlgorithm,
    /// 64 hexadecimal digits in small letters.
    pub digest: String,
}

impl fmt::Display for SourcePin {
    /// `sha256:17f3…`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.algorithm {
            DigestAlgorithm::Sha256 => "sha256",
            DigestAlgorithm::Blake3 => "blake3",
        };
        write!(f, "{algorithm}:{}", self.digest)
    }
}

/// The known content of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceContent {
    /// The pin, or the digest of what was found, as it enters the key.
    pub identity: String,
    /// The digest of each file; empty when a pin identifies the content.
    pub files: BTreeMap<String, Digest>,
    /// Where it is on this machine; `None` when it was not downloaded, or not needed so far.
    pub place: Option<PathBuf>,
}

/// The known contents of all sources.
pub type SourceContents = BTreeMap<Source, SourceContent>;

impl Source {
    /// Where it is.
    pub fn place(&self) -> SourcePlace<'_> {
        match (&self.path, &self.url, &self.hub) {
            (_, Some(url), _) => SourcePlace::Url(url),
            (_, _, Some(repository)) => SourcePlace::Hub {
                repository,
                revision: self.revision.as_deref().unwrap_or("main"),
            },
            (path, None, None) => SourcePlace::Path(path.as_deref().unwrap_or(Path::new(""))),
        }
    }

    /// The pin, if there is one.
    pub fn pin(&self) -> Option<SourcePin> {
        let pin = |algorithm, digest: &String| SourcePin {
            algorithm,
            digest: digest.to_ascii_lowercase(),
        };
        let sha256 = self.sha256.as_ref().map(|digest| pin(DigestAlgorithm::Sha256, digest));
        sha256.or_else(|| self.blake3.as_ref().map(|digest| pin(DigestAlgorithm::Blake3, digest)))
    }

    /// Refuses what cannot be a source, which is the value of `field`.
    ///
    /// # Errors
    /// The first thing that is wrong, with the way to it.
    pub fn check_at(&self, field: &str) -> Result<(), ParamError> {
        self.check().map_err(|error| error.within(field))
    }

    /// Refuses what cannot be a source.
    ///
    /// # Errors
    /// The first thing that is wrong, with the field.
    pub fn check(&self) -> Result<(), ParamError> {
        let wrong = |field: &str, message: String| Err(ParamError::new(field, message));
        let name = &self.name;
        let places = [self.path.is_some(), self.url.is_some(), self.hub.is_some()];
        match places.iter().filter(|given| **given).count() {
            0 => {
                return Err(ParamError::whole(format!(
                    "source `{name}` says no place: give `path`, `url` or `hub`"
                )));
            }
            1 => {}
            _ => {
                return Err(ParamError::whole(format!(
                    "source `{name}` has several places: give one of `path`, `url` and `hub`"
                )));
            }
        }
        if self.path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return wrong("path", format!("the path of source `{name}` is empty"));
        }
        self.check_url()?;
        if let Some(hub) = &self.hub {
            let parts: Vec<&str> = hub.split('/').collect();
            if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
                return wrong("hub", format!("`{hub}` is no repository: write `owner/name`"));
            }
            if self.files.is_empty() {
                return wrong("hub", format!("source `{name}` does not say which `files` of the repository"));
            }
        }
        if let Some(revision) = self
            .revision
            .as_ref()
            .filter(|revision| self.hub.is_none() || !revision.split('/').all(is_name))
        {
            return wrong(
                "revision",
                format!("`{revision}` is no branch, tag or commit of a `hub` repository"),
            );
        }
        self.check_files()?;
        if self.sha256.is_some() && self.blake3.is_some() {
            return wrong("blake3", "one pin is enough: give `sha256` or `blake3`".to_owned());
        }
        for (field, digest) in [("sha256", &self.sha256), ("blake3", &self.blake3)] {
            let is_digest = |digest: &&String| digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit());
            if let Some(digest) = digest.as_ref().filter(|digest| !is_digest(digest)) {
                return wrong(field, format!("`{digest}` is no digest (64 hexadecimal digits)"));
            }
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), ParamError> {
        let wrong = |message: String| Err(ParamError::new("files", message));
        for file in &self.files {
            let is_pattern = patterns::is_pattern(file) && !self.path.as_ref().is_some_and(|path| path.join(file).is_file());
            if !is_inside(if is_pattern { patterns::described(file) } else { file }, is_pattern) {
                return wrong(format!("`{file}` is no file within the source"));
            }
            if !is_pattern {
                continue;
            }
            if self.path.is_none() {
                return wrong(format!(
                    "`{file}` is a pattern, and only a folder on this machine has files to choose from: name the files"
                ));
            }
            if let Some(problem) = patterns::problem(file) {
                return wrong(problem);
            }
        }
        Ok(())
    }

    fn check_url(&self) -> Result<(), ParamError> {
        let Some(url) = &self.url else { return Ok(()) };
        let is_address = url.starts_with("https://") || url.starts_with("http://");
        let has_name = match Url::parse(url) {
            Ok(url) if is_address => !url.username().is_empty() || url.password().is_some(),
            _ => url.contains('@'),
        };
        if has_name {
            let name = &self.name;
            return Err(ParamError::secret(format!(
                "the address of source `{name}` must not hold a name or a password: download such a file yourself, and give its `path`"
            )));
        }
        if !is_address {
            return Err(ParamError::new("url", format!("`{url}` is no address: it begins with `https://`")));
        }
        Ok(())
    }
}

fn is_name(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".." && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Whether a file's name, or the pattern of some, stays within its folder.
fn is_inside(file: &str, is_pattern: bool) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let refused = if is_pattern { "\\" } else { "?#%\\" };
    !file.is_empty()
        && !file.ends_with('/')
        && Path::new(file).components().all(plain)
        && !file.chars().any(|c| c.is_control() || refused.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigValue;

    fn refusal(toml: &str) -> String {
        let table: toml::Table = toml::from_str(toml).unwrap();
        let value = ConfigValue::from(serde_json::json!(table));
        let source = value.read::<Source>().and_then(|source| source.check().map(|()| source));
        source.map_or_else(|error| error.to_string(), |source| format!("{:?}", source.place()))
    }

    #[test]
    fn a_source_has_one_place_and_one_pin() {
        let digest = "ab".repeat(32);
        let cases = [
            "path = 'x'",
            "url = 'https://a.org/x'",
            "hub = 'openai/gsm8k'\nfiles = 'a/b.parquet'",
            "hub = 'gpt2'\nfiles = ['a']\nrevision = 'refs/pr/1'",
            "",
            "path = 'x'\nurl = 'https://a.org/x'",
            "url = 'ftp://a.org/x'",
            "url = 'https://user:hush@a.org/x'",
            "url = 'ftp://hush@a.org/x'",
            "hub = 'openai/../x'\nfiles = 'a'",
            "hub = 'openai/gsm8k'",
            "hub = 'openai/gsm8k'\nfiles = ['../a']",
            "hub = 'openai/gsm8k'\nfiles = 'a'\nrevision = '..'",
            "path = 'x'\nrevision = 'main'",
            "path = 'x'\nsha256 = '12'",
            &format!("path = 'x'\nsha256 = '{digest}'\nblake3 = '{digest}'"),
            "path = 'x'\nfiles = 3",
            "path = 'x'\nfile = 'a'",
            "path = 'x'\nfiles = ['*.py', 'conf/**/?.yaml', '!conf/local.yaml']",
            "path = 'x'\nfiles = '../*.py'",
            "path = 'x'\nfiles = '!../a'",
            "path = 'x'\nfiles = '[a'",
            "hub = 'openai/gsm8k'\nfiles = '*.parquet'",
        ];
        insta::assert_snapshot!(cases.map(refusal).join("\n"), @r#"
        Path("x")
        Url("https://a.org/x")
        Hub { repository: "openai/gsm8k", revision: "main" }
        Hub { repository: "gpt2", revision: "refs/pr/1" }
        source `` says no place: give `path`, `url` or `hub`
        source `` has several places: give one of `path`, `url` and `hub`
        `ftp://a.org/x` is no address: it begins with `https://`
        the address of source `` must not hold a name or a password: download such a file yourself, and give its `path`
        the address of source `` must not hold a name or a password: download such a file yourself, and give its `path`
        `openai/../x` is no repository: write `owner/name`
        source `` does not say which `files` of the repository
        `../a` is no file within the source
        `..` is no branch, tag or commit of a `hub` repository
        `main` is no branch, tag or commit of a `hub` repository
        `12` is no digest (64 hexadecimal digits)
        one pin is enough: give `sha256` or `blake3`
        must be a text or a list of texts, not 3
        no field `file` (known: name, path, url, hub, revision, files, sha256, blake3)
        Path("x")
        `../*.py` is no file within the source
        `!../a` is no file within the source
        `[a` is no pattern: unclosed character class; missing ']'
        `*.parquet` is a pattern, and only a folder on this machine has files to choose from: name the files
        "#);
    }
}
