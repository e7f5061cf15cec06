//! The names of tensors in GGUF files.

/// Hugging Face's names of a layer's parts, and GGUF's.
const LAYER_PARTS: [(&str, &str); 13] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    // Phi-3's joined matrices.
    ("self_attn.qkv_proj", "attn_qkv"),
    ("mlp.gate_up_proj", "ffn_up"),
];

/// GGUF's name for one of our weights.
pub(super) fn gguf_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => "token_embd.weight".to_owned(),
        "model.norm.weight" => "output_norm.weight".to_owned(),
        "lm_head.weight" => "output.weight".to_owned(),
        other => layer(other).unwrap_or_else(|| other.to_owned()),
    }
}

fn layer(name: &str) -> Option<String> {
    let (number, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, end) = rest.rsplit_once('.')?;
    let (_, theirs) = LAYER_PARTS.iter().find(|(ours, _)| *ours == part)?;
    Some(format!("blk.{number}.{theirs}.{end}"))
}

/// Whether the architecture `llama` stores the rotary pairs of this weight as neighbouring rows. No other architecture does.
pub(super) fn is_paired(name: &str) -> bool {
    name.contains("q_proj") || name.contains("k_proj")
}
