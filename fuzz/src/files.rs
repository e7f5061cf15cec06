//! Files of other programs: models, tokenizers and data sets. Each function uses the fuzzer's bytes as a file, or to damage a small valid
//! one, and reads the file as an import does. It returns whether that succeeded. Also compiled into `tests/malformed.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use kinds::foreign::{self, FileFormat, FileLayout};
use learn::model::{self, ModelError, TensorFile};
use learn::tokenizer::{ByteLevel, PreTokenizer, TokenKind, Tokenizer};
use serde_json::{Value, json};

use crate::change::changed;
use crate::memory::within;
use crate::pieces;
use crate::small::{theirs, tokens};

/// The memory limit for reading one of these files, in bytes. The files have only a few KB.
const BOUND: usize = 64 << 20;

/// The largest number of rows read from a file: a short run of one value may stand for any number of rows.
const ROWS: u64 = 10_000;

/// Width, heads and layers of the model.
const WIDTH: usize = 32;
const HIDDEN: usize = 32;

/// `tokenizer.json` of a byte-level BPE.
static TOKENIZER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let tokens = tokens();
    let kind = |token: &String| match token.starts_with("<|") {
        true => TokenKind::Special,
        false => TokenKind::Ordinary,
    };
    let parts = ByteLevel {
        kinds: tokens.iter().map(kind).collect(),
        merges: vec!["o n".to_owned(), "on e".to_owned()],
        pre_tokenizer: PreTokenizer::named("llama-bpe").expect("a known name"),
        begin: Some(tokens.len() as u32 - 2),
        tokens,
    };
    parts.json().expect("the parts of a tokenizer")
});

/// A `tokenizer.json` with parts that the other one does not have.
static OTHER_TOKENIZER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let value = json!({
        "version": "1.0",
        "truncation": { "direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0 },
        "padding": { "strategy": { "Fixed": 9 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<eos>" },
        "added_tokens": [],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" }, { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }, { "type": "NFKC" },
        ] },
        "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false },
        "post_processor": { "type": "TemplateProcessing", "single": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "SpecialToken": { "id": "<eos>", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<eos>": { "id": "<eos>", "ids": [1], "tokens": ["<eos>"] } } },
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" }, { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] },
        "model": { "type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["<eos>", 0.0], ["▁", -2.0], ["on", -3.0], ["o", -4.0], ["n", -5.0], ["e", -6.0]], "byte_fallback": false },
    });
    value.to_string().into_bytes()
});

static CONFIG: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let value = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": tokens().len(), "hidden_size": WIDTH,
        "intermediate_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": WIDTH / 2,
        "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
        "eos_token_id": tokens().len() - 1,
    });
    value.to_string().into_bytes()
});

const GENERATION: &[u8] = b"{\n  \"_from_model_config\": true,\n  \"bos_token_id\": 98,\n  \"eos_token_id\": [98, 99],\n  \"transformers_version\": \"4.40.1\"\n}\n";

/// The `tokenizer_config.json` beside a `tokenizer.model`.
const PIECES_CONFIG: &[u8] = b"{\"add_bos_token\": true, \"bos_token\": \"<s>\", \"legacy\": false, \"added_tokens_decoder\": {\"99\": {\"content\": \"</s>\"}}, \"tokenizer_class\": \"LlamaTokenizer\"}";

/// Names and shapes of a model's weights, by Hugging Face's names.
static SHAPES: LazyLock<BTreeMap<String, Vec<usize>>> = LazyLock::new(|| {
    let architecture = model::Architecture {
        width: WIDTH,
        heads: 2,
        kv_heads: 1,
        layers: 1,
        feed_forward: HIDDEN,
        lines: 0,
        columns: 0,
        context: 64,
        ..model::Architecture::default()
    };
    architecture.shape(tokens().len()).expect("the shape of a model").parameters()
});

/// A safetensors file: its header, and the bytes that follow it.
struct Tensors {
    header: Vec<u8>,
    numbers: Vec<u8>,
}

