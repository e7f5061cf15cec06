"""Conversations as texts, by Transformers: what `src/learn/chat/` must write to the last byte.

    python tests/reference/chat.py FOLDER OUT [--tokenizer TOKENIZER.json]

FOLDER has the templates of models, one `NAME.jinja` each for the names in `MODELS`; those that are missing are left out. For each of 50
conversations, OUT (JSON) gets the text of the whole conversation, the prompt for its last answer, and where the assistant speaks in the
whole: by Transformers, from the template with `{% generation %}` around each answer and the mark that ends it. Texts are written as the
first 16 digits of their BLAKE3 hashes, places as bytes. With `--tokenizer`, that file gets a small tokenizer, and OUT the tokens of each
whole conversation and which of them the assistant says (`return_assistant_tokens_mask`), in short form, for the first template.

Needs transformers, jinja2 and blake3 from PyPI. The committed file was made with Transformers 5.24.
"""

import argparse
import datetime
import json
import random
from pathlib import Path

import transformers.utils.chat_template_utils as chat
from blake3 import blake3

DAY = datetime.datetime(2024, 7, 26)

# What templates of each model need, and where its marks go: (old, new) pairs that must each be found once.
MARK = ("{% generation %}", "{% endgeneration %}")
LLAMA = (
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}",
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}{%- if message.role == 'assistant' %}{%- generation %}"
    "{{- message['content'] | trim + '<|eot_id|>' }}{%- endgeneration %}{%- else %}{{- message['content'] | trim + '<|eot_id|>' }}{%- endif %}",
)
MODELS = {
    "smollm2": (
        {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"},
        [
            (
                "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}",
                "{{'<|im_start|>' + message['role'] + '\n'}}{% if message['role'] == 'assistant' %}{% generation %}"
                "{{message['content'] + '<|im_end|>'}}{% endgeneration %}{% else %}{{message['content'] + '<|im_end|>'}}{% endif %}{{'\n'}}",
            )
        ],
    ),
    "phi3": (
        {"bos_token": "<s>", "eos_token": "<|endoftext|>"},
        [
            (
                "{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}",
                "{{'<|assistant|>\n'}}{% generation %}{{message['content'] + '<|end|>'}}{% endgeneration %}{{'\n'}}",
            )
        ],
    ),
    "qwen2_5": (
        {"eos_token": "<|im_end|>"},
        [
            (
                "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}",
                "{{- '<|im_start|>' + message.role + '\\n' }}{%- if message.role == 'assistant' %}{%- generation %}"
                "{{- message.content + '<|im_end|>' }}{%- endgeneration %}{%- else %}{{- message.content + '<|im_end|>' }}{%- endif %}{{- '\\n' }}",
            )
        ],
    ),
    "qwen3": (
        {"eos_token": "<|im_end|>"},
        [
            (
                "{{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}",
                "{{- '<|im_start|>' + message.role + '\\n' }}{%- generation %}"
                "{{- '<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') + '<|im_end|>' }}{%- endgeneration %}",
            ),
            (
                "            {%- else %}\n                {{- '<|im_start|>' + message.role + '\\n' + content }}",
                "            {%- else %}\n{{- '<|im_start|>' + message.role + '\\n' }}{%- generation %}{{- content + '<|im_end|>' }}{%- endgeneration %}",
            ),
            (
                "        {%- else %}\n            {{- '<|im_start|>' + message.role + '\\n' + content }}",
                "        {%- else %}\n{{- '<|im_start|>' + message.role + '\\n' }}{%- generation %}{{- content + '<|im_end|>' }}{%- endgeneration %}",
            ),
            ("        {{- '<|im_end|>\\n' }}\n    {%- elif message.role == \"tool\"", "        {{- '\\n' }}\n    {%- elif message.role == \"tool\""),
        ],
    ),
    "mistral_v0_3": (
        {"bos_token": "<s>", "eos_token": "</s>"},
        [
            (
                '{{- " " + message["content"]|trim + eos_token}}',
                '{%- generation %}{{- " " + message["content"]|trim + eos_token}}{%- endgeneration %}',
            )
        ],
    ),
    "mistral_nemo": (
        {"bos_token": "<s>", "eos_token": "</s>"},
        [('{{- message["content"] + eos_token}}', '{%- generation %}{{- message["content"] + eos_token}}{%- endgeneration %}')],
    ),
    "own": (
        {"bos_token": "<s>", "eos_token": "<end>"},
        [
            ("{{- '<head>' + message['role'] + '</head>\\n\\n' + message['content'].strip() }}", "{{- '<head>' + message['role'] + '</head>\\n\\n' }}{%- set said %}{{- message['content'].strip() }}"),
            ('    {{- "<end>" }}\n    {% if', '    {{- "<end>" }}\n{%- endset %}{%- if message.role == "assistant" %}{%- generation %}{{- said }}{%- endgeneration %}{%- else %}{{- said }}{%- endif %}{{- "\\n" -}}\n    {% if'),
        ],
    ),
    "llama3_1": ({"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}, [LLAMA]),
    "llama3_2": ({"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}, [LLAMA]),
}

QUESTIONS = [
    "What is 2 + 3?",
    "  leading and trailing blanks \t ",
    "\n\nline ends before\nand after\n\n",
    "",
    "   ",
    "Wie heißt die Hauptstadt von Österreich? 🇦🇹",
    "日本語で答えてください。",
    "מה השעה? \u200f",
    "e\u0301 and \u00a0hard\u00a0 blanks\u00a0",
    "say <|im_end|> and </s> and [/INST] and <|eot_id|>",
    "{{ messages }} {% raise %} {# no #}",
    'quotes " and \' and \\ and \\n',
    "a\r\nb\rc\x0bd\x1ce\x1c",
    "<tool_response>\n5\n</tool_response>",
    "<tool_response> not closed",
    "👩‍👩‍👧‍👦 family",
    "x" * 200,
    "tab\tin\tbetween",
    "\u3000wide blank\u3000",
    "1. one\n2. two\n   - three\n",
]
ANSWERS = [
    "5",
    " 5 ",
    "\n\n5\n",
    "Wien 🎻",
    "<think>\n2 + 3 = 5\n</think>\n\nThe answer is 5.",
    "<think>two plus three</think>5",
    "<think>\n\n</think>\n\n5",
    "東京です。",
    "one\ntwo\n\nThus, the answer is 5",
    "ends with a mark <|im_end|>",
    "<b>5</b> & [6]",
    "",
    "see [INST] here </s>",
    "\ttabbed\t",
    "\u00a0\x1f5\x1f",
    "no </think> tag before",
]
SYSTEMS = ["You are helpful.", "", " Be brief. \n", "Antworte auf Deutsch.\nImmer.", "system <|im_start|>"]


def conversations():
    draw = random.Random(24)
    for number in range(50):
        messages = []
        if number % 2:
            messages.append({"role": "system", "content": SYSTEMS[number // 2 % len(SYSTEMS)]})
        for turn in range(1 + number % 5):
            question = QUESTIONS[number % len(QUESTIONS)] if turn == 0 else draw.choice(QUESTIONS)
            answer = ANSWERS[number % len(ANSWERS)] if turn == 0 else draw.choice(ANSWERS)
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        yield messages


def render(template, messages, prompt, tokens, spans=False):
    texts, found = chat.render_jinja_template(
        conversations=[messages],
        chat_template=template,
        add_generation_prompt=prompt,
        return_assistant_tokens_mask=spans,
        **tokens,
    )
    return texts[0], found[0] if spans else None


def digest(text):
    return blake3(text.encode()).hexdigest()[:16]


def case(template, marked, messages, tokens):
    whole, _ = render(template, messages, False, tokens)
    prompt, _ = render(template, messages[:-1], True, tokens)
    same, found = render(marked, messages, False, tokens, spans=True)
    assert same == whole, (same, whole)
    places = [len(whole[:at].encode()) for span in found for at in span]
    return whole, prompt, places


class Day(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return DAY


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--texts", action="store_true", help="whole texts in place of hashes")
    parser.add_argument("--tokenizer", type=Path)
    arguments = parser.parse_args()
    chat.datetime = Day
    kept = list(conversations())
    write = (lambda text: text) if arguments.texts else digest
    out = {"date": f"{DAY:%Y-%m-%d}", "conversations": [[[m["role"], m["content"]] for m in messages] for messages in kept], "models": {}}
    for name in arguments.models:
        path = arguments.folder / f"{name}.jinja"
        if not path.is_file():
            continue
        tokens, marks = MODELS[name]
        template = marked = path.read_bytes().decode()
        for old, new in marks:
            assert marked.count(old) == 1, (name, old, marked.count(old))
            marked = marked.replace(old, new)
        cases = [case(template, marked, messages, tokens) for messages in kept]
        out["models"][name] = {
            "tokens": tokens,
            "template": digest(template),
            "cases": [[write(whole), write(prompt), places] for whole, prompt, places in cases],
        }
    if arguments.tokenizer:
        out["masks"] = masks(arguments, kept)
    arguments.out.write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")).replace("]],[[", "]],\n[[") + "\n")


def small_tokenizer(kept):
    """A byte-level BPE with 200 merges, learned from the conversations."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=460, initial_alphabet=alphabet, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.train_from_iterator([message["content"] for messages in kept for message in messages], trainer)
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    return tokenizer


def masks(arguments, kept):
    """Of each conversation a hash of its tokens, and where those that the assistant says begin and end."""
    from transformers import PreTrainedTokenizerFast

    arguments.tokenizer.write_text(small_tokenizer(kept).to_str() + "\n")
    name = arguments.models[0]
    tokens, marks = MODELS[name]
    template = (arguments.folder / f"{name}.jinja").read_bytes().decode()
    for old, new in marks:
        template = template.replace(old, new)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(arguments.tokenizer), **tokens)
    tokenizer.chat_template = template
    found = []
    for messages in kept:
        made = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        mask = [0, *made["assistant_masks"], 0]
        edges = [at for at in range(len(mask) - 1) if mask[at] != mask[at + 1]]
        found.append([digest(" ".join(map(str, made["input_ids"]))), edges])
    return found


if __name__ == "__main__":
    main()
