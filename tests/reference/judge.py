#!/usr/bin/env python3
"""Judges answers and steps, written apart from the judges in src/kinds/task/ and in other ways: big integers, complex numbers, sympy.

Reads JSON Lines of {"task", "prompt", "gold", "answer", "steps"} and writes one {"right", "follows"} for each.

    pip install sympy
    cargo test --test it reference:: -- --ignored
"""

import ast
import json
import re
import sys

from sympy import QQ
from sympy.polys.fields import field

# --- addition

STEP = re.compile(
    r"(0|[1-9][0-9]*)\. (?P<a>0|[1-9][0-9]*) \+ (?P<b>0|[1-9][0-9]*) \(plus carry (?P<carry>0|[1-9][0-9]*)\) = (?P<sum>0|[1-9][0-9]*)"
    r" \(write down (?P<written>[0-9]+), (?:no carry over|carry over (?P<over>[1-9][0-9]*))\)\."
)
LAST = re.compile(r"(0|[1-9][0-9]*)\. Carry the final carry over (?P<carry>0|[1-9][0-9]*) to the next place\.")


def addition(prompt, steps):
    a, b = map(int, prompt.removeprefix("Question: ").split(" + "))
    positions = len(str(max(a, b)))
    done, carry = 0, 0
    for step in steps:
        if last := LAST.fullmatch(step):
            yield done == positions and 0 < carry == int(last["carry"])
            done, carry = positions + 1, 0
        elif read := STEP.fullmatch(step):
            written, over = read["written"], int(read["over"] or 0)
            base, unit = 10 ** len(written), 10**done
            end = done + len(written)
            total = a // unit % base + b // unit % base + carry
            yield (
                int(read["a"]) == a // unit % base
                and int(read["b"]) == b // unit % base
                and int(read["carry"]) == carry
                and int(read["sum"]) == total == over * base + int(written)
                and (end <= positions or (end == positions + 1 and written[0] != "0"))
            )
            done, carry = end, over
        else:
            yield False


# --- direction: north is 1j, a right turn is -1j

FACINGS = {"North": 1j, "East": 1, "South": -1j, "West": -1}
TURNS = {"Left": 1j, "Right": -1j, "Around": -1}


def direction(prompt, steps):
    question = re.fullmatch(r"Assuming an initial orientation facing (\w+), .*: (.*)", prompt)
    facing, actions = FACINGS[question[1]], question[2].split(", ")
    for step in steps:
        name, dot, rest = step.partition(".")
        new = FACINGS.get(name.strip())
        left = [action.strip() for action in rest.split(",")] if rest.strip() else []
        if not dot or new is None or any(action not in TURNS for action in left):
            yield False
            continue
        turned = facing
        gone = len(actions) - len(left)
        for action in actions[: max(gone, 0)]:
            turned *= TURNS[action]
        yield gone > 0 and actions[gone:] == left and turned == new
        facing, actions = new, left


# --- algebra: exact arithmetic with rational functions

SYMBOLS = dict(zip("❤♋♙♏⚛☺⛭♨☘✊☕✈▣⊤✄", "xABCDFGHIJKLMPR")) | dict(zip("✰❀✾♪❲❳◯", "+-*/()0"))
FIELD, *GENERATORS = field("x,A,B,C,D,F,G,H,I,J,K,L,M,P,R", QQ)
NAMES = dict(zip("xABCDFGHIJKLMPR", GENERATORS))


def value(node):
    match node:
        case ast.Expression(body=body):
            return value(body)
        case ast.Name(id=name):
            return NAMES[name]
        case ast.Constant(value=0):
            return FIELD.zero
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            left, right = value(left), value(right)
            match op:
                case ast.Add():
                    return left + right
                case ast.Sub():
                    return left - right
                case ast.Mult():
                    return left * right
                case ast.Div():
                    return left / right
    raise SyntaxError(f"no expression: {ast.dump(node)}")


def equation(text):
    """Both sides as trees, or None."""
    sides = text.split("↔")
    if len(sides) != 2 or any(c not in SYMBOLS and not c.isspace() for side in sides for c in side):
        return None
    try:
        trees = [ast.parse(" ".join(SYMBOLS.get(c, "") for c in side).strip(), mode="eval") for side in sides]
        for tree in trees:
            shape(tree.body)
        return trees
    except SyntaxError:
        return None


def shape(node):
    """Refuses what Python reads and is no expression of ours: calls, tuples."""
    match node:
        case ast.Name() | ast.Constant():
            pass
        case ast.UnaryOp(operand=operand):
            shape(operand)
        case ast.BinOp(left=left, right=right):
            shape(left)
            shape(right)
        case _:
            raise SyntaxError("no expression")


def unknowns(tree):
    return sum(isinstance(node, ast.Name) and node.id == "x" for node in ast.walk(tree))


def solution(text):
    """❤ as a rational function of the letters, or None."""
    sides = equation(text)
    if sides is None or sum(map(unknowns, sides)) != 1:
        return None
    try:
        numerator = (value(sides[0]) - value(sides[1])).numer
    except ZeroDivisionError:
        return None
    x = GENERATORS[0].numer
    slope = numerator.diff(x)
    if not slope:
        return None
    return FIELD(slope * x - numerator) / FIELD(slope)


def isolated(text):
    sides = equation(text)
    if sides is None or text.split("↔")[0].strip() != "❤" or unknowns(sides[1]):
        return None
    try:
        return value(sides[1])
    except ZeroDivisionError:
        return None


def algebra(prompt, steps):
    before = solution(prompt.splitlines()[-1].removeprefix("Question: "))
    for step in steps:
        new = solution(step)
        yield new is not None and before == new
        before = before if new is None else new


FOLLOWS = {"addition": addition, "algebra": algebra, "direction": direction}


def right(case):
    gold, answer = case["gold"], case["answer"]
    if case["task"] == "algebra":
        known, given = isolated(gold), isolated(answer)
        return known is not None and given is not None and known == given
    return str(gold) == answer


for line in sys.stdin:
    case = json.loads(line)
    follows = list(FOLLOWS[case["task"]](case["prompt"], case["steps"]))
    print(json.dumps({"right": right(case), "follows": follows}))
