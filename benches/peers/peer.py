"""PyTorch's side of the comparison: a process that works on one case and is told by lines on its standard input when to.

`peer.py (train | decode) CASE.safetensors (eager | compile) (f32 | bf16) THREADS`

Prints a line when ready and one after each round; a line is a JSON object. A line on the standard input is a number of steps: a round.
"""

import json
import os
import resource
import sys
import time

task, path, way, dtype, threads = sys.argv[1:]
# Before PyTorch is loaded: its libraries read it once.
os.environ["OMP_NUM_THREADS"] = threads

import torch  # noqa: E402

import decoder  # noqa: E402
import decoding  # noqa: E402
import training  # noqa: E402


def peak_memory():
    """Kibibytes: the most memory the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def say(**values):
    print(json.dumps(values), flush=True)


def main():
    torch.set_num_threads(int(threads))
    imported = peak_memory()
    start = {"train": training.start, "decode": decoding.start}[task]
    work = start(decoder.Case(path), way == "compile", dtype == "bf16")
    say(program=f"PyTorch {torch.__version__}", imported=imported)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        done = work(int(line))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        say(**done, cpu=cpu, wall=wall, memory=peak_memory())


main()