impl Tensors {
    /// Tensors of these names and shapes in f16, whose numbers are all the same.
    fn new<'a>(shapes: impl IntoIterator<Item = (&'a String, &'a Vec<usize>)>, number: [u8; 2]) -> Self {
        let (mut header, mut end) = (serde_json::Map::new(), 0);
        for (name, shape) in shapes {
            let start = end;
            end += shape.iter().product::<usize>() * 2;
            header.insert(
                name.clone(),
                json!({ "dtype": "F16", "shape": shape, "data_offsets": [start, end] }),
            );
        }
        Self {
            header: Value::Object(header).to_string().into_bytes(),
            numbers: number.repeat(end / 2),
        }
    }

    /// The file with its header changed, and with the correct length of the header.
    fn changed(&self, data: &[u8]) -> Vec<u8> {
        match data {
            // All of the file may be changed, including the length.
            [0, data @ ..] => changed(&self.changed(&[1]), data),
            data => {
                let header = changed(&self.header, data);
                let length = (header.len() as u64).to_le_bytes();
                [&length, header.as_slice(), &self.numbers].concat()
            }
        }
    }
}

static TENSORS: LazyLock<Tensors> = LazyLock::new(|| Tensors::new(&*SHAPES, [0, 0]));

/// A field of a GGUF file: its name, the number of its type, and its value.
type Field = (&'static str, u32, Vec<u8>);

/// A text with its length.
fn text(text: &str) -> Vec<u8> {
    [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

/// A list of values of the type `kind`.
fn list(kind: u32, values: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let values: Vec<Vec<u8>> = values.into_iter().collect();
    let count = (values.len() as u64).to_le_bytes();
    [kind.to_le_bytes().as_slice(), &count, &values.concat()].concat()
}

fn number(number: usize) -> Vec<u8> {
    (number as u32).to_le_bytes().to_vec()
}

/// A GGUF file with these fields of a tokenizer: matrices of `Q8_0`, the rest in f32.
fn gguf(tokenizer: Vec<Field>) -> Vec<u8> {
    let mut fields: Vec<Field> = vec![("general.architecture", 8, text("llama"))];
    for (name, value) in [
        ("llama.embedding_length", WIDTH),
        ("llama.block_count", 1),
        ("llama.attention.head_count", 2),
        ("llama.attention.head_count_kv", 1),
        ("llama.feed_forward_length", HIDDEN),
        ("llama.context_length", 64),
        ("tokenizer.ggml.eos_token_id", tokens().len() - 1),
    ] {
        fields.push((name, 4, number(value)));
    }
    fields.push(("llama.rope.freq_base", 6, 10_000_f32.to_le_bytes().to_vec()));
    fields.push(("llama.attention.layer_norm_rms_epsilon", 6, 1e-5_f32.to_le_bytes().to_vec()));
    fields.extend(tokenizer);
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((SHAPES.len() as u64).to_le_bytes());
    out.extend((fields.len() as u64).to_le_bytes());
    for (name, kind, value) in fields {
        out.extend(text(name));
        out.extend(kind.to_le_bytes());
        out.extend(value);
    }
    let mut end = 0_u64;
    for (name, shape) in &*SHAPES {
        out.extend(text(&theirs(name)));
        out.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|side| out.extend((*side as u64).to_le_bytes()));
        let (kind, bytes) = match shape.len() {
            1 => (0_u32, shape[0] * 4),
            _ => (8, shape.iter().product::<usize>() / 32 * 34),
        };
        out.extend(kind.to_le_bytes());
        out.extend(end.to_le_bytes());
        end += (bytes as u64).next_multiple_of(32);
    }
    out.resize(out.len().next_multiple_of(32) + end as usize, 0);
    out
}

/// A GGUF file whose tokenizer is a byte-level BPE.
static GGUF: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let tokens = tokens();
    let kind = |token: &String| number(if token.starts_with("<|") { 3 } else { 1 });
    gguf(vec![
        ("tokenizer.ggml.bos_token_id", 4, number(tokens.len() - 2)),
        ("tokenizer.ggml.model", 8, text("gpt2")),
        ("tokenizer.ggml.pre", 8, text("smollm")),
        ("tokenizer.ggml.token_type", 9, list(5, tokens.iter().map(kind))),
        ("tokenizer.ggml.merges", 9, list(8, [text("o n"), text("on e")])),
        ("tokenizer.ggml.tokens", 9, list(8, tokens.iter().map(|token| text(token)))),
    ])
});

