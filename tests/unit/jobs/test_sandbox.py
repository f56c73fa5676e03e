"""The sandbox: a template may do what a job needs, and can neither run without end nor fill the memory."""

import time

import pytest

from apsis.errors import ApsisError
from apsis.jobs import expand, parse_job
from apsis.jobs.job import JobError


def expanded(text):
    return expand(parse_job("j", {"program": {"type": "shell", "command": f"echo {text}"}}), "r1", {}, None)


ENDLESS = {
    "a long range": "{% for i in range(99999) %}{% endfor %}",
    "loops in loops": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "doubling text": "{% set x = 'xx' %}" + "{% set x = x ~ x %}" * 60 + "{{ x }}",
    "doubling lists": "{% set x = ['xx'] %}" + "{% set x = [x, x] %}" * 60 + "{{ x }}",
    "squaring": "{% set x = 99 %}" + "{% set x = x * x %}" * 60 + "{{ x }}",
    "a product": "{{ 'x' * 10 ** 9 }}",
    "a product in a test": "{{ 1 if 'y' * 1000000000 }}",
    "a filter": "{{ 'x' | center(1000000000) }}",
    "a filter in a test": "{% if 'x' | center(1000000000) %}{% endif %}",
    "a filter for each": "{{ range(9999) | map('center', 9999999) | join }}",
    "a method": "{{ 'x'.center(1000000000) }}",
    "a method of a number": "{{ (5).to_bytes(1000000000, 'big') }}",
    "a format": "{{ '%1000000000d' % 1 }}",
    "a format by a filter": "{{ '%1000000000d' | format(1) }}",
    "a format by a method": "{{ '{:1000000000}'.format(1) }}",
    "a format by an arg": "{{ '{:{w}}'.format(1, w='1000000000') }}",
    "a batch": "{{ ['a'] | batch(1000000000, 'x') | list }}",
    "text in a loop": "{% for i in range(9999) %}" + "y" * 10_000 + "{% endfor %}",
    "text in a loop, kept": "{% set x %}{% for i in range(9999) %}{{ 'y' * 9999 }}{% endfor %}{% endset %}",
    "a search": "{% set a = 'a' * 999999 %}{% for i in range(999) %}{% if 'ab' in a %}{% endif %}{% endfor %}",
    "a far date": "{{ get_calendar('Mon-Fri').shift('2026-01-01', 100000000) }}",
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=list(ENDLESS))
def test_what_would_never_end_is_refused_soon(text):
    began = time.thread_time()
    with pytest.raises(ApsisError, match="template: "):
        expanded(text)
    assert time.thread_time() - began < 1.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "macros cannot be used in a job (line 1"),
        (
            "\n{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
            "recursive loops cannot be used in a job (line 2",
        ),
        ("{% include 'x' %}", "{% include %} cannot"),
        ("{% block x %}{% endblock %}", "blocks cannot"),
        ("{% for a in [1] %}" * 4 + "{% endfor %}" * 4, "nested more than 3 deep"),
        ("{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "nested too deep"),
    ],
)
def test_what_may_repeat_itself_is_refused_when_the_job_is_loaded(text, words):
    with pytest.raises(JobError) as caught:
        expanded(text)
    assert words in caught.value.findings[0].message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% for i in range(3) %}{{ loop.index }}{% if not loop.last %},{% endif %}{% endfor %}", "1,2,3"),
        ("{% for i in [1, 2, 3] if i > 1 %}{{ i }}{% else %}none{% endfor %}", "23"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{% for a in 'ab' %}{% for b in 'cd' %}{{ a }}{{ b }} {% endfor %}{% endfor %}.", "ac ad bc bd ."),
        ("{% set ns = namespace(a=1) %}{% set ns.a = 5 %}{{ ns.a }}", "5"),
        ("{% filter upper %}abc{% endfilter %}{% set x | upper %}q{% endset %}{{ x }}", "ABCQ"),
        ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}", "3"),
        ("{{ '{:02d}'.format(3) }} {{ '%03d' % 5 }} {{ 2 ** 10 }} {{ 'ab' * 2 }}", "03 005 1024 abab"),
        ("{{ [3, 1, 2] | sort | join(',') }} {{ 'a,b'.split(',')[1] }} {{ 'abc'[1:] }}", "1,2,3 b bc"),
        ("{{ x | default('y') }} {{ {'a': 1}['b'] | default('z') }} {{ d is defined }}", "y z False"),
        ("{{ [{'a': 2}] | map(attribute='a') | list }} {{ {'a': 1} | tojson }}", '[2] {"a": 1}'),
    ],
)
def test_what_a_job_needs_works(text, expected):
    assert expanded(text).program.command == f"echo {expected}"
