//! `config.json`, read as Transformers reads it and written so that Transformers can read it.
//!
//! Fields that change what a model computes are understood or refused by their names. All others are ignored.

mod family;
mod fields;
mod positions;
mod written;

use std::path::Path;

use serde_json::{Map, Value};

use super::architecture::Architecture;
use super::json_file::read_json;
use super::{ModelError, ModelShape, Places, TokenPositions};
use family::Family;
use positions::Positions;

pub(super) use fields::Fields;
pub(super) use written::write;

/// The newest format this program writes and reads: 2 has the places of tokens, which a reader of 1 would ignore.
const NEWEST_FORMAT: u32 = 2;
/// The format of all models without places.
const FIRST_FORMAT: u32 = 1;
/// The field with the places of tokens, and its kind.
const POSITIONS: &str = "positions";
const PLACES: &str = "places";
/// The fields with the numbers of rows of the tables of lines and columns.
const LINE_ROWS: &str = "line_positions";
const COLUMN_ROWS: &str = "column_positions";
const ACTIVATION: &str = "silu";
/// Other names of the same activation.
const ACTIVATIONS: [&str; 2] = [ACTIVATION, "swish"];
const LINEAR: &str = "linear";
const YARN: &str = "yarn";
const LLAMA3: &str = "llama3";
const LONGROPE: &str = "longrope";
const KNOWN_FAMILIES: &str = "that of a Llama, Mistral, Qwen2, Qwen3 or Phi-3";

/// What a field that no engine computes must be.
#[derive(Clone, Copy)]
enum Neutral {
    Nothing,
    Zero,
    One,
}

/// Fields that change what a model computes in ways that no engine does, with the value at which they change nothing. Null is one, too.
const UNSUPPORTED_FIELDS: [(&str, Neutral, &str); 25] = [
    ("quantization_config", Neutral::Nothing, "null"),
    ("compression_config", Neutral::Nothing, "null"),
    ("mlp_bias", Neutral::Zero, "false"),
    ("o_bias", Neutral::Zero, "false"),
    ("partial_rotary_factor", Neutral::One, "1"),
    ("rotary_pct", Neutral::One, "1"),
    ("rope_interleave", Neutral::Zero, "false"),
    ("rope_interleaved", Neutral::Zero, "false"),
    ("no_rope_layers", Neutral::Nothing, "null"),
    ("logit_scale", Neutral::One, "1"),
    ("logits_scaling", Neutral::One, "1"),
    ("logit_softcapping", Neutral::Zero, "null"),
    ("final_logit_softcapping", Neutral::Zero, "null"),
    ("attn_logit_softcapping", Neutral::Zero, "null"),
    ("attention_multiplier", Neutral::Nothing, "null"),
    ("query_pre_attn_scalar", Neutral::Nothing, "null"),
    ("embedding_multiplier", Neutral::One, "1"),
    ("residual_multiplier", Neutral::One, "1"),
    ("clip_qkv", Neutral::Zero, "null"),
    ("use_qk_norm", Neutral::Zero, "false"),
    ("qk_layernorm", Neutral::Zero, "false"),
    ("num_experts", Neutral::Zero, "0"),
    ("num_local_experts", Neutral::Zero, "0"),
    ("alibi", Neutral::Zero, "false"),
    ("is_causal", Neutral::One, "true"),
];

/// The content of a `config.json`.
pub(super) struct ModelConfig {
    pub(super) shape: ModelShape,
    /// The tokens that end a completion.
    pub(super) ends: Vec<u32>,
    /// The token that Transformers takes as the end where no file names one.
    pub(super) usual_end: Option<u32>,
}

