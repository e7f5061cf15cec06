"""What is asked of the engine, and what the records of `compare.py` say about it."""

from statistics import median

HEADER = ("what", "threads", "asked", "CPU", "wall", "")
LINE = "{:<64}{:>8}{:>9}{:>8}{:>8}  {}"

# By case: the least ratio of tokens per second, and the ways of PyTorch whose better one it is held against.
SPEED = {
    ("train", "S", "f32"): (2.0, ["eager"]),
    ("train", "M", "f32"): (1.3, ["eager"]),
    ("train", "S", "bf16"): (2.0, ["eager", "compile"]),
    ("train", "M", "bf16"): (1.3, ["eager", "compile"]),
    ("decode", "S", "f32"): (2.0, ["eager"]),
    ("decode", "S", "bf16"): (3.0, ["eager"]),
}
# The most that training may take of the peer's memory.
MEMORY = 0.35
# The least gain of two threads in training M.
SCALING = 1.8
# The least share of the machine's f32 peak, in percent, in training M on one thread.
PEAK = 85


def table(records):
    """Prints a line for each thing asked; a record that is missing is said to be."""
    print(LINE.format(*HEADER))
    for case in SPEED:
        speed(records, case)
    for dtype in ("f32", "bf16"):
        scaling(records, ("train", "M", dtype))
    peak(records)
    for case in SPEED:
        if case[0] == "train":
            memory(records, case)


def line(what, threads, asked, values, good):
    values = [f"{value:.2f}" for value in values] or ["-"]
    verdict = "not measured yet" if good is None else "" if good else "missed"
    print(LINE.format(what, threads, asked, values[0], values[-1] if len(values) > 1 else "", verdict))


def found(records, case, threads, way):
    """The last record of one line, if there is one."""
    matching = [r for r in records if (tuple(r["case"]), r["threads"], r["way"]) == (case, threads, way)]
    return matching[-1] if matching else None


def speed(records, case):
    least, ways = SPEED[case]
    better = "eager" if ways == ["eager"] else "the better of autocast and compile"
    for threads in (1, 2):
        all_of_them = [found(records, case, threads, way) for way in ways]
        complete = None not in all_of_them
        # The better peer is the one with the lower ratio.
        values = [min(r[clock] for r in all_of_them) for clock in ("cpu", "wall")] if complete else []
        good = min(values) >= least if complete else None
        line(f"{' '.join(case)} ÷ PyTorch {better}", threads, f"≥ {least}", values, good)


def scaling(records, case):
    ways = ("eager", "compile")
    pairs = [(found(records, case, 1, way), found(records, case, 2, way)) for way in ways]
    gains = [two["ours"]["wall"] / one["ours"]["wall"] for one, two in pairs if one and two]
    values = [median(gains)] if gains else []
    line(f"{' '.join(case)}, 2 threads ÷ 1, wall time", "", f"≥ {SCALING}", values, values[0] >= SCALING if gains else None)


def peak(records):
    shares = [r["share"] for r in records if r["case"][0] == "peak"]
    values = shares[-1:]
    line("train M f32, share of the f32 peak, %", 1, f"≥ {PEAK}", values, values[0] >= PEAK if shares else None)


def memory(records, case):
    for threads in (1, 2):
        all_of_them = [found(records, case, threads, way) for way in SPEED[case][1]]
        complete = None not in all_of_them
        values = [max(r["memory"] for r in all_of_them)] if complete else []
        line(f"{' '.join(case)}, peak memory ÷ PyTorch", threads, f"≤ {MEMORY}", values, values[0] <= MEMORY if complete else None)
