"""A process that works on one case when told to: PyTorch's (`peer.py`) or ours (`benches/engine`), which speak the same lines of JSON."""

import json
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


class Failed(Exception):
    """A process that ended where a line was expected; with what it wrote about that."""


class Contestant:
    def __init__(self, name, command):
        self.name = name
        self.rounds = []
        # Not a pipe: nobody reads it while the process works.
        self.complaints = tempfile.TemporaryFile("w+")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.complaints}
        self.process = subprocess.Popen(command, text=True, **pipes)
        self.ready = self.line()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.complaints.seek(0)
            complaint = self.complaints.read().strip() or "it ended without a word"
            raise Failed(f"{self.name}: {complaint}")
        return json.loads(line)

    def round(self, steps):
        print(steps, file=self.process.stdin, flush=True)
        return self.line()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def rates(self, clock):
        """Tokens per second of each round; `clock` is `cpu` or `wall`."""
        return [round["tokens"] / round[clock] for round in self.rounds]

    @property
    def memory(self):
        """Kibibytes: the peak of the process, and what it is more than the program before it did anything."""
        peak = self.rounds[-1]["memory"]
        return peak, peak - self.ready["imported"]


def ours(engine, case, threads):
    task, shape, dtype = case
    return Contestant("ours", [engine, "child", task, shape, "cpu", dtype, str(threads)])


def pytorch(python, way, file, case, threads):
    task, _, dtype = case
    return Contestant(f"PyTorch {way}", [python, HERE / "peer.py", task, file, way, dtype, str(threads)])


def build():
    """Builds our program, and gives its path."""
    command = ["cargo", "bench", "--bench", "engine", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE).stdout.splitlines()
    messages = map(json.loads, lines)
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "engine" and m.get("executable"))


def export(engine, shape, folder):
    """The file of weights and tokens that both sides work with; the folder keeps it."""
    file = Path(folder, f"{shape}.safetensors")
    subprocess.run([engine, "export", shape, file], check=True)
    return file
