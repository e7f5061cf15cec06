#!/usr/bin/env python3
"""What lm-evaluation-harness reads out of answers, and how it judges them: expected values for src/kinds/scoring/tests/.

    pip install lm_eval==0.4.13
    python tests/reference/scoring.py src/kinds/scoring/tests

Writes patterns.jsonl (Python's findall), filters.jsonl (filters of the harness), metrics.jsonl (exact_match of the harness) and
likelihoods.jsonl (process_results of multiple choice, rolling perplexities). The texts are drawn with a fixed seed.
"""

import json
import random
import re
import sys
from pathlib import Path

from lm_eval.api import metrics
from lm_eval.filters.extraction import MultiChoiceRegexFilter, RegexFilter, WhitespaceFilter
from lm_eval.filters.selection import MajorityVoteFilter, TakeFirstFilter, TakeKFilter
from lm_eval.filters.transformation import LowercaseFilter, MapFilter, UppercaseFilter

draw = random.Random(24)

STRICT = r"#### (\-?[0-9\.\,]+)"
FLEXIBLE = r"(-?[$0-9.,]{2,})|(-?[0-9]+)"

# --- Python's findall

PATTERNS = [
    STRICT, FLEXIBLE, r"(?i)the answer is\s*:?\s*(.*?)(?:\.|$)", r"\((A|B|C|D)\)", r"\b\w+\b", r"\B.\B", r"\d+", r"[^\W\d_]+", r"\s+", r"\S+",
    r"a*", r"|a", r"(a)|b", r"(a)?b", r"(a|b)*c", r"^.*$", r"(?m)^.*$", r"(?s).+", r"(?s)^.*\Z", r"$", r"(?m)$", r"\Z", r"(?<=a)b", r"(?<!a)b",
    r"(\w)\1", r"(?P<x>\w)(?P=x)", r"(?x) a + # many\n b", r"a{2}", r"a{2,}", r"a{,2}", r"a{1,2}?", r"a{x}", r"{", r"a{,}", r"[[]", r"[]a]+",
    r"[^]a]+", r"[a-]+", r"[a&&b]+", r"[~~a-]+", r"[\w-]+", r"[\]\\^]", r"\x41|\u00e9|\101", r"(?:ab)+?", r"(?i:A)b", r"(?i)É", r"(?a)\w+",
    r"(?i)(?-i:a)B", r"(a)(?(1)b|c)", r"(?>a+)b", r"a++b", r"\$\d+(?:\.\d\d)?", r"\\boxed\{([^{}]*)\}", r"(?=(\w\w))", r"answer(?!s)", r"\Aa", r"\.",
    r"(\-?[0-9\.\,]*[0-9]+)", r"((?<=The answer is )(.*)(?=.)|(?<=the answer is )(.*)(?=.))", r"^\s*([A-D])\b", r"(?m)^\s*([A-D])\b", r"½|[²-⁴]", r"\w½",
    r"[A-Z]\w*\.?$", r"(\d{1,3}(?:,\d{3})*(?:\.\d+)?)", r"([-+]?\d*\.?\d+)(?:[eE][-+]?\d+)?", r"(?:^|\n)(.+)$", r"(?<![\d.])\d(?!\d)", r"a\Z",
]
WRONG = [r"(", r")", r"[", r"a**", r"*a", r"(?P<1>a)", r"(?P=x)", r"\1", r"(?z)", r"a{2,1}", r"[b-a]", r"\q", "\\", r"(?<a)", r"a(?i)b", r"\u12", r"[\d-z]", r"(?P<x>a)(?P<x>b)"]
PIECES = [
    "a", "b", "ab", "aab", "aaa", "abc", "A", "É", "é", "e\u0301", "ñ", "18", "1,080.50", "$18", "-3", "½", "x²", "٣", "_", "-", " ", "  ", "\n", "\t",
    "\u00a0", "\x1c", "\r\n", ".", ",", "#### 18", "#### -1,5.", "The answer is ", "the answer is: ", "(A)", "(B)", "A", "B.", "[", "]", "\\", "^", "{", "}", "a{x}",
    "\\boxed{7}", "हिन्दी", "日本", "‿", "answers", "ſ", "ss", "&", "~",
]


def text(pieces, most):
    return "".join(draw.choice(pieces) for _ in range(draw.randint(0, most)))


