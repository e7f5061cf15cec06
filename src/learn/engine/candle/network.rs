//! The decoder's weights as candle tensors, and the computations that training and decoding share.

use candle_core::{Device, Tensor};

use super::layers::{linear, rms_norm};
use crate::engine::EngineError;
use crate::model::ModelShape;

/// The decoder. Rows are tokens of any sequences: only attention reads other rows.
pub(super) struct Network {
    pub(super) shape: ModelShape,
    tokens: Tensor,
    lines: Option<Tensor>,
    columns: Option<Tensor>,
    places: Option<Tensor>,
    pub(super) layers: Vec<CandleLayer>,
    norm: Tensor,
    head: Tensor,
    /// [context, head/2]
    pub(super) cosine: Tensor,
    /// [context, head/2]
    pub(super) sine: Tensor,
}

/// One layer's weights.
pub(super) struct CandleLayer {
    epsilon: f64,
    attention_norm: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    /// Biases of queries, keys and values.
    biases: Option<[Tensor; 3]>,
    /// Norms of each head's queries and keys.
    head_norms: Option<[Tensor; 2]>,
    output: Tensor,
    mlp_norm: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
}

/// The decoder's input for each token: index, line and column [rows] each, and the rows of its places [rows, 3].
pub(super) struct TokenInput {
    pub(super) tokens: Tensor,
    pub(super) lines: Tensor,
    pub(super) columns: Tensor,
    pub(super) places: Tensor,
}

impl Network {
    /// The decoder of `shape`; `weight` returns the weights by name.
    pub(super) fn new(
        shape: &ModelShape,
        device: &Device,
        weight: impl Fn(&str) -> Result<Tensor, EngineError>,
    ) -> Result<Self, EngineError> {
        let when = |rows: usize, name: &str| (rows > 0).then(|| weight(name)).transpose();
        let tokens = weight("model.embed_tokens.weight")?;
        let (cosine, sine) = rotary(shape, device)?;
        Ok(Self {
            lines: when(shape.lines, "model.embed_lines.weight")?,
            columns: when(shape.columns, "model.embed_columns.weight")?,
            places: when(shape.place_rows(), "model.embed_places.weight")?,
            layers: (0..shape.layers)
                .map(|layer| CandleLayer::new(shape, |name| weight(&format!("model.layers.{layer}.{name}"))))
                .collect::<Result<_, _>>()?,
            norm: weight("model.norm.weight")?,
            head: if shape.tied { tokens.clone() } else { weight("lm_head.weight")? },
            tokens,
            cosine,
            sine,
            shape: shape.clone(),
        })
    }

    /// Token embedding + line embedding + column embedding, or + the rows of the places. → [rows, width]
    pub(super) fn embed(&self, input: &TokenInput) -> candle_core::Result<Tensor> {
        let mut x = self.tokens.index_select(&input.tokens, 0)?;
        if let Some(table) = &self.lines {
            x = (x + table.index_select(&input.lines, 0)?)?;
        }
        if let Some(table) = &self.columns {
            x = (x + table.index_select(&input.columns, 0)?)?;
        }
        if let Some(table) = &self.places {
            let (rows, each) = input.places.dims2()?;
            let added = table.index_select(&input.places.flatten_all()?, 0)?;
            x = (x + added.reshape((rows, each, ()))?.sum(1)?)?;
        }
        Ok(x)
    }

    /// [rows, width] → [rows, vocabulary]
    pub(super) fn logits(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        linear(&rms_norm(x, &self.norm, self.shape.norm_epsilon)?, &self.head)
    }
}

impl CandleLayer {
    /// The layer; `tensor` returns its tensors by name.
    fn new(shape: &ModelShape, tensor: impl Fn(&str) -> Result<Tensor, EngineError>) -> Result<Self, EngineError> {
        let weight = |name: &str| tensor(&format!("{name}.weight"));
        let bias = |part: &str| tensor(&format!("self_attn.{part}.bias"));
        let biases = || Ok::<_, EngineError>([bias("q_proj")?, bias("k_proj")?, bias("v_proj")?]);
        let head_norms = || Ok::<_, EngineError>([weight("self_attn.q_norm")?, weight("self_attn.k_norm")?]);
        Ok(Self {
            head_norms: shape.qk_norm.then(head_norms).transpose()?,
            biases: shape.qkv_bias.then(biases).transpose()?,
            epsilon: shape.norm_epsilon,
            attention_norm: weight("input_layernorm")?,
            query: weight("self_attn.q_proj")?,
            key: weight("self_attn.k_proj")?,
            value: weight("self_attn.v_proj")?,
            output: weight("self_attn.o_proj")?,
            mlp_norm: weight("post_attention_layernorm")?,
            gate: weight("mlp.gate_proj")?,
            up: weight("mlp.up_proj")?,
            down: weight("mlp.down_proj")?,
        })
    }

    /// Queries [rows, heads · head], keys and values [rows, kv_heads · head], before rotation.
    pub(super) fn project(&self, x: &Tensor) -> candle_core::Result<(Tensor, Tensor, Tensor)> {
        let x = rms_norm(x, &self.attention_norm, self.epsilon)?;
        let (q, k, v) = (linear(&x, &self.query)?, linear(&x, &self.key)?, linear(&x, &self.value)?);
        match &self.biases {
            None => Ok((q, k, v)),
            Some([query, key, value]) => Ok((q.broadcast_add(query)?, k.broadcast_add(key)?, v.broadcast_add(value)?)),
        }
    }

    /// The norms of each head's queries and keys, if the decoder has them. Both […, head]
    pub(super) fn norm_heads(&self, q: Tensor, k: Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        match &self.head_norms {
            None => Ok((q, k)),
            Some([queries, keys]) => Ok((rms_norm(&q, queries, self.epsilon)?, rms_norm(&k, keys, self.epsilon)?)),
        }
    }

    /// The rest of the layer: adds the projected `attended` to the stream, then the SwiGLU feed-forward `down(silu(gate x) · up x)`
    /// (Shazeer 2020). x: [rows, width], attended: [rows, heads · head]
    pub(super) fn finish(&self, x: &Tensor, attended: &Tensor) -> candle_core::Result<Tensor> {
        let x = (x + linear(attended, &self.output)?)?;
        let normed = rms_norm(&x, &self.mlp_norm, self.epsilon)?;
        let gated = (linear(&normed, &self.gate)?.silu()? * linear(&normed, &self.up)?)?;
        x + linear(&gated, &self.down)?
    }
}

/// The tables of [`ModelShape::turns`]. Both [context, head / 2]
fn rotary(shape: &ModelShape, device: &Device) -> candle_core::Result<(Tensor, Tensor)> {
    let (cosines, sines) = shape.turns();
    let table = |values| Tensor::from_vec(values, (shape.context, shape.head_dim / 2), device);
    Ok((table(cosines)?, table(sines)?))
}