/// A GGUF file whose tokenizer is that of SentencePiece.
static PIECES_GGUF: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pieces = pieces::pieces();
    let scores = pieces.iter().map(|piece| (piece.score as f32).to_le_bytes().to_vec());
    let kinds = pieces.iter().map(|piece| number(pieces::number(piece.kind).into()));
    gguf(vec![
        ("tokenizer.ggml.bos_token_id", 4, number(1)),
        ("tokenizer.ggml.add_bos_token", 7, vec![1]),
        ("tokenizer.ggml.add_space_prefix", 7, vec![1]),
        ("tokenizer.ggml.model", 8, text("llama")),
        ("tokenizer.ggml.scores", 9, list(6, scores)),
        ("tokenizer.ggml.token_type", 9, list(5, kinds)),
        ("tokenizer.ggml.tokens", 9, list(8, pieces.iter().map(|piece| text(&piece.text)))),
    ])
});

/// PEFT's `adapter_config.json`.
static ADAPTER_CONFIG: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let value = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "x/y", "r": RANK, "lora_alpha": 4, "lora_dropout": 0.0,
        "target_modules": ["q_proj", "v_proj", "down_proj"], "bias": "none", "fan_in_fan_out": false, "init_lora_weights": true,
        "use_rslora": true, "use_dora": false, "modules_to_save": null, "layers_to_transform": null, "rank_pattern": {},
    });
    value.to_string().into_bytes()
});

/// The rank of the adapters.
const RANK: usize = 2;

/// PEFT's `adapter_model.safetensors`.
static ADAPTERS: LazyLock<Tensors> = LazyLock::new(|| {
    let lora = model::Lora {
        rank: RANK,
        targets: ["q_proj", "v_proj", "down_proj"].map(str::to_owned).to_vec(),
        ..model::Lora::default()
    };
    let adapted = SHAPES
        .iter()
        .filter(|(name, _)| lora.targets.iter().any(|target| name.contains(target.as_str())));
    let named = adapted.flat_map(|(name, shape)| {
        let (a, b) = model::lora::adapter_names(name);
        [(a, vec![RANK, shape[1]]), (b, vec![shape[0], RANK])]
    });
    let shapes: BTreeMap<String, Vec<usize>> = named.collect();
    // 0.5
    Tensors::new(&shapes, [0, 0x38])
});

/// The files of an imported model, to which adapters are added.
static BASE: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let folder = folder();
    put(folder.path(), "x.gguf", &GGUF);
    let imported = folder.path().join("imported");
    model::import(&folder.path().join("x.gguf"), true, &imported).expect("a valid model");
    let entries = std::fs::read_dir(imported).expect("a folder that was made");
    let files = entries.map(|entry| {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        (name, std::fs::read(&path).expect("a file that was written"))
    });
    files.collect()
});

/// Imports a model to the folder that `import` is given. The imported model can be loaded, its tokenizer can be used, and importing it again
/// changes nothing.
fn imports(folder: &Path, import: impl FnOnce(&Path) -> Result<(), ModelError>) -> bool {
    let imported = folder.join("imported");
    if let Err(error) = import(&imported) {
        assert!(!error.to_string().is_empty());
        return false;
    }
    let loaded = model::load(&imported).expect("an imported model can be loaded");
    cut(&loaded.tokenizer);
    let again = folder.join("again");
    model::import(&imported, true, &again).expect("an imported model can be imported");
    assert_eq!(model::load(&again).expect("it can be loaded").weights, loaded.weights);
    true
}