/// Reads the `config.json` at `path`.
pub(super) fn read(path: &Path) -> Result<ModelConfig, ModelError> {
    let object: Map<String, Value> = read_json(path)?;
    let fields = Fields::new(path, &object);
    let format = fields.integer("runner_format")?.unwrap_or(1);
    if format > NEWEST_FORMAT as usize {
        return Err(ModelError::Newer {
            path: path.to_owned(),
            found: u32::try_from(format).unwrap_or(u32::MAX),
            known: NEWEST_FORMAT,
        });
    }
    let family = family(fields)?;
    let positions = Positions::read(fields, family)?;
    check(fields, family)?;
    let (architecture, vocabulary) = architecture(fields, family, &positions)?;
    let wrong = |error| ModelError::Architecture {
        path: path.to_owned(),
        error,
    };
    let mut shape = architecture.shape(vocabulary).map_err(wrong)?;
    shape.qk_norm = match family {
        Family::Runner => fields.flag("qk_norm")?.unwrap_or(false),
        family => family == Family::Qwen3,
    };
    shape.rope_scaling = positions.scaling(shape.head_dim)?;
    if let Some(scaling) = &shape.rope_scaling {
        scaling.check(shape.rope_theta).map_err(wrong)?;
    }
    Ok(ModelConfig {
        shape,
        ends: fields.tokens("eos_token_id")?,
        usual_end: family.defaults().end.filter(|_| !fields.has("eos_token_id")),
    })
}

/// The family of the model. `model_type` decides, as in Transformers; `architectures` must agree, and decides in files without it.
fn family(fields: Fields<'_>) -> Result<Family, ModelError> {
    let names = fields.texts("architectures")?.unwrap_or_default();
    let named = Family::with_architecture(names.iter().copied());
    if !names.is_empty() && named.is_none() {
        return Err(fields.unsupported("architectures", KNOWN_FAMILIES));
    }
    let Some(model_type) = fields.text("model_type")? else {
        return named.ok_or_else(|| fields.wrong("architectures", "is missing, and so is `model_type`"));
    };
    let typed = Family::with_model_type(model_type).ok_or_else(|| fields.unsupported("model_type", KNOWN_FAMILIES))?;
    match named {
        Some(named) if named != typed => {
            let problem = format!("is {names:?}, but `model_type` is {model_type:?}: they must name the same kind of model");
            Err(fields.wrong("architectures", problem))
        }
        _ => Ok(typed),
    }
}

/// Refuses what no engine computes.
fn check(fields: Fields<'_>, family: Family) -> Result<(), ModelError> {
    for (field, neutral, known) in UNSUPPORTED_FIELDS {
        let Some(value) = fields.value(field) else { continue };
        let number = value.as_f64().or_else(|| value.as_bool().map(|flag| f64::from(u8::from(flag))));
        let harmless = match neutral {
            Neutral::Nothing => false,
            Neutral::Zero => number == Some(0.0),
            Neutral::One => number == Some(1.0),
        };
        if !harmless {
            return Err(fields.unsupported(field, known));
        }
    }
    let activation = fields.text("hidden_act")?.unwrap_or(ACTIVATION);
    if !ACTIVATIONS.contains(&activation) {
        return Err(fields.unsupported("hidden_act", "\"silu\""));
    }
    // Qwen2 has three biases whatever the field says, and the fourth one never.
    if family != Family::Qwen2 && fields.flag("attention_bias")? == Some(true) {
        return Err(fields.unsupported("attention_bias", "false"));
    }
    Ok(())
}

