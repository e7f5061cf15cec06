#!/usr/bin/env python3
"""Our engine and PyTorch on the same work, in turn; prints tokens a second, peak memory and ratios. See README.md."""

import argparse
import hashlib
import json
import math
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from statistics import median

import asked
import contestant
from contestant import Failed

TASKS = ["train", "decode", "peak"]
SHAPES = ["S", "M", "SmolLM2"]
DTYPES = ["f32", "bf16"]
WAYS = ["eager", "compile"]

# The largest difference of the losses of the first steps, and the least share of equal tokens in greedy answers. In bf16 a
# token whose lead is small is another soon, and so is all that follows: the share is only told.
LOSS = {"f32": 1e-4, "bf16": 3e-3}
EQUAL = {"f32": 0.99, "bf16": 0.0}
FIRST_STEPS = {"train": 3, "decode": 1}

HEADER = ("", "CPU", "wall", "MB", "net MB", "÷ CPU", "÷ wall", "÷ MB", "÷ net")
LINE = "{:<22}{:>9}{:>9}{:>8}{:>8}{:>9}{:>8}{:>8}{:>8}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"words that choose: {', '.join(TASKS + SHAPES + DTYPES + WAYS)} (none of a kind: all)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contestant (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="wall time of our round, at least (default: 1)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--python", default="target/peers/bin/python", help="of the environment that `setup` made")
    parser.add_argument("--engine", help="the built program of benches/engine (default: built now)")
    parser.add_argument("--results", default="target/peers/results.jsonl", help="what was measured, a record a line (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="measure also what the results have of this program already")
    parser.add_argument("--table", action="store_true", help="measure nothing: print what is asked beside the results")
    options = parser.parse_args()
    known = [TASKS, SHAPES, DTYPES, WAYS]
    for word in options.cases:
        if word not in sum(known, []):
            parser.error(f"no case `{word}` (known: {', '.join(sum(known, []))})")
    chosen = [[word for word in words if word in options.cases] or words for words in known]
    return options, chosen


def main():
    options, (tasks, shapes, dtypes, ways) = arguments()
    engine = options.engine or contestant.build()
    results = Results(options.results, engine)
    if options.table:
        asked.table(results.records)
        return 0
    print("Tokens per second of CPU and of wall time (medians), peak memory, and the same less what the program takes before it starts.")
    print("÷: ours divided by this line's (medians of the rounds' ratios; more is better for tokens, less for memory).\n")
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for shape in shapes:
            # Decoding is measured on one shape.
            cases = [(task, shape, dtype) for task in tasks if task == "train" or (task, shape) == ("decode", "S") for dtype in dtypes]
            for case, threads in [(case, threads) for case in cases for threads in options.threads]:
                pending = [way for way in ways if options.again or not results.has(case, threads, way)]
                if not pending:
                    continue
                try:
                    file = contestant.export(engine, shape, folder)
                    for record in contest(options, engine, file, case, threads, pending):
                        results.add(record)
                except Failed as failed:
                    wrong.append(f"{' '.join(case)}, {failed}")
                    print(wrong[-1], file=sys.stderr)
    if "peak" in tasks and "M" in shapes and "f32" in dtypes and (options.again or not results.has(("peak", "M", "f32"), 1, None)):
        results.add(peak(engine))
    asked.table(results.records)
    return 1 if wrong else 0


class Results:
    """Records of this build of our program in a file that only grows: what an interrupted comparison has measured is not lost."""

    def __init__(self, path, engine):
        self.path = Path(path)
        # Piece by piece: the peak memory of a process begins with that of the one that starts it.
        with Path(engine).open("rb") as program:
            self.engine = hashlib.file_digest(program, "sha256").hexdigest()[:16]
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.records = [record for record in map(json.loads, lines) if record["engine"] == self.engine]

    def has(self, case, threads, way):
        return asked.found(self.records, case, threads, way) is not None

    def add(self, record):
        record = {"engine": self.engine, **record}
        self.records.append(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            print(json.dumps(record), file=file)


def peak(engine):
    """The share of the machine's f32 peak that training M reaches, as our own program measures it."""
    printed = subprocess.run([engine, "1", "M", "train", "cpu", "f32"], stdout=subprocess.PIPE, text=True, check=True).stdout
    print(printed)
    return {"case": ["peak", "M", "f32"], "threads": 1, "way": None, "share": int(re.search(r"(\d+) % of the peak", printed)[1])}


def contest(options, engine, file, case, threads, ways):
    """Runs one case with all contestants, prints its table, and gives a record for each of the others."""
    with ExitStack() as running:
        all_of_them = [running.enter_context(contestant.ours(engine, case, threads))]
        for way in ways:
            all_of_them.append(running.enter_context(contestant.pytorch(options.python, way, file, case, threads)))
        print(LINE.format(f"{' '.join(case)}, {threads} thread{'s' * (threads > 1)}", *HEADER[1:]))
        ours, *others = all_of_them
        check(ours, others, case)
        measure(all_of_them, options)
        for one in all_of_them:
            line(one, ours)
        print(flush=True)
        return [record(way, ours, one, case, threads) for way, one in zip(ways, others)]


def check(ours, others, case):
    """Does the first steps, in which buffers grow and code is compiled, and holds their results against our own."""
    task, _, dtype = case
    expected = ours.round(FIRST_STEPS[task])
    for one in others:
        found = one.round(FIRST_STEPS[task])
        if task == "train":
            difference = max(abs(a - b) for a, b in zip(expected["losses"], found["losses"], strict=True))
            good, text = difference <= LOSS[dtype], f"losses of the first steps differ by at most {difference:.1e}"
        else:
            pairs = list(zip(chain(*expected["answers"]), chain(*found["answers"]), strict=True))
            share = sum(a == b for a, b in pairs) / len(pairs)
            good, text = share >= EQUAL[dtype], f"{share:.2%} of the tokens are equal"
        print(f"  {ours.name} and {one.name}: {text}")
        if not good:
            raise Failed(f"{ours.name} and {one.name} do not compute the same: {text}")


def measure(running, options):
    """Rounds of equal work, in turn: ours, theirs, ours, theirs …"""
    steps = math.ceil(options.seconds / max(running[0].round(1)["wall"], 1e-3))
    for _ in range(options.rounds):
        for one in running:
            one.rounds.append(one.round(steps))


def ratios(ours, one):
    """Medians of the rounds' ratios of tokens per second, and the ratios of memory."""
    speeds = [median(a / b for a, b in zip(ours.rates(clock), one.rates(clock))) for clock in ("cpu", "wall")]
    return speeds + [a / b for a, b in zip(ours.memory, one.memory)]


def line(one, ours):
    rates = [f"{median(one.rates(clock)):,.0f}" for clock in ("cpu", "wall")]
    memory = [f"{kibibytes / 1024:,.0f}" for kibibytes in one.memory]
    beside = [""] * 4 if one is ours else [f"{ratio:.2f}" for ratio in ratios(ours, one)]
    print(LINE.format(f"  {one.name}", *rates, *memory, *beside))


def record(way, ours, one, case, threads):
    cpu, wall, memory, net = ratios(ours, one)
    rates = [{clock: median(each.rates(clock)) for clock in ("cpu", "wall")} for each in (ours, one)]
    measured = {"cpu": cpu, "wall": wall, "memory": memory, "net": net, "ours": rates[0], "theirs": rates[1], "rounds": len(one.rounds)}
    return {"case": list(case), "threads": threads, "way": way, **measured}


if __name__ == "__main__":
    sys.exit(main())
