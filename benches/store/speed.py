"""How fast the store is, beside good tools: prints a table of times and of their ratios.

    python3 benches/store/speed.py RUNNER [hash] [remote] [records] [--url http://127.0.0.1:5903/] [--folder DIR]

All need the Python package `blake3`; `hash` the program `b3sum`, `remote` the programs `curl` and `rclone`, and an address: of a server with PUT, or
`s3://BUCKET/` with `AWS_ENDPOINT_URL` and credentials in the environment.
The stores are made here: records as a run would write them, with the right keys. Nothing of the runner is imported.
"""

import argparse
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import time

import blake3

SMALL = 10_000
RECORDS = 100_000
LARGE = 2 << 30
TRANSFERS = 24
TURNS = 3


def encoded(value):
    """The canonical encoding of a value, of which a key is the digest."""
    if value is None:
        return b"n"
    if isinstance(value, bool):
        return b"b" + bytes([value])
    if isinstance(value, int):
        return b"i" + struct.pack("<q", value)
    if isinstance(value, float):
        return b"f" + struct.pack("<d", value)
    if isinstance(value, str):
        return b"s" + struct.pack("<Q", len(value.encode())) + value.encode()
    if isinstance(value, list):
        return b"a" + struct.pack("<Q", len(value)) + b"".join(map(encoded, value))
    return b"o" + struct.pack("<Q", len(value)) + b"".join(encoded(key) + encoded(value[key]) for key in sorted(value))


def experiment(folder, stages, url=None):
    """An experiment of one stage that makes problems and many that mix them."""
    problems = '[stages.problems]\nkind = "generate"\ntask = "addition"\ntrain = 10\n'
    problems += "".join(f"{split} = 0\n" for split in ["development", "in_domain", "ood_easy", "ood_hard"])
    mixed = f'[stages."mixed[k]"]\nfor.k = "0..{stages}"\nkind = "mix"\nfull = "problems.train"\nseed = "{{k}}"\n'
    (folder / "x.toml").write_text(problems + mixed)
    remotes = f'[settings]\nremotes = [{{ url = "{url}", access = "read-write" }}]\n' if url else ""
    (folder / "runner.toml").write_text(remotes)


