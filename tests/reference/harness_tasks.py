"""Writes `harness_tasks.json`: what lm-evaluation-harness makes of records with its own task files.

    pip install lm_eval==0.4.13
    python tests/reference/harness_tasks.py > tests/reference/harness_tasks.json

Each task reads made records in its own format. The file has the task files too, so that the test needs no Python.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

TASKS = Path(lm_eval.__file__).parent / "tasks"

LABELS = {"label": ["A", "B", "C", "D"], "text": ["the sun", "a \"lamp\"", "it's ice", "wind\\rain"]}
RECORDS = {
    "gsm8k/gsm8k.yaml": [
        {"question": "Tom has 3 apples and buys 4. How many?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"},
        {"question": "Ann pays $1,200 in 3 parts.\nHow much is one?", "answer": "1200/3 = 400\n#### 400"},
    ],
    "arc/arc_easy.yaml": [
        {"question": "What is hot?", "choices": LABELS, "answerKey": "A"},
        {"question": "What is cold?", "choices": {**LABELS, "label": ["1", "2", "3", "4"]}, "answerKey": "3"},
    ],
    "mmlu/default/mmlu_anatomy.yaml": [
        {"question": "  Which bone?\n", "choices": ["femur", "tibia", "ulna", "none of {these}"], "answer": 2},
        {"question": "Which organ?", "choices": ["1", "2", "3", "4"], "answer": 0},
    ],
    "piqa/piqa.yaml": [
        {"goal": "Open a jar", "sol1": "Turn the lid's edge.", "sol2": "Say \"open\".", "label": 0},
        {"goal": "Boil\twater", "sol1": "Wait.\nStir.", "sol2": "Heat it to 100 °C.", "label": 1},
    ],
    "super_glue/boolq/default.yaml": [
        {"passage": "Ice is water.", "question": "is ice water", "label": 1},
        {"passage": "Fire is hot.", "question": "is fire cold", "label": 0},
    ],
    "openbookqa/openbookqa.yaml": [
        {"question_stem": "The sun is", "choices": LABELS, "answerKey": " B"},
        {"question_stem": "Rain is", "choices": LABELS, "answerKey": "D"},
    ],
    "sciq/sciq.yaml": [
        {"support": "\n Water boils.", "question": "At?", "distractor1": "1", "distractor2": "2", "distractor3": "3", "correct_answer": "100"},
        {"support": "", "question": "Who?", "distractor1": "a", "distractor2": "b", "distractor3": "c", "correct_answer": "d'e"},
    ],
    "triviaqa/default.yaml": [
        {"question": "Who wrote Emma", "answer": {"aliases": ["Jane Austen", "J. \"A\" Austen", "Austen's"]}},
        {"question": "Which year", "answer": {"aliases": ["1815"]}},
    ],
    "lambada/lambada_openai.yaml": [
        {"text": "He opened the door and saw the sea"},
        {"text": "\"No,\" she said,  \"not today"},
    ],
    "commonsense_qa/default.yaml": [
        {"question": " Where do fish live? ", "choices": {"label": list("ABCDE"), "text": ["sea", "sky", "sand", "sun", "salt"]}, "answerKey": "A"},
        {"question": "What is red?", "choices": {"label": list("ABCDE"), "text": ["a", "b", "c", "d", "e"]}, "answerKey": "E"},
    ],
    "nq_open/nq_open.yaml": [
        {"question": "who sang it", "answer": ["Abba", "the band Abba"]},
        {"question": "when was it", "answer": ["1974"]},
    ],
    "blimp/anaphor_gender_agreement.yaml": [
        {"sentence_good": "Ann hurt herself.", "sentence_bad": "Ann hurt himself."},
        {"sentence_good": "Tom's dog hurt itself.", "sentence_bad": "Tom's dog hurt \"himself\"."},
    ],
    "siqa/siqa.yaml": [
        {"context": "Kai left.", "question": "Why?", "answerA": "late", "answerB": "bored", "answerC": "ill", "label": "2"},
        {"context": "Kai sang.", "question": "How?", "answerA": "well", "answerB": "loud", "answerC": "low", "label": "1"},
    ],
    "glue/sst2/default.yaml": [
        {"sentence": "a fine film ", "label": 1},
        {"sentence": "dull", "label": 0},
    ],
}


def files(path, found):
    """The task file and all that it includes, by their paths."""
    text = path.read_text()
    found[str(path.relative_to(TASKS))] = text
    for name in re.findall(r"""^"?include"?: *"?([^"\n]+)"?$""", text, re.MULTILINE):
        files((path.parent / name).resolve(), found)
    return found


def expected(name, records, folder):
    config = load_yaml(TASKS / name)
    for key in ("tag", "group", "task_list", "dataset_name"):
        config.pop(key, None)
    data = Path(folder) / (name.replace("/", "-") + ".jsonl")
    data.write_text("".join(json.dumps(record) + "\n" for record in records))
    splits = ["training_split", "validation_split", "test_split", "fewshot_split"]
    names = {config[split] for split in splits if config.get(split)}
    config.update(dataset_path="json", dataset_kwargs={"data_files": {split: str(data) for split in names}})
    # The first of the other records is the example, whatever the seed.
    config["fewshot_config"] = {"sampler": "first_n"}
    task = ConfigurableTask(config=config)
    rows = []
    for place, record in enumerate(task.eval_docs):
        task.sampler.df = [record for other, record in enumerate(task.eval_docs) if other != place]
        choices = task.doc_to_choice(record) if task.config.doc_to_choice is not None else None
        rows.append({
            "question": task.doc_to_text(record),
            "choices": choices,
            "target": task.doc_to_target(record),
            "context": task.fewshot_context(record, num_fewshot=1),
        })
    metrics = {metric: task._metric_fn_kwargs[metric] for metric in task._metric_fn_list}
    return {
        "file": name,
        "files": files(TASKS / name, {}),
        "records": records,
        "rows": rows,
        "generation_kwargs": task.config.generation_kwargs,
        "filters": [ensemble.name for ensemble in task._filters],
        "metrics": metrics,
    }


def main():
    with tempfile.TemporaryDirectory() as folder:
        tasks = [expected(name, records, folder) for name, records in RECORDS.items()]
    json.dump(tasks, sys.stdout, ensure_ascii=False, indent=1)
    print()


main()
