//! The fields of a GGUF file that describe the model.

use super::header::{GgufHeader, GgufList, GgufValue, shortest};
use super::{LLAMA, PHI3, QWEN2, QWEN3, rope};
use crate::model::{Architecture, ModelError, ModelShape, TokenPositions};

const ARCHITECTURES: [&str; 4] = [LLAMA, QWEN2, QWEN3, PHI3];

/// Fields that change what a model computes in ways that no engine does, with the number at which they change nothing.
const UNSUPPORTED_NUMBERS: [(&str, f64); 10] = [
    ("expert_count", 0.0),
    ("attention.scale", 0.0),
    ("attention.clamp_kqv", 0.0),
    ("attention.max_alibi_bias", 0.0),
    ("attn_logit_softcapping", 0.0),
    ("final_logit_softcapping", 0.0),
    ("logit_scale", 0.0),
    ("residual_scale", 0.0),
    ("embedding_scale", 0.0),
    ("attention.temperature_length", 0.0),
];

impl GgufHeader {
    fn required(&self, field: &str) -> Result<&GgufValue, ModelError> {
        self.fields.get(field).ok_or_else(|| self.wrong(field, "is missing".to_owned()))
    }

    /// A text, or `None` if the field is missing.
    pub(super) fn text(&self, field: &str) -> Result<Option<&str>, ModelError> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(GgufValue::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(field, format!("is {other:?}, but must be a text"))),
        }
    }

    /// A non-negative integer, or `None` if the field is missing.
    pub(super) fn number(&self, field: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.fields.get(field) else { return Ok(None) };
        let number = match value {
            GgufValue::Unsigned(number) => usize::try_from(*number).ok(),
            GgufValue::Signed(number) => usize::try_from(*number).ok(),
            _ => None,
        };
        let wrong = || self.wrong(field, format!("is {value:?}, but must be a non-negative integer"));
        number.map(Some).ok_or_else(wrong)
    }

    /// A floating-point number, or `None` if the field is missing.
    pub(super) fn float(&self, field: &str) -> Result<Option<f64>, ModelError> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(GgufValue::Float(number)) => Ok(Some(*number)),
            Some(other) => Err(self.wrong(field, format!("is {other:?}, but must be a floating-point number"))),
        }
    }

    /// Any number, or `None` if the field is missing.
    fn any_number(&self, field: &str) -> Result<Option<f64>, ModelError> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(GgufValue::Float(number)) => Ok(Some(*number)),
            Some(GgufValue::Unsigned(number)) => Ok(Some(*number as f64)),
            Some(GgufValue::Signed(number)) => Ok(Some(*number as f64)),
            Some(other) => Err(self.wrong(field, format!("is {other:?}, but must be a number"))),
        }
    }

    /// True or false, or `None` if the field is missing.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, ModelError> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(GgufValue::Flag(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(field, format!("is {other:?}, but must be true or false"))),
        }
    }

    /// A list, which is required.
    pub(super) fn listed(&self, field: &str) -> Result<GgufList, ModelError> {
        match self.required(field)? {
            GgufValue::List(list) => Ok(*list),
            other => Err(self.wrong(field, format!("is {other:?}, but must be a list"))),
        }
    }
}

/// The architecture of the model.
pub(super) fn family(header: &GgufHeader) -> Result<&str, ModelError> {
    // Adapters, vocabularies and parts that read images are files of their own.
    let what = header.text("general.type")?.unwrap_or("model");
    if what != "model" {
        return Err(header.wrong("general.type", format!("is `{what}` (known: model)")));
    }
    let name = "general.architecture";
    let family = header.text(name)?.ok_or_else(|| header.wrong(name, "is missing".to_owned()))?;
    if ARCHITECTURES.contains(&family) {
        return Ok(family);
    }
    let known = ARCHITECTURES.join(", ");
    Err(header.wrong(name, format!("is `{family}` (known: {known})")))
}

/// Refuses what no engine computes.
fn check(header: &GgufHeader, family: &str) -> Result<(), ModelError> {
    for (part, plain) in UNSUPPORTED_NUMBERS {
        let field = format!("{family}.{part}");
        // Scales of 1 change nothing, either.
        let found = header
            .any_number(&field)?
            .filter(|found| *found != plain && !(part.ends_with("_scale") && *found == 1.0));
        if let Some(found) = found {
            return Err(header.wrong(&field, format!("is {found}, but only {plain} is supported")));
        }
    }
    let files = "split.count";
    if let Some(count) = header.any_number(files)?.filter(|count| *count > 1.0) {
        let problem = format!("is {count}: the model is split over that many files; join them with `llama-gguf-split --merge`");
        return Err(header.wrong(files, problem));
    }
    for (part, plain) in [("attention.causal", true), ("use_parallel_residual", false)] {
        let field = format!("{family}.{part}");
        if header.flag(&field)?.is_some_and(|found| found != plain) {
            return Err(header.wrong(&field, format!("is {}, but only {plain} is supported", !plain)));
        }
    }
    Ok(())
}

/// The shape of the decoder, without the scaling of positions.
pub(super) fn shape(header: &GgufHeader, family: &str) -> Result<ModelShape, ModelError> {
    let field = |part: &str| format!("{family}.{part}");
    let needed = |part: &str| {
        let field = field(part);
        let missing = || header.wrong(&field, "is missing".to_owned());
        header.number(&field)?.ok_or_else(missing)
    };
    check(header, family)?;
    let (width, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
    let key_length = header.number(&field("attention.key_length"))?;
    let head = key_length.unwrap_or_else(|| width.checked_div(heads).unwrap_or(0));
    for part in ["rope.dimension_count", "attention.value_length"] {
        let found = header.number(&field(part))?.unwrap_or(head);
        if found != head {
            return Err(header.wrong(
                &field(part),
                format!("is {found}, but only the width of a head, {head}, is supported"),
            ));
        }
    }
    let defaults = Architecture::default();
    // Within a sliding window, and within the context of LongRoPE's first training, the decoder computes the same.
    let window = header.number(&field("attention.sliding_window"))?.filter(|window| *window > 0);
    let bounds = [window, rope::bound(header, family)?].into_iter().flatten();
    let context = bounds.fold(needed("context_length")?, usize::min);
    let architecture = Architecture {
        width,
        layers: needed("block_count")?,
        heads,
        kv_heads: header.number(&field("attention.head_count_kv"))?.unwrap_or(heads),
        head_dim: key_length.unwrap_or(0),
        feed_forward: needed("feed_forward_length")?,
        qkv_bias: family == QWEN2,
        rope_scaling: None,
        rope_theta: shortest(header.float(&field("rope.freq_base"))?.unwrap_or(defaults.rope_theta)),
        norm_epsilon: shortest(
            header
                .float(&field("attention.layer_norm_rms_epsilon"))?
                .unwrap_or(defaults.norm_epsilon),
        ),
        tied: !header.tensors.contains_key("output.weight"),
        positions: TokenPositions::Lines,
        lines: 0,
        columns: 0,
        context,
    };
    let embedding = header.tensors.get("token_embd.weight");
    let vocabulary = embedding.and_then(|tensor| tensor.shape.first().copied()).unwrap_or_default();
    let shape = architecture.shape(vocabulary).map_err(|error| ModelError::Architecture {
        path: header.path.clone(),
        error,
    })?;
    Ok(ModelShape {
        qk_norm: family == QWEN3,
        ..shape
    })
}