/// Encodes and decodes some texts.
fn cut(tokenizer: &Tokenizer) {
    for text in ["one 12\n", "", " <|start|>on ❤ ﬁ\0", "</s>o n<0x0A>▁\u{1}"] {
        let _ = tokenizer.unknown_in_text(text);
        let middle = (text.len() / 2..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or_default();
        let question = middle..text.len();
        let question = std::slice::from_ref(&question);
        let _ = tokenizer.unknown_in_prompt(text, question);
        let prompts = [tokenizer.prompt(text, &[]), tokenizer.prompt(text, question)];
        for tokens in prompts.into_iter().chain([tokenizer.encode(text)]).flatten() {
            assert!(tokens.iter().all(|token| (*token as usize) < tokenizer.vocabulary()), "{tokens:?}");
            let _ = tokenizer.decode(&tokens);
        }
    }
    let _ = tokenizer.decode(&[0, 1, 2, u32::MAX]);
}

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).expect("a file can be written");
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// A safetensors file alone: all tensors in its header can be read.
pub fn model_safetensors(data: &[u8]) -> bool {
    let folder = folder();
    put(folder.path(), "x.safetensors", &TENSORS.changed(data));
    within(BOUND, || {
        let Ok(file) = TensorFile::open(&folder.path().join("x.safetensors")) else {
            return false;
        };
        for name in file.names() {
            let info = file.info(&name).expect("a name of the file's");
            file.bytes(info).expect("a tensor lies within the file");
            let _ = file.numbers(&name, &info.shape);
        }
        true
    })
}

/// A Hugging Face folder: the first four bytes are the lengths of the parts for its files.
pub fn model_folder(data: &[u8]) -> bool {
    let Some((lengths, mut rest)) = data.split_first_chunk::<4>() else {
        return false;
    };
    let mut part = |length: u8| {
        let (part, after) = rest.split_at(usize::from(length).min(rest.len()));
        rest = after;
        part
    };
    let folder = folder();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).expect("a folder can be made");
    put(&source, "config.json", &changed(&CONFIG, &[&[1], part(lengths[0])].concat()));
    put(&source, "tokenizer.json", &changed(&TOKENIZER, &[&[1], part(lengths[1])].concat()));
    let index = part(lengths[2]);
    if !index.is_empty() {
        let whole = json!({ "weight_map": { "model.norm.weight": "model.safetensors" } });
        put(
            &source,
            "model.safetensors.index.json",
            &changed(whole.to_string().as_bytes(), &[&[1], index].concat()),
        );
    }
    put(
        &source,
        "generation_config.json",
        &changed(GENERATION, &[&[1], part(lengths[3])].concat()),
    );
    put(&source, "model.safetensors", &TENSORS.changed(&[&[1], rest].concat()));
    within(BOUND, || imports(folder.path(), |out| model::import(&source, true, out)))
}

/// A folder with a SentencePiece `tokenizer.model`. The first byte is the length of the part for `tokenizer_config.json`. Of the rest, each
/// five bytes change a part of `tokenizer.model`, whose length is then correct, or all of it.
pub fn model_pieces(data: &[u8]) -> bool {
    let [length, rest @ ..] = data else { return false };
    let (for_config, rest) = rest.split_at(usize::from(*length).min(rest.len()));
    let (mut parts, mut for_all) = (pieces::parts(), vec![1]);
    for change in rest.chunks_exact(5) {
        match parts.get_mut(usize::from(change[0])) {
            Some((_, part)) => *part = changed(part, &[&[1], &change[1..]].concat()),
            None => for_all.extend(&change[1..]),
        }
    }
    let folder = folder();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).expect("a folder can be made");
    put(&source, "config.json", &CONFIG);
    put(&source, "tokenizer.model", &changed(&pieces::file(&parts), &for_all));
    put(
        &source,
        "tokenizer_config.json",
        &changed(PIECES_CONFIG, &[&[1], for_config].concat()),
    );
    put(&source, "model.safetensors", &TENSORS.changed(&[1]));
    within(BOUND, || imports(folder.path(), |out| model::import(&source, true, out)))
}

/// A folder with PEFT's adapters of a model. The first byte is the length of the part for `adapter_config.json`.
pub fn model_adapter(data: &[u8]) -> bool {
    let [length, rest @ ..] = data else { return false };
    let (for_config, rest) = rest.split_at(usize::from(*length).min(rest.len()));
    let folder = folder();
    let (source, base) = (folder.path().join("source"), folder.path().join("base"));
    for folder in [&source, &base] {
        std::fs::create_dir(folder).expect("a folder can be made");
    }
    BASE.iter().for_each(|(name, bytes)| put(&base, name, bytes));
    put(
        &source,
        "adapter_config.json",
        &changed(&ADAPTER_CONFIG, &[&[1], for_config].concat()),
    );
    put(&source, "adapter_model.safetensors", &ADAPTERS.changed(&[&[1], rest].concat()));
    within(BOUND, || imports(folder.path(), |out| model::import_adapter(&source, &base, out)))
}

