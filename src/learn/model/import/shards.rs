//! The files of a folder's weights: one, or several with an index. The index decides which file has which tensor; other files and other
//! tensors in these files are not read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use safetensors::tensor::TensorInfo;
use serde::Deserialize;

use crate::model::json_file::read_json;
use crate::model::{ModelError, TensorFile};

const WEIGHTS_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";
/// Weights as PyTorch's own format has them.
const PYTORCH_FILES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// The index: the file of each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The name of a file in the folder; `None` for a path that leads elsewhere. (`./x` is `x`.)
fn file_name(path: &str) -> Option<&OsStr> {
    let parts: Vec<Component<'_>> = Path::new(path).components().filter(|part| *part != Component::CurDir).collect();
    match parts.as_slice() {
        [Component::Normal(name)] => Some(name),
        _ => None,
    }
}

/// The files of a model's weights.
pub(super) struct WeightFiles {
    /// The file, or the index of the files.
    place: PathBuf,
    files: Vec<TensorFile>,
    /// Indices of the tensors' files.
    tensors: BTreeMap<String, usize>,
}

impl WeightFiles {
    pub(super) fn open(folder: &Path) -> Result<Self, ModelError> {
        let index = folder.join(INDEX_FILE);
        if index.is_file() {
            return Self::indexed(folder, index);
        }
        let place = folder.join(WEIGHTS_FILE);
        if !place.exists() && PYTORCH_FILES.iter().any(|name| folder.join(name).is_file()) {
            return Err(ModelError::NoModel {
                path: folder.to_owned(),
                problem: "its weights are in PyTorch's format, which is not read; save them as `model.safetensors`".to_owned(),
            });
        }
        let file = TensorFile::open(&place)?;
        Ok(Self {
            tensors: file.names().into_iter().map(|name| (name, 0)).collect(),
            files: vec![file],
            place,
        })
    }

    fn indexed(folder: &Path, place: PathBuf) -> Result<Self, ModelError> {
        let Index { weight_map } = read_json(&place)?;
        let mut names: Vec<&String> = weight_map.values().collect();
        names.sort();
        names.dedup();
        // Transformers takes the single file.
        if folder.join(WEIGHTS_FILE).is_file() && !names.iter().any(|name| file_name(name) == Some(OsStr::new(WEIGHTS_FILE))) {
            return Err(ModelError::TwoWeights { path: folder.to_owned() });
        }
        let open = |name: &&String| {
            let not_here = || ModelError::Field {
                path: place.clone(),
                field: "weight_map".to_owned(),
                problem: format!("names {name:?}, which is not a file in this folder"),
            };
            TensorFile::open(&folder.join(file_name(name).ok_or_else(not_here)?))
        };
        let files = names.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let mut tensors = BTreeMap::new();
        for (tensor, name) in &weight_map {
            let number = names.binary_search(&name).unwrap_or_default();
            if files.get(number).and_then(|file| file.info(tensor)).is_none() {
                return Err(ModelError::Missing {
                    path: folder.join(name),
                    name: tensor.clone(),
                });
            }
            tensors.insert(tensor.clone(), number);
        }
        Ok(Self { place, files, tensors })
    }

    /// The file, or the index of the files.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// The names of all tensors, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    /// The tensor `name`, in its file.
    pub(super) fn find(&self, name: &str) -> Option<(&TensorFile, &TensorInfo)> {
        let file = self.files.get(*self.tensors.get(name)?)?;
        Some((file, file.info(name)?))
    }
}
