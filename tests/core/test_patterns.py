# SPDX-License-Identifier: Apache-2.0

"""Patterns: what is accepted, and sqlite's engine for them."""

from __future__ import annotations

import random
import re
import time

import pytest

from nova_sqlcore.core import patterns

BAD = [
    "[",
    "*",
    "(?P<x>a)",
    "x{1,100000}",
    "(a+)+$",
    "(a|b*)+",
    "a**",
    "a++",
    "a{2",
    "a{3,2}",
    r"\1",
    "(?=a)",
    "(?i)a",
    "(",
]
BAD += [
    "a)",
    "[z-a]",
    "[[:alpha:]]",
    r"\b",
    "\\",
    "a|*",
    "^*",
    "[]",
    "(a{255}){255}",
    "a\0",
    "***:a",
    r"[\D]",
    r"[a-\w]",
]
BAD += ["x" * 1001, "(" * 60 + ")" * 60, ".*" * 5, "a{0,99}" * 5, "a{255}" * 8]
PARTS = ("a", "b", ".", "[ab]", "[^a]", "^", "$", "a*", "b+", "a?", "a{2}", "a{1,2}", "b{2,}", "a*?")


@pytest.mark.parametrize("pattern", BAD)
def test_what_is_not_accepted(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        patterns.parse(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", "^"),
        ("a-b", r"a\-b"),
        ("[]a-]", r"[\]a\-]"),
        ("(?:a)", "(a)"),
        (r"\d+?", r"\d+?"),
        ("ⓦ_ 1", "ⓦ_ 1"),
        ("}", r"\}"),
    ],
)
def test_the_text_for_servers(pattern: str, text: str) -> None:
    assert patterns.parse(pattern).text == text
    assert patterns.parse(text).text == text


def _random_pattern(chance: random.Random, depth: int = 0) -> str:
    draw = chance.random()
    if depth > 3 or draw < 0.4:
        return chance.choice(PARTS)
    first = _random_pattern(chance, depth + 1)
    if draw < 0.7:
        return first + _random_pattern(chance, depth + 1)
    if draw < 0.85:
        return f"({first}){chance.choice(['', '?', '*', '{2}'])}"
    return f"({first}|{_random_pattern(chance, depth + 1)})"


def test_the_engine_agrees_with_pythons() -> None:
    chance = random.Random(8)
    compared = 0
    while compared < 10_000:
        pattern = _random_pattern(chance)
        try:
            text = patterns.parse(pattern).text.replace("$", r"\Z")
        except ValueError:
            continue
        for word in ("", "a", "b", "ab", "aab", "bba", "abab", "aaabbb"):
            assert patterns.matcher(pattern)(word) == bool(re.search(text, word)), (pattern, word)
            compared += 1


def test_time_grows_as_the_text_does() -> None:
    begin = time.process_time()
    assert not patterns.matcher(".*a.*a.*a.*b$")("a" * 100_000)
    assert not patterns.matcher("a{0,200}a{200}b")("a" * 20_000)
    assert time.process_time() - begin < 5
