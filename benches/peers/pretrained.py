"""What the comparisons on a pretrained model share: running ours, and what a stage took."""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def runner(options, folder, *words):
    """Runs ours in `folder`, with a store of its own there."""
    command = [options.runner.resolve(), *words, "--store", folder / "store"]
    done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"runner {' '.join(map(str, words))}: {done.stderr}")


def run(options, folder, file):
    """Runs all stages of a file, one at a time."""
    runner(options, folder, "run", file, "--threads", str(options.threads), "--jobs", "1")


def took(options, folder, name):
    """Seconds of the stage, by the clock that is asked for, and the peak memory of its process, in bytes. Its record goes, so that every round computes."""
    for path in (folder / "store/v1/records").glob("*/*.json"):
        stage = json.loads(path.read_text())
        if stage["stage"] == name:
            path.unlink()
            provenance = stage["provenance"]
            return stage["seconds"] if options.clock == "wall" else provenance["cpu_seconds"], provenance["peak_memory"]
    sys.exit(f"the store has no record of `{name}`")


def arguments(about):
    """The arguments that the comparisons have in common."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--runner", type=pathlib.Path, default=ROOT / "target/release/runner")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu where others use the machine: all threads' time")
    return parser
