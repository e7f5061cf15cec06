#!/usr/bin/env python3
"""Holds every family of models against Transformers, in both directions, on tiny models with random weights.

    pip install torch transformers tokenizers
    cargo build && tests/reference/families.py --profile dev

Into ours: Transformers makes a model and saves its folder, which is imported; logits of every token and greedy texts are compared.
Out of ours: `train` makes a model from scratch, and Transformers loads its folder.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import tokenizers
import torch
import transformers
from pretrained import ROOT, TOKENS, ask, compare_logits
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM

PROMPTS = [f"Question: {a} + {b}\nAnswer:\n" for a, b in [(1, 2), (35, 7), (123, 456), (9999, 1), (70, 70), (2, 88), (6, 600), (12, 3)]]

# A context of 64 before: within 256 tokens some pairs are slowed down, some not, and some are between.
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
# Prompt and answer stay within the context before.
LONGROPE = {"rope_type": "longrope", "short_factor": [1.0, 1.05, 1.1, 1.3, 1.6, 2.0, 2.5, 3.0], "long_factor": [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 40.0, 60.0]}
LONGROPE |= {"original_max_position_embeddings": 256}
# Within 256 tokens some pairs are interpolated, some not, and some are between.
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
MSCALE = YARN | {"mscale": 0.7, "mscale_all_dim": 1.3, "beta_fast": 16.0, "beta_slow": 0.5, "truncate": False}
SHAPE = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
SHAPE |= {"max_position_embeddings": 256, "rms_norm_eps": 1e-5, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}

THEIRS = {
    "Llama": ("LlamaConfig", {"tie_word_embeddings": False}),
    "Llama, tied": ("LlamaConfig", {"tie_word_embeddings": True}),
    "Llama, heads of 24": ("LlamaConfig", {"head_dim": 24}),
    "Llama, scaled positions": ("LlamaConfig", {"rope": LLAMA3, "tie_word_embeddings": True}),
    "Llama, linear positions": ("LlamaConfig", {"rope": {"rope_type": "linear", "factor": 3.0}}),
    "Llama, dynamic positions": ("LlamaConfig", {"rope": {"rope_type": "dynamic", "factor": 3.0}}),
    "Llama, YaRN": ("LlamaConfig", {"rope": YARN}),
    "Llama, YaRN with settings": ("LlamaConfig", {"rope": MSCALE}),
    "Qwen3": ("Qwen3Config", {"head_dim": 24, "tie_word_embeddings": False}),
    "Qwen3, tied, YaRN": ("Qwen3Config", {"head_dim": 24, "tie_word_embeddings": True, "rope": YARN}),
    "Qwen2": ("Qwen2Config", {"tie_word_embeddings": False}),
    "Qwen2, tied": ("Qwen2Config", {"tie_word_embeddings": True}),
    "Mistral": ("MistralConfig", {"sliding_window": 200}),
    "Mistral, heads of 24": ("MistralConfig", {"sliding_window": None, "head_dim": 24}),
    "Phi-3": ("Phi3Config", {"sliding_window": None}),
    "Phi-3, long positions": ("Phi3Config", {"sliding_window": None, "rope": LONGROPE, "max_position_embeddings": 4096, "original_max_position_embeddings": 256}),
}

PLAIN = "width = 64, layers = 2, heads = 4, kv_heads = 2, lines = 0, columns = 0, context = 256"
SCALED = "rope_scaling = { factor = 8, low_freq_factor = 1, high_freq_factor = 4, original_context = 64 }"
OURS = {
    "plain": PLAIN,
    "untied": PLAIN + ", tied = false",
    "biases": PLAIN + ", qkv_bias = true",
    "wide heads, scaled positions": f"{PLAIN}, head_dim = 24, {SCALED}",
    "biases, wide heads, scaled positions": f"{PLAIN}, qkv_bias = true, head_dim = 24, {SCALED}",
}
EXPERIMENT = """
name = "families"
stages.rows = {{ kind = "generate", task = "addition", train = 200 }}
stages.model = {{ kind = "train", data = "rows.train", steps = {steps}, batch = 16, learning_rate = 0.003, model = {{ {model} }} }}
"""


def tokenizer(folder):
    """A byte-level BPE tokenizer that has seen little."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator(PROMPTS, trainer)
    made.save(str(folder / "tokenizer.json"))
    return made.get_vocab_size()


def config(kind, changes, vocabulary):
    changes = dict(changes)
    rope = changes.pop("rope", {"rope_type": "default"})
    new = int(transformers.__version__.split(".")[0]) >= 5
    if new:
        changes["rope_parameters"] = rope | {"rope_theta": 10000.0}
    elif rope["rope_type"] != "default":
        changes["rope_scaling"] = rope
    return getattr(transformers, kind)(vocab_size=vocabulary, **(SHAPE | changes))


def lively(model):
    """At the usual start attention hardly matters, and biases are 0."""
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.15)
            else:
                parameter.normal_(0, 0.3)
                parameter += 0 if name.endswith("bias") else 1


def greedy(model, folder, given):
    """How many texts are equal."""
    cut = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    equal = 0
    for tokens, ours in zip(given["prompts"], given["greedy"], strict=True):
        ids = torch.tensor([tokens])
        with torch.no_grad():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False, pad_token_id=0)
        new = out[0, len(tokens) :].tolist()
        ends = model.config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        new = new[:-1] if new[-1] in ends else new
        theirs = cut.decode(new, skip_special_tokens=False)
        equal += ours == theirs
        if ours != theirs:
            print(f"  ours   {ours!r}\n  theirs {theirs!r}")
    return equal


def compare(label, source, tolerance, profile, way):
    """Asks ours about the folder `source`; Transformers loads it, and what ours made of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        given, logits = ask(folder, source, [], PROMPTS, "f32", profile)
        good = True
        for place in [source, folder / "model"]:
            model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).eval()
            worst, largest = compare_logits(model, given, logits)
            equal = greedy(model, place, given)
            kind = type(model).__name__
            print(f"{way}  {label:38} {kind:20} logits within {worst:.1e} of {largest:5.1f}, {equal} of {len(PROMPTS)} greedy texts equal")
            good &= worst < tolerance and equal == len(PROMPTS)
    return good


def into(label, profile):
    kind, changes = THEIRS[label]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        vocabulary = tokenizer(folder)
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(config(kind, changes, vocabulary), dtype=torch.float32).eval()
        lively(model)
        # Some in shards.
        model.save_pretrained(folder, max_shard_size="100KB" if "tied" in label else "1GB")
        return compare(label, folder, 1e-3, profile, "into ours  ")


def out_of(label, binary, steps, profile):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        file = folder / "families.toml"
        file.write_text(EXPERIMENT.format(model=OURS[label], steps=steps))
        for words in [("run", file), ("fetch", file, "model", "--to", folder)]:
            subprocess.run([binary, *words, "--store", folder / "store"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return compare(label, folder / "model-model", 1e-4, profile, "out of ours")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="release", choices=["dev", "release"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("words", nargs="*", help="only cases with one of these in their names")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(2)
    binary = ROOT / "target" / {"dev": "debug"}.get(options.profile, options.profile) / "runner"
    asked = lambda label: not options.words or any(word in label for word in options.words)
    results = [into(label, options.profile) for label in THEIRS if asked(label)]
    results += [out_of(label, binary, options.steps, options.profile) for label in OURS if asked(label)]
    print(f"Transformers {transformers.__version__}, PyTorch {torch.__version__}: {sum(results)} of {len(results)} alike")
    sys.exit(0 if all(results) else "not alike")


if __name__ == "__main__":
    main()
