"""The JSON Schema that editors are given: valid, complete, described, and of one mind with the parser."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from apsis.checking.schema import job_schema, schema_text
from apsis.definitions.recording import recording
from apsis.definitions.shapes import shape_of
from apsis.jobs.parse import read_job
from apsis.jobs.yaml_file import read_yaml

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = job_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
EXAMPLES = [
    path
    for folder in ("docs/jobs", "apsis/demo")
    for path in sorted((ROOT / folder).rglob("*.yaml"))
    if path.name != "_defaults.yaml"
]
COMPAT = sorted((ROOT / "tests" / "compat" / "jobs").rglob("*.yaml"))


def test_it_is_a_valid_schema_of_2020_12_and_says_so():
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(schema_text()) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_each_reference_leads_to_a_definition():
    from urllib.parse import unquote

    for reference in set(references(SCHEMA)):
        assert unquote(reference.removeprefix("#/$defs/")) in SCHEMA["$defs"], reference


def undescribed(value, path="", inside=False):
    if isinstance(value, dict):
        for key, each in value.get("properties", {}).items() if inside or "properties" in value else ():
            if isinstance(each, dict) and not each.get("description") and each != {"$ref": f"#/$defs/{key}"}:
                yield f"{path}.{key}"
        for key, each in value.items():
            if key not in ("if", "not"):
                yield from undescribed(each, f"{path}.{key}", key == "properties")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from undescribed(each, f"{path}[{index}]")


def test_every_key_has_a_description():
    assert list(undescribed(SCHEMA)) == []


def test_every_form_that_a_reader_uses_has_a_shape():
    """A key whose form is not known would be open to anything in the schema: its line belongs in `known_shapes`."""
    unknown = set()
    from apsis.checking.schema import _OPENED, _TYPES

    for section, kinds in _TYPES.items():
        for kind in kinds:
            for more in _OPENED.get(section, [{}]):
                with recording() as asked:
                    read_job("a", {section: {"type": kind, **more}})
                unknown |= {
                    f"{each.form.__module__}:{each.form.__qualname__}"
                    for each in asked
                    if each.form is not None and shape_of(each.form) is None and each.key != "program"
                }
    assert unknown == set()


def complaints(path):
    document = read_yaml(path.read_bytes())
    return [f"{error.json_path}: {error.message}"[:300] for error in VALIDATOR.iter_errors(document.value)]


@pytest.mark.parametrize("path", EXAMPLES + COMPAT, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_accepts_each_example_and_each_file_of_the_existing_format(path):
    found = complaints(path)
    if "_defaults" in "".join(each.name for each in path.parent.iterdir()):
        found = [each for each in found if "'program' is a required property" not in each]
    assert found == []


#: values for the top-level keys: right ones, wrong ones, and such as only a reader of the text could tell
VALUES = {
    "program": ["true", "", 5, [], ["ls"], ["ls", 5], [["x"]], {"type": "no-op"}, {"type": "shell"}, {}, True, None,
                {"type": "shell", "command": "x"}, {"type": "shell", "command": 5}, {"type": "nope"},
                {"type": "program", "argv": "x"}, {"type": "program", "argv": ["x"], "colour": 1},
                {"type": "no-op", "success": None}, {"type": "no-op", "success": "yes"},
                {"type": "program", "argv": ["x"], "timeout": {"duration": "1h"}},
                {"type": "program", "argv": ["x"], "timeout": 5},
                {"type": "shell", "command": "x", "stdin": {"file": "/x"}}],
    "params": ["a", ["a"], ["a", "b"], [], {"a": None}, {"a": {"default": 1}}, {"a": {"colour": 1}}, 5, [5], "a b",
               None, {"a": "a note"}],
    "schedule": [None, {"type": "interval", "interval": 5}, {"type": "interval"}, [], 5, {"type": "weekly"},
                 {"type": "daily", "tz": "UTC", "daytime": "9:00"}, {"type": "daily", "tz": "UTC", "daytime": []},
                 [{"type": "interval", "interval": "1h"}], {"interval": 5}, "daily",
                 {"start": {"type": "interval", "interval": 60}, "stop": {"type": "duration", "duration": "1h"}},
                 {"start": {"type": "interval", "interval": 60}, "stop": {"type": "duration"}},
                 {"type": "interval", "interval": 5, "dst": "Skip"}, {"type": "interval", "interval": 5, "dst": "no"}],
    "condition": [None, [], {"type": "max_running"}, {"type": "max_running", "count": 2}, {"type": "dependency"},
                  {"type": "dependency", "job_id": "b", "states": ["success"]}, {"type": "dependency", "job_id": []},
                  [{"type": "const", "value": True}], [5], {"type": "max_running", "max_time": "1h"}],
    "action": [None, [], {"type": "schedule", "job_id": "b"}, {"type": "schedule"}, 5,
               {"type": "schedule", "job_id": "b", "if": {"states": "failure"}},
               {"type": "schedule", "job_id": "b", "if": {"states": "running"}}],
    "successors": ["b", ["b"], [{"job_id": "b"}], {"job_id": "b", "args": {"x": 1}}, 5, [5], {}, None],
    "metadata": [None, {}, {"labels": "x"}, {"labels": ["x"]}, {"mine": [1]}, [], "x", {"description": [1]}],
    "ad_hoc": [True, False, "yes", None, 1],
    "job_id": ["a", None, []],
    "retry": [None, {"count": 1}, {}, {"count": -1}, {"count": 1, "on": "failure"}, {"count": 1, "backoff": 0.5}, 5],
    "resources": [None, {"db": 1}, {"db": -1}, {"db": "x"}, []],
    "priority": [0, -5, "high", None, 1.5, True],
    "timeout": [None, {"duration": 5}, {"duration": "1h", "signal": "INT"}, {}, 5],
    "late_after": [None, 5, "1h30m", "soon", [], -1],
    "expect": [None, {}, {"min": 1, "max": "1h"}, {"avg": 1}, 5],
    "output": [None, {}, {"streams": "split"}, {"streams": "none"}, {"keep": {"days": 5}}, {"keep": 5}],
    "prams": ["x"],
}  # fmt: skip
DOCUMENTS = st.fixed_dictionaries(
    {"program": st.sampled_from(VALUES["program"])},
    optional={
        f"{key}{plural}": st.sampled_from(VALUES[key])
        for key in VALUES
        if key != "program"
        for plural in (("", "s") if key in ("schedule", "condition", "action") else ("",))
    },
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(DOCUMENTS, DOCUMENTS.map(lambda value: {**value, "program": "true"})))
def test_what_it_accepts_and_refuses_is_what_the_parser_accepts_and_refuses(document):
    _, findings = read_job("a", document)
    refused = [str(finding) for finding in findings if finding.severity == "error"]
    complaints = [f"{error.json_path}: {error.message}"[:200] for error in VALIDATOR.iter_errors(document)]
    assert bool(refused) == bool(complaints), (document, refused, complaints)


@pytest.mark.parametrize(("key", "index"), [(key, index) for key in VALUES for index in range(len(VALUES[key]))])
def test_each_value_of_a_key_is_judged_as_the_parser_judges_it(key, index):
    document = {"program": "true", key: VALUES[key][index]}
    _, findings = read_job("a", document)
    refused = [str(finding) for finding in findings if finding.severity == "error"]
    complaints = [f"{error.json_path}: {error.message}"[:200] for error in VALIDATOR.iter_errors(document)]
    assert bool(refused) == bool(complaints), (document, refused, complaints)


def test_editors_that_read_yaml_1_2_are_not_told_that_a_time_of_day_is_wrong():
    for daytime in ("10:30:00", "10:30", 37800):
        jsonschema.validate(
            {"program": "true", "schedule": {"type": "daily", "tz": "UTC", "daytime": daytime}},
            SCHEMA,
            cls=Draft202012Validator,
        )