def patterns():
    for pattern in PATTERNS:
        compiled = re.compile(pattern)
        for sample in ["", "a", "aab ab\nb"] + [text(PIECES, 9) for _ in range(7)]:
            yield [pattern, sample, [m if isinstance(m, str) else list(m) for m in compiled.findall(sample)]]
    for pattern in WRONG:
        try:
            re.compile(pattern)
        except re.error:
            yield [pattern, None, None]
        else:
            raise ValueError(pattern)


# --- filters

ANSWERS = [
    "18", "1,080", "$18.00", "-5", "0.5", "18.", "70 000", "1.2.3", ",", "...", "$", "-", "18,", "x", "", "3/4", "1e3", "½", "18%", "(A)", "A", "B)", "paris", "Paris!", "the Louvre",
]
PHRASES = [
    "#### ", "####", "####  ", "The answer is ", "So, ", "\n", " ", ". ", "= ", "9 * 2 ", "Answer: ", "answer is (B)", "(C) ", ": B", ":\n A", "I think it is ", "$", "\\boxed{", "}", "**",
    "Question: ", "in 2020, ", " dollars", "'s", "-", "—", "Berlin", "the LOUVRE", "Guilty of Romance", "guilty", "a.b", "The answer is Paris.",
]
CHOICES = [
    ["Paris", "Berlin", "the Louvre", "a.b"],
    ["Guilty", "Guilty of Romance", "not guilty"],
    ["18", "1,080", "-5", "$18.00", "0.5"],
    [" Paris ", "paris!", "Straße", "it's"],
    ["yes"],
]


def answer_text():
    parts = [draw.choice(PHRASES) if draw.random() < 0.55 else draw.choice(ANSWERS) for _ in range(draw.randint(0, 7))]
    return "".join(parts)


def chains():
    def regex(**fields):
        return [{"function": "regex", **fields}], lambda: RegexFilter(**fields)

    def choice(**fields):
        return [{"function": "multi_choice_regex", **fields}], lambda: MultiChoiceRegexFilter(**fields)

    letter = r"(\([A-Z]\))"
    yield regex(regex_pattern=STRICT)
    yield regex(regex_pattern=FLEXIBLE, group_select=-1)
    yield regex(regex_pattern=FLEXIBLE, group_select=0, fallback="0")
    yield regex(regex_pattern=r"(?i)the answer is (.*?)(?=\.|\n|$)", group_select=-1)
    yield choice(regex_pattern=letter, group_select=0)
    yield choice(regex_pattern=letter, group_select=-1, ignore_case=True, ignore_punctuation=True)
    yield choice(regex_pattern=r"answer is (\w+)", ignore_case=True, regexes_to_ignore=[r"\bthe\b", r"\$"])
    yield [{"function": "remove_whitespace"}], WhitespaceFilter
    yield [{"function": "lowercase"}], LowercaseFilter
    yield [{"function": "uppercase"}], UppercaseFilter
    table = {"18": "right", "A": "0", "[invalid]": "none", "": "empty"}
    yield [{"function": "map", "mapping_dict": table, "default_value": "other"}], lambda: MapFilter(table, "other")
    yield [{"function": "take_first"}], TakeFirstFilter
    yield [{"function": "take_first_k", "k": 2}], lambda: TakeKFilter(k=2)
    yield [{"function": "majority_vote"}], MajorityVoteFilter


def applied(make, responses, choices):
    read = list(make().apply([responses], [{"choices": choices}]))[0]
    return [read] if isinstance(read, str) else list(read)


def filters():
    for specs, make in chains():
        function, cases = specs[0]["function"], []
        for _ in range(60 if "regex" in function else 12):
            choices = draw.choice(CHOICES) if function == "multi_choice_regex" else []
            responses = [answer_text() for _ in range(3)]
            if function == "majority_vote":
                responses = [draw.choice(["18", "19", "20"]) for _ in range(5)]
            cases.append([choices, responses, applied(make, responses, choices)])
        yield [specs, cases]
    # Chains: what no pattern found goes on as the harness has it.
    regex = {"function": "regex", "regex_pattern": STRICT}
    table = {"18": "right", "[invalid]": "none"}
    mapped, again = [], []
    for _ in range(40):
        responses = [answer_text() for _ in range(3)]
        first = RegexFilter(STRICT).apply([responses], [{}])[0]
        mapped.append([[], responses, MapFilter(table, "x").apply([first], [])[0]])
        again.append([[], responses, RegexFilter(r"^([0-9]+)$", fallback="0").apply([first], [{}])[0]])
    yield [[regex, {"function": "map", "mapping_dict": table, "default_value": "x"}], mapped]
    yield [[regex, {"function": "regex", "regex_pattern": r"^([0-9]+)$", "fallback": "0"}], again]


