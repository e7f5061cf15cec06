#!/usr/bin/env python3
"""Loads a model that `train` made from an adapter (`lora`) in PEFT: base and adapter give the merged model's logits.

    pip install torch transformers peft
    tests/reference/adapter.py BASE MODEL       # folders: of the base, and what the stage put out
"""

import pathlib
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main():
    base, model = map(pathlib.Path, sys.argv[1:3])
    # In f64: what differs is then how the merged weights were rounded, and not how Transformers adds up.
    merged = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64).eval()
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64).eval()
    tokens = torch.arange(3, 43)[None] % plain.config.vocab_size
    with torch.no_grad():
        before = plain(tokens).logits
        adapted = PeftModel.from_pretrained(plain, model / "adapter").eval()
        theirs, ours = adapted(tokens).logits, merged(tokens).logits
    worst, moved = (theirs - ours).abs().max().item(), (before - ours).abs().max().item()
    print(f"base and adapter in PEFT differ from the merged model by {worst:.2e}; training moved the logits by {moved:.2e}")
    raise SystemExit(0 if worst < 1e-3 < moved else "not alike")


if __name__ == "__main__":
    main()
