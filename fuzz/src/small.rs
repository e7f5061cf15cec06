//! What the files of a small model have, here and in the project's tests.

/// The bytes as GPT-2 writes those that it can write as they are, two merges and two special tokens.
pub fn tokens() -> Vec<String> {
    let printable = ('!'..='~').map(String::from);
    let more = ["Ġ", "Ċ", "on", "one", "<|start|>", "<|end|>"].map(str::to_owned);
    printable.chain(more).collect()
}

/// GGUF's name for a weight.
pub fn theirs(name: &str) -> String {
    let renamed = [
        ("model.layers.", "blk."),
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.", "attn_"),
        ("mlp.", "ffn_"),
        ("_proj", ""),
    ];
    renamed
        .iter()
        .fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs))
}