# --- exact_match

FLAGS = [
    {}, {"ignore_case": True}, {"ignore_punctuation": True}, {"ignore_numbers": True}, {"ignore_case": True, "ignore_punctuation": True},
    {"regexes_to_ignore": [",", r"\$", "(?s).*#### ", r"\.$"], "ignore_case": True, "ignore_punctuation": False},
    {"regexes_to_ignore": [r"\s+", r"\b(?:the|a|an)\b"]},
    {"ignore_case": True, "ignore_punctuation": True, "ignore_numbers": True, "regexes_to_ignore": ["x"]},
]
WORDS = ["18", "1,080", "$18", "The", "the", "PARIS", "Paris", "paris.", "Straße", "STRASSE", "İ", "ΟΔΟΣ", "οδος", "a", "x", "#### 18", "¿qué?", "«x»", "—", "-", "\x00", " ", "  ", "\n", "٣", "½", "'s", "_"]


def variant(words):
    """The words again, changed in what a flag may leave out."""
    change = [str, str.lower, str.upper, lambda w: w + ".", lambda w: w.replace(",", ""), lambda w: w + "7", lambda w: "x" + w, lambda w: w + " "]
    return "".join(draw.choice(change)(w) if draw.random() < 0.4 else w for w in words)


def exact():
    for flags in FLAGS:
        for _ in range(70):
            words = [draw.choice(WORDS) for _ in range(draw.randint(1, 4))]
            prediction, gold = "".join(words), variant(words)
            score = metrics.exact_match_hf_evaluate([prediction], [gold], **flags)["exact_match"]
            yield [flags, prediction, gold, int(score)]


# --- log-likelihoods

def likelihoods():
    from lm_eval.api.task import ConfigurableTask

    class Made(ConfigurableTask):
        def __init__(self, choices, gold):
            # The harness cannot compare mutual information with several right choices.
            names = ["acc", "acc_norm", "acc_bytes"] + ["acc_mutual_info"] * isinstance(gold, int)
            self._metric_fn_list = dict.fromkeys(names)
            self.OUTPUT_TYPE, self.multiple_input, self.multiple_target = "multiple_choice", 0, len(gold) if isinstance(gold, list) else 0
            self.choices, self.gold = choices, gold
            self._config = type("Config", (), {"process_results": None})()

        def doc_to_choice(self, doc):
            return self.choices

        def doc_to_target(self, doc):
            return self.gold

    for _ in range(80):
        choices = [draw.choice(["Paris", "é", "日本", "a", "the Louvre", "x y z", "Straße", "—"]) for _ in range(draw.randint(2, 5))]
        gold = draw.choice([draw.randrange(len(choices)), sorted({draw.randrange(len(choices)) for _ in range(2)})])
        lls = [draw.choice([-1.0, -2.5, round(-draw.random() * 20, 3), -0.5 * len(c)]) for c in choices]
        free = [draw.choice([-1.0, round(-draw.random() * 20, 3)]) for _ in choices]
        results = lls + free if isinstance(gold, int) else lls
        made = Made(choices, gold).process_results({}, [(ll, False) for ll in results])
        yield ["choices", choices, lls, free, gold if isinstance(gold, list) else [gold], made]
    texts = [text(PIECES, 12) for _ in range(12)] + ["one two  three\n", " a"]
    lls = [round(-draw.random() * 50, 3) for _ in texts]
    words, sizes = [ConfigurableTask.count_words(t) for t in texts], [ConfigurableTask.count_bytes(t) for t in texts]
    yield [
        "texts", texts, lls, words, sizes, metrics.perplexity(lls), metrics.weighted_perplexity(list(zip(lls, words))),
        metrics.weighted_perplexity(list(zip(lls, sizes))), metrics.bits_per_byte(list(zip(lls, sizes))),
    ]


folder = Path(sys.argv[1])
for name, rows in [("patterns", patterns()), ("filters", filters()), ("metrics", exact()), ("likelihoods", likelihoods())]:
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=float) for row in rows]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(name, len(lines))