def put(store, part, name, content, ending=""):
    path = store / "v1" / part / name[:2] / (name[2:] + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(content)
        path.chmod(0o444)


def fill(runner, folder, stages, content):
    """A store in which all `stages` are done, with `content(k)` as output: their records are made after one that the runner wrote."""
    experiment(folder, 1)
    store = folder / "one"
    subprocess.run([runner, "run", "x.toml", "--store", store], cwd=folder, check=True, capture_output=True)
    records = [json.loads(path.read_text()) for path in store.glob("v1/records/*/*.json")]
    pattern = next(record for record in records if record["stage"].startswith("mixed"))
    for k in range(stages):
        body = content(k)
        digest = body if isinstance(body, tuple) else (blake3.blake3(body).hexdigest(), len(body))
        if not isinstance(body, tuple):
            put(store, "objects", digest[0], body)
        pattern["outputs"]["data"] = {"digest": digest[0], "bytes": digest[1], "folder": False}
        pattern["fingerprint"]["seed"], pattern["stage"] = k, f"mixed[{k}]"
        key = blake3.blake3(encoded(pattern["fingerprint"])).hexdigest()
        path = store / "v1" / "records" / key[:2] / (key[2:] + ".json")
        path.unlink(missing_ok=True)
        put(store, "records", key, json.dumps(pattern, separators=(",", ":")).encode(), ".json")
    return store


def large(store):
    """An object of 2 GiB in the store; its digest and size."""
    path = store / "v1" / "large"
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher, block = blake3.blake3(), os.urandom(1 << 24)
    with path.open("wb") as file:
        for k in range(LARGE >> 24):
            part = k.to_bytes(8, "little") + block[8:]
            hasher.update(part)
            file.write(part)
    name = hasher.hexdigest()
    place = store / "v1" / "objects" / name[:2] / name[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    path.rename(place)
    place.chmod(0o444)
    return place, (name, LARGE)


def peak(pid):
    """The most memory that a process has had, in MB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), 0)) / 1024


def timed(command, folder=None):
    """Seconds, CPU seconds and peak memory in MB of a program that must succeed."""
    os.sync()
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([str(word) for word in command], cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        memory, pid = 0, 0
        while pid == 0:
            # What the kernel reports of a child that ended includes what its parent had.
            memory = max(memory, peak(process.pid))
            time.sleep(0.005)
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
        seconds = time.monotonic() - began
        out.seek(0)
        text = out.read()
    assert status == 0, f"{command}: {text[-2000:]}"
    return seconds, used.ru_utime + used.ru_stime, memory


def row(what, ours, theirs=None, beside="", asked=None):
    seconds, cpu, memory = ours
    ratio = f"{seconds / theirs:6.2f} x {beside} ({theirs:.2f} s)" if theirs else ""
    wanted = f", asked {asked} x" if asked else ""
    print(f"{what:36} {seconds:8.2f} s {cpu:8.2f} s CPU {memory:7.0f} MB  {ratio}{wanted}", flush=True)


def hashing(runner, folder):
    """`cache verify` of one large object beside `b3sum` of the same file; the file is in memory for both."""
    place = folder / "one"
    path, _ = large(place)

    def peer():
        return timed(["b3sum", path])[0]

    verify = [runner, "cache", "verify", "--store", place]
    peer()
    theirs = min(peer() for _ in range(3))
    row("hash 2 GiB (cache verify)", min(timed(verify) for _ in range(3)), theirs, "b3sum", 1.3)


def transfers(runner, folder, url, what, prepare):
    """Push to a server and pull from it, beside plain parallel copies of the same objects and records: in turn, the best of some."""
    store, stages = prepare()
    source = folder / "plain"
    shutil.copytree(store / "v1" / "objects", source, copy_function=os.link)
    shutil.copytree(store / "v1" / "records", source / "records", copy_function=os.link)
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    names = folder / "names"
    flags = [f"--transfers={TRANSFERS}", f"--checkers={TRANSFERS}", "--config=/dev/null", "--no-traverse", "--files-from-raw", names]
    times = {name: [] for name in ("push", "copy", "pull", "rclone")}
    is_bucket = url.startswith("s3://")
    plain = "rclone copy" if is_bucket else "curl --parallel"
    for turn in range(TURNS):
        base = f"{url.rstrip('/')}/{what}-{time.time_ns()}"
        experiment(folder, stages, f"{base}/ours")
        theirs = f":s3,provider=Other,env_auth=true,endpoint='{os.environ['AWS_ENDPOINT_URL']}':{base[5:]}/theirs" if is_bucket else ""
        if is_bucket:
            names.write_text("".join(f"{file}\n" for file in files))
            copy = ["rclone", "copy", *flags, "--s3-no-check-bucket", source, theirs]
        else:
            # rclone wants listings (PROPFIND) for a copy to a server, which nginx does not give.
            names.write_text("".join(f'upload-file = "{source / file}"\nurl = "{base}/theirs/{file}"\n' for file in files))
            copy = ["curl", "-sSf", "--parallel", "--parallel-max", TRANSFERS, "--config", names]
        # Neither is always first: a disk may be fast for a while only.
        for name in ("copy", "push") if turn % 2 else ("push", "copy"):
            command = copy if name == "copy" else [runner, "cache", "push", "x.toml", "--store", "one"]
            times[name].append(timed(command, folder))
        names.write_text("".join(f"{file}\n" for file in files))
        target, two = folder / "fetched", folder / "two"
        times["rclone"].append(timed(["rclone", "copy", *flags, theirs or f":http,url='{base}/theirs',no_head=true:", target]))
        times["pull"].append(timed([runner, "cache", "pull", "x.toml", "--store", "two"], folder))
        assert len(list(two.glob("v1/objects/*/*"))) > stages, "not everything came"
        shutil.rmtree(target)
        shutil.rmtree(two)
        if not is_bucket:
            # What lies there would fill the memory that the next turn's files want. A server that does not delete keeps them.
            subprocess.run(["curl", "-sS", "-X", "DELETE", "-H", "Depth: infinity", f"{base}/"], check=False, capture_output=True)
    row(f"push {what}", min(times["push"]), min(times["copy"])[0], plain, 1.5)
    row(f"pull {what}", min(times["pull"]), min(times["rclone"])[0], "rclone copy", 1.5)


def many(runner, folder, stages):
    store = fill(runner, folder, stages, lambda k: k.to_bytes(8, "little") + bytes(2040))
    return store, stages


def one(runner, folder):
    _, artifact = large(folder / "one")
    store = fill(runner, folder, 1, lambda _: artifact)
    return store, 1


def records(runner, folder):
    """Housekeeping over a store, and over one with a tenth of its records."""
    for count in (RECORDS // 10, RECORDS):
        place = folder / str(count)
        place.mkdir()
        store, _ = many(runner, place, count)
        row(f"cache verify, {count} records", timed([runner, "cache", "verify", "--store", store]))
        gc = [runner, "cache", "gc", "--store", store, "--max-size", "10MB", "--grace", "0s"]
        row(f"cache gc, {count} records", timed(gc))
        row(f"cache gc --delete, {count} records", timed([*gc, "--delete"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runner", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--url")
    parser.add_argument("--folder")
    given = parser.parse_args()
    parts = given.parts or ["hash", "remote", "records"]
    print(f"{os.cpu_count()} cores")
    if "remote" in parts and not given.url:
        parser.error("`remote` needs --url, where a server takes PUT")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        runner, place = given.runner, pathlib.Path(folder)
        for name in ("hash", "small", "large", "records"):
            (place / name).mkdir()
        if "hash" in parts:
            hashing(runner, place / "hash")
        if "remote" in parts:
            transfers(runner, place / "small", given.url, f"{SMALL}-artifacts", lambda: many(runner, place / "small", SMALL))
            transfers(runner, place / "large", given.url, "2-GiB", lambda: one(runner, place / "large"))
        if "records" in parts:
            records(runner, place / "records")



if __name__ == "__main__":
    main()
