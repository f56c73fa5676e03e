"""Files that are made to hurt: they cost little, are told, and leave the other jobs."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.jobs.yaml_file import read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(f'*{chr(ord(name) - 1)}' for _ in range(9))}]\n" for name in "bcdefghij"
)
HOSTILE = {
    "deep brackets": b"[" * 500_000,
    "deep braces": b"{a: " * 200_000,
    "deep dashes": b"- " * 300_000,
    "deep questions": b"? " * 300_000,
    "deep indentation": "".join(f"{' ' * n}a:\n" for n in range(1200)).encode(),
    "101 levels": b"[" * 101 + b"]" * 101,
    "an alias bomb": BOMB.encode(),
    "an alias of itself": b"a: &a [*a]\n",
    "a merge of itself": b"a: &a\n  <<: *a\n",
    "deep by aliases": b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (n, n, n - 1) for n in range(1, 150)),
    "too large": b"# " + b"x" * (1 << 20),
    "large by merges": b"a: &a {x: 1}\nb: {<<: 5}\n",
    "UTF-16": "program: x\n".encode("utf-16"),
    "a huge int": b"a: " + b"9" * 100_000,
    "a huge sexagesimal": b"a: 1" + b":59" * 50_000,
    "no anchor": b"a: *nowhere\n",
    "a control character": b"a: \x07\n",
    "many keys that are the same": b"a: 1\n" * 20_000,
    "python": b"!!python/object/new:os.system ['true']",
    "binary": b"a: !!binary aGVsbG8=\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_soon_with_a_place(name):
    start = time.monotonic()
    document = read_yaml(HOSTILE[name])
    assert time.monotonic() - start < 10
    assert document.flaws
    assert all(flaw.line >= 1 and flaw.column >= 1 and flaw.message for flaw in document.flaws)


def test_a_hundred_levels_are_read():
    assert read_yaml(b"[" * 100 + b"]" * 100).flaws == []


def test_aliases_and_merges_that_are_harmless_are_read():
    text = b"base: &base {a: 1, b: 2}\nx: {<<: *base, b: 3}\ny: [*base, *base]\nz: {<<: [{a: 5}, *base]}\n"
    document = read_yaml(text)
    assert document.flaws == []
    assert document.value["x"] == {"a": 1, "b": 3}
    assert document.value["y"] == [{"a": 1, "b": 2}] * 2
    assert document.value["z"] == {"a": 5, "b": 2}


def test_keys_and_dates_are_the_text_that_stands_there():
    document = read_yaml(b"on: 2026-06-30\nno: yes\n1: 0x10\n'2': 2026-06-30 10:00:00\nnull: ~\n")
    assert document.value == {"on": "2026-06-30", "no": True, "1": 16, "2": "2026-06-30 10:00:00", "null": None}


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-?[]{}&*!|>'\"#%@`, \n\t<~019.é\u2028\ufeff", max_size=60))
def test_any_text_is_read_or_has_a_flaw(text):
    document = read_yaml(text.encode())
    assert document.flaws or document.root is not None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_have_a_flaw(data):
    document = read_yaml(data)
    assert document.flaws or document.root is not None


def test_any_damage_to_a_job_file_is_told_or_harmless(jobs_dir):
    text = "params: [date]\nschedule:\n- {type: daily, tz: UTC, daytime: '10:30'}\nprogram: echo {{ date }}\n"
    rng = random.Random(1)
    for _ in range(150):
        at = rng.randrange(len(text))
        damaged = text[:at] + rng.choice("[]{}:-\"'#&*!%\t\n x") + text[at + rng.randrange(3) :]
        loaded = jobs_dir({"a.yaml": damaged, "b.yaml": text})
        assert "b" in loaded.jobs
        assert "a" in loaded.jobs or any(each.file == "a.yaml" and each.line for each in loaded.errors)
