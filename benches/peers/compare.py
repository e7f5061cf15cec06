#!/usr/bin/env python3
"""Our engine and PyTorch on the same work, in turn; prints tokens a second, peak memory and ratios. See README.md."""

import argparse
import math
import sys
import tempfile
from contextlib import ExitStack
from itertools import chain
from statistics import median

import contestant
from contestant import Failed

TASKS = ["train", "decode"]
SHAPES = ["S", "M", "SmolLM2"]
DTYPES = ["f32", "bf16"]
WAYS = ["eager", "compile"]

# What our tokens per second divided by the peer's should at least be: by task, shape, dtype and the peer's ways.
TARGETS = {
    ("train", "S", "f32"): (2.0, ["eager"]),
    ("train", "M", "f32"): (1.3, ["eager"]),
    ("train", "S", "bf16"): (2.0, WAYS),
    ("train", "M", "bf16"): (1.3, WAYS),
    ("decode", "S", "f32"): (2.0, ["eager"]),
    ("decode", "S", "bf16"): (3.0, ["eager"]),
}
# What our peak memory divided by the peer's should at most be, in training.
MEMORY_TARGET = 0.35
# Two threads' tokens per second of wall time divided by one thread's.
SCALING_TARGETS = {("train", "M"): 1.8}

# The largest difference of the losses of the first steps, and the least share of equal tokens in greedy answers. In bf16 a
# token whose lead is small is another soon, and so is all that follows: the share is only told.
LOSS = {"f32": 1e-4, "bf16": 3e-3}
EQUAL = {"f32": 0.99, "bf16": 0.0}
FIRST_STEPS = {"train": 3, "decode": 1}

HEADER = ("", "CPU", "wall", "MB", "net MB", "÷ CPU", "÷ wall", "÷ MB", "÷ net", "target")
LINE = "{:<22}{:>9}{:>9}{:>8}{:>8}{:>9}{:>8}{:>8}{:>8}  {}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"words that choose: {', '.join(TASKS + SHAPES + DTYPES + WAYS)} (none of a kind: all)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contestant (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="wall time of our round, at least (default: 1)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--python", default="target/peers/bin/python", help="of the environment that `setup` made")
    parser.add_argument("--engine", help="the built program of benches/engine (default: built now)")
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
    print("Tokens per second of CPU and of wall time (medians), peak memory, and the same less what the program takes before it starts.")
    print("÷: ours divided by this line's (medians of the rounds' ratios; more is better for tokens, less for memory).\n")
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for shape in shapes:
            file = contestant.export(engine, shape, folder)
            # Decoding is measured on one shape.
            cases = [(task, shape, dtype) for task in tasks if task == "train" or shape == "S" for dtype in dtypes]
            for case in cases:
                rates = {}
                for threads in options.threads:
                    try:
                        rates[threads] = contest(options, engine, file, case, threads, ways)
                    except Failed as failed:
                        wrong.append(f"{' '.join(case)}, {failed}")
                        print(wrong[-1], file=sys.stderr)
                scaling(rates, case)
    return 1 if wrong else 0


def contest(options, engine, file, case, threads, ways):
    """Runs one case with all contestants, prints its table, and gives their tokens per second of wall time."""
    with ExitStack() as running:
        all_of_them = [running.enter_context(contestant.ours(engine, case, threads))]
        for way in ways:
            all_of_them.append(running.enter_context(contestant.pytorch(options.python, way, file, case, threads)))
        print(LINE.format(f"{' '.join(case)}, {threads} thread{'s' * (threads > 1)}", *HEADER[1:]))
        ours, *others = all_of_them
        check(ours, others, case)
        measure(all_of_them, options)
        for one in all_of_them:
            line(one, ours, case)
        print(flush=True)
        return {one.name: median(one.rates("wall")) for one in all_of_them}


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


def line(one, ours, case):
    rates = [f"{median(one.rates(clock)):,.0f}" for clock in ("cpu", "wall")]
    memory = [f"{kibibytes / 1024:,.0f}" for kibibytes in one.memory]
    ratios, target = [""] * 4, ""
    if one is not ours:
        ratios = [median(a / b for a, b in zip(ours.rates(clock), one.rates(clock))) for clock in ("cpu", "wall")]
        ratios += [a / b for a, b in zip(ours.memory, one.memory)]
        ratios = [f"{ratio:.2f}" for ratio in ratios]
        target = targets(case, one.name.split()[-1])
    print(LINE.format(f"  {one.name}", *rates, *memory, *ratios, target))


def targets(case, way):
    """What the ratios of this line should be."""
    speed, ways = TARGETS.get(case, (None, []))
    if way not in ways:
        return ""
    memory = f", MB ≤ {MEMORY_TARGET}" if case[0] == "train" else ""
    return f"CPU, wall ≥ {speed}{memory}"


def scaling(rates, case):
    """How much faster each is with the most threads than with the fewest."""
    if len(rates) < 2:
        return
    few, many = min(rates), max(rates)
    gains = [f"{name} {rates[many][name] / rates[few][name]:.2f}" for name in rates[few] if name in rates[many]]
    least = SCALING_TARGETS.get(case[:2]) if (few, many) == (1, 2) else None
    target = f" (target: ours ≥ {least})" if least else ""
    print(f"wall time, {many} threads ÷ {few}: {', '.join(gains)}{target}\n")


if __name__ == "__main__":
    sys.exit(main())