/// The architecture without the scaling of positions, and the size of the vocabulary.
fn architecture(fields: Fields<'_>, family: Family, positions: &Positions<'_>) -> Result<(Architecture, usize), ModelError> {
    let defaults = family.defaults();
    let integer = |field, default: usize| Ok::<_, ModelError>(fields.integer(field)?.unwrap_or(default));
    let (layers, heads) = (
        integer("num_hidden_layers", defaults.layers)?,
        integer("num_attention_heads", defaults.heads)?,
    );
    let kv_heads = match fields.integer("num_key_value_heads")? {
        Some(0) => return Err(fields.wrong("num_key_value_heads", "must be at least 1")),
        Some(kv_heads) => kv_heads,
        // Null means as many as heads, whatever the family's default is.
        None => defaults.kv_heads.filter(|_| !fields.has("num_key_value_heads")).unwrap_or(heads),
    };
    let head_dim = match fields.integer("head_dim")? {
        Some(0) => return Err(fields.wrong("head_dim", "must be at least 1")),
        Some(head_dim) => head_dim,
        None => defaults.head_dim.filter(|_| !fields.has("head_dim")).unwrap_or(0),
    };
    let architecture = Architecture {
        width: integer("hidden_size", defaults.width)?,
        layers,
        heads,
        kv_heads,
        head_dim,
        feed_forward: integer("intermediate_size", defaults.feed_forward)?,
        qkv_bias: match family {
            Family::Runner => fields.flag("qkv_bias")?.unwrap_or(false),
            family => family == Family::Qwen2,
        },
        rope_theta: positions.theta,
        rope_scaling: None,
        norm_epsilon: fields.number("rms_norm_eps")?.unwrap_or(defaults.norm_epsilon),
        tied: fields.flag("tie_word_embeddings")?.unwrap_or(false),
        positions: token_positions(fields, family)?,
        lines: integer(LINE_ROWS, 0)?,
        columns: integer(COLUMN_ROWS, 0)?,
        context: context(fields, family, layers, positions)?,
    };
    if architecture.feed_forward == 0 {
        return Err(fields.wrong("intermediate_size", "must be at least 1"));
    }
    Ok((architecture, integer("vocab_size", defaults.vocabulary)?))
}

/// What a model of ours knows of the positions of its tokens, besides the tables of lines and columns.
fn token_positions(fields: Fields<'_>, family: Family) -> Result<TokenPositions, ModelError> {
    let Some(places) = fields.object(POSITIONS)?.filter(|_| family == Family::Runner) else {
        return Ok(TokenPositions::Lines);
    };
    if places.text("kind")? != Some(PLACES) {
        return Err(places.unsupported("kind", "\"places\""));
    }
    for table in [LINE_ROWS, COLUMN_ROWS] {
        if fields.integer(table)?.is_some_and(|rows| rows > 0) {
            return Err(fields.wrong(table, "must be 0 or left out, since `positions` takes its place"));
        }
    }
    let needed = |field: &str| places.integer(field)?.ok_or_else(|| places.wrong(field, "is missing"));
    Ok(TokenPositions::Places(Places {
        rows: needed("rows")?,
        top: needed("top")?,
        wide: needed("wide")?,
    }))
}

/// The longest sequence for which our decoder computes the same. A model with a sliding window differs beyond the window, and one with
/// LongRoPE beyond the context of the first training.
fn context(fields: Fields<'_>, family: Family, layers: usize, positions: &Positions<'_>) -> Result<usize, ModelError> {
    let window = window(fields, family, layers)?;
    Ok(window.map_or(positions.bound(), |window| window.min(positions.bound())))
}

/// The sliding window, if some layer uses it.
fn window(fields: Fields<'_>, family: Family, layers: usize) -> Result<Option<usize>, ModelError> {
    let default = family.defaults().window.filter(|_| !fields.has("sliding_window"));
    let window = fields.integer("sliding_window")?.or(default).filter(|window| *window > 0);
    let kinds = fields.texts("layer_types")?;
    let known = |kind: &&str| ["full_attention", "sliding_attention"].contains(kind);
    if kinds.as_ref().is_some_and(|kinds| !kinds.iter().all(known)) {
        return Err(fields.unsupported("layer_types", "\"full_attention\" or \"sliding_attention\" for each layer"));
    }
    if !family.asks_for_window() {
        return Ok(window);
    }
    let slides = match kinds {
        Some(kinds) => kinds.contains(&"sliding_attention"),
        None => fields.integer("max_window_layers")?.unwrap_or(28) < layers,
    };
    let used = fields.flag("use_sliding_window")?.unwrap_or(false);
    Ok(window.filter(|_| used && slides))
}