/// A GGUF file, with a tokenizer of one of two sorts.
pub fn model_gguf(data: &[u8]) -> bool {
    let whole = match data.first() {
        Some(first) if first % 4 == 3 => &PIECES_GGUF,
        _ => &GGUF,
    };
    let folder = folder();
    put(folder.path(), "x.gguf", &changed(whole, data));
    within(BOUND, || {
        imports(folder.path(), |out| model::import(&folder.path().join("x.gguf"), true, out))
    })
}

/// A `tokenizer.json`, and texts that it encodes and decodes.
pub fn tokenizer(data: &[u8]) -> bool {
    let whole = match data.first() {
        Some(first) if first % 4 == 1 => &OTHER_TOKENIZER,
        _ => &TOKENIZER,
    };
    within(BOUND, || {
        let ends = if data.first().is_some_and(|first| first % 4 == 1) {
            1
        } else {
            tokens().len() as u32 - 1
        };
        let Ok(tokenizer) = Tokenizer::parse(&changed(whole, data), &[ends], Path::new("tokenizer.json")) else {
            return false;
        };
        cut(&tokenizer);
        true
    })
}

/// The same table in a Parquet file, plain and packed.
const PARQUET: [&[u8]; 4] = [
    include_bytes!("../../src/kinds/foreign/small.parquet"),
    include_bytes!("../../src/kinds/foreign/small-gzip.parquet"),
    include_bytes!("../../src/kinds/foreign/small-zstd.parquet"),
    include_bytes!("../../src/kinds/foreign/small-lz4.parquet"),
];

fn rows(format: FileFormat, bytes: &[u8]) -> bool {
    let folder = folder();
    put(folder.path(), "x", bytes);
    let mut count = 0;
    let layout = FileLayout {
        format,
        ..FileLayout::default()
    };
    within(BOUND, || {
        let read = foreign::records(&folder.path().join("x"), layout, &mut |record, _| {
            let _ = foreign::chat(&record);
            for path in ["n", "n[0]", "n.m[-1]", "question.x"] {
                let _ = record.get(path).map(|field| field.map(|field| field.into_owned().value()));
            }
            record.0.into_iter().map(|(_, field)| field.value()).for_each(drop);
            count += 1;
            if count < ROWS { Ok(()) } else { Err("enough".into()) }
        });
        if let Err(error) = &read {
            assert!(error.to_string().contains("/x"), "{error}");
        }
        read.is_ok()
    })
}

/// A Parquet file.
pub fn data_parquet(data: &[u8]) -> bool {
    let whole = PARQUET[data.first().map_or(0, |first| usize::from(first / 2) % PARQUET.len())];
    rows(FileFormat::Parquet, &changed(whole, data))
}

/// A few rows of a chat in JSON Lines, packed with gzip.
const GZIP: &[u8] = include_bytes!("../../src/kinds/foreign/chat.jsonl.gz");

/// JSON Lines, a JSON list or CSV, with the format detected for some files, packed or not.
pub fn data_json(data: &[u8]) -> bool {
    let [first, rest @ ..] = data else { return false };
    let (format, whole): (_, &[u8]) = match first % 7 {
        4 => (FileFormat::Auto, b"\xef\xbb\xbfquestion\tn\tx\r\n\"a, \"\"b\"\"\n c\"\t1\t\r\n"),
        5 => (
            FileFormat::Auto,
            b"[{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"n\": [1, {\"m\": [2]}], \"n\": 0.10}]",
        ),
        6 => (FileFormat::Auto, GZIP),
        0 => (FileFormat::Auto, b"{\"question\": \"a\", \"n\": [1.5, {}]}\n"),
        1 => (
            FileFormat::Jsonl,
            b"{\"question\": \"a\", \"n\": 1}\n\n{\"question\": \"\\ud835\\udefc\", \"n\": null}\n",
        ),
        2 => (
            FileFormat::Json,
            b"[{\"question\": \"a\", \"n\": 1},\n {\"question\": \"b\", \"n\": {\"m\": [true]}}]",
        ),
        _ => (FileFormat::Csv, b"question,n\n\"a, \"\"b\"\"\n c\",1\nd,\n"),
    };
    rows(format, &changed(whole, rest))
}
