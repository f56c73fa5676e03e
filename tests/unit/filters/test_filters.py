"""The filter grammar: what terms mean, what SQL says of the same, and what is said of a mistake."""

import sqlite3
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.filters import Filter, FilterError, parse, parse_jobs
from apsis.filters.facts import JobFacts, StoredRun
from apsis.runs.run import Run
from apsis.runs.states import FINISHED, State
from apsis.times import format_time, parse_time, to_micros

NOW = datetime(2026, 6, 30, 14, 32, 7, tzinfo=UTC)


def run(**fields: object) -> Run:
    values = {"run_id": "r12", "job_id": "etl/load", "args": {}, "state": State.SCHEDULED, **fields}
    return msgspec.convert(values, Run)


def due(at: str, state: str = "scheduled") -> dict[str, object]:
    return {"state": state, "schedule_time": f"2026-{at}Z"}


def found(text: str, one: Run) -> bool:
    return parse(text).matches(one, NOW)


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("LOAD", {}, {"job_id": "report"}),
        ("eu", {"args": {"region": "EU-west"}}, {"args": {"eu": "x"}}),
        ('"two words"', {"args": {"a": "say Two Words"}}, {"args": {"a": "two", "b": "words"}}),
        ("etl load", {}, {"job_id": "etl/check"}),
        ("!load", {"job_id": "x"}, {}),
        ("-load", {"job_id": "x"}, {}),
        ('"-x"', {"job_id": "a-x"}, {"job_id": "ax"}),
        ("job:etl/", {}, {"job_id": "etl"}),
        ("job:etl/", {"job_id": "etl/a/b"}, {"job_id": "etl0"}),
        ("job:etl/load", {}, {"job_id": "etl/load2"}),
        ("job:*load*", {"job_id": "x/reload/y"}, {"job_id": "x"}),
        ("job:etl/,report", {"job_id": "report"}, {"job_id": "reports"}),
        ('job:"a*b"', {"job_id": "a*b"}, {"job_id": "axb"}),
        ("job:a?[b*", {"job_id": "a?[bc"}, {"job_id": "axbc"}),
        ("state:running,fail", {"state": "failure"}, {"state": "success"}),
        ("state:run", {"state": "running"}, {"state": "starting"}),
        ("is:active", {"state": "stopping"}, {"state": "scheduled"}),
        ("is:finished", {"state": "skipped"}, {"state": "running"}),
        ("is:bad,rerun", {"state": "error"}, {"state": "success"}),
        ("is:bad,rerun", {"rerun_of": "r1"}, {}),
        ("is:adhoc", {"job_id": "ad hoc/12ab"}, {}),
        ("is:late", {"late_by": 61.0}, {"late_by": 60.0}),
        ("is:late", due("06-30T14:30:00", "waiting"), due("06-30T14:32:00")),
        ("is:late", due("06-30T14:30:00", "waiting"),
         due("06-30T14:30:00", "skipped")),
        ("late:>5m", {"late_by": 301.0}, {"late_by": 300.0}),
        ("date=06-30", {"args": {"date": "2026-06-30"}}, {"args": {"date": "2026-07-01"}}),
        ("date=", {"args": {"date": ""}}, {}),
        ("date==x", {"args": {"date": "x"}}, {"args": {"date": "xy"}}),
        ("date==", {"args": {"date": ""}}, {"args": {"date": "x"}}),
        ("time=10:30", {"args": {"time": "10:30:00"}}, {"args": {"time": "9"}}),
        ("id:r12", {}, {"run_id": "r123"}),
        ("id:r12*", {"run_id": "r123"}, {"run_id": "r13"}),
        ("label:prod", {"labels": ["x", "prod"]}, {"labels": ["production"]}),
        ("host:a*", {"host": "alpha"}, {}),
        ("sched:today", due("06-30T00:00:00"), due("07-01T00:00:00")),
        ("sched:tonight", due("06-30T18:00:00"), due("06-30T17:59:59")),
        ("sched:-2h..", due("06-30T12:32:07"), due("06-30T12:32:06")),
        ("sched:09:00..17:00", due("06-30T09:00:00"), due("06-30T17:00:00")),
        ("sched:2026-06-29..2026-06-30", due("06-30T23:59:59"), due("06-28T23:59:59")),
        ("sched:>2026-06-30", due("07-01T00:00:00"), due("06-30T23:59:59")),
        ("sched:>2026-06-30T14:00Z", due("06-30T14:00:01"), due("06-30T14:00:00")),
        ("sched:<=2026-06-30", due("06-30T23:00:00"), due("07-01T00:00:00")),
        ("start:today", {"timestamps": {"running": "2026-06-30T01:00:00Z"}},
         {"timestamps": {"scheduled": "2026-06-30T01:00:00Z"}}),
        ("end:today", {"state": "success", "timestamps": {"success": "2026-06-30T01:00:00Z"}},
         {"timestamps": {"running": "2026-06-30T01:00:00Z"}}),
        ("elapsed:>10m", {"elapsed": 601.0}, {"elapsed": 600.0}),
        ("elapsed:1m..2m", {"elapsed": 90.0}, {"elapsed": 121.0}),
        ("elapsed:2m", {"state": "running", "timestamps": {"running": "2026-06-30T14:30:00Z"}},
         {"state": "running", "timestamps": {"running": "2026-06-30T14:31:00Z"}}),
    ],
)  # fmt: skip
def test_terms_mean_what_the_handbook_says(text: str, yes: dict[str, object], no: dict[str, object]) -> None:
    assert found(text, run(**yes))
    assert not found(text, run(**no))
    if text[0] not in "!-" and " " not in text:
        assert found(f"!{text}", run(**no))
        assert not found(f"-{text}", run(**yes))


@pytest.mark.parametrize(
    ("text", "at", "hint"),
    [
        ("state:faliure", (6, 13), "did you mean failure?"),
        ("job:etl/ state:run,xx", (19, 21), "known: new"),
        ("state:s", (6, 7), "write more of the name"),
        ("jb:x", (0, 2), "did you mean job?"),
        ("is:lat", (3, 6), "did you mean late?"),
        ("a !", (2, 3), "quote it"),
        ('say "hello', (4, 10), '\\"'),
        ("sched:soon", (6, 10), "write today"),
        ("sched:..", (6, 8), "write today"),
        ("elapsed:long", (8, 12), "write e.g. >10m"),
        ("state:", (0, 6), ""),
        ("state:a,,b", (8, 9), ""),
        ("=x", (0, 2), "quote it"),
        ('""', (0, 2), ""),
        ("x\x01", (1, 2), ""),
    ],
)
def test_a_mistake_is_shown_where_it_is(text: str, at: tuple[int, int], hint: str) -> None:
    with pytest.raises(FilterError) as error:
        parse(text)
    assert error.value.at == at
    assert hint in error.value.hint
    assert f"column {at[0] + 1}" in error.value.message


def test_the_empty_filter_matches_everything() -> None:
    assert found("", run())
    assert found("  ", run())
    assert parse(" ").sql() == ("1", [])


def test_times_without_a_zone_are_in_the_zone_given() -> None:
    filter_ = parse("sched:2026-06-30", ZoneInfo("America/New_York"))
    assert filter_.matches(run(schedule_time="2026-07-01T03:59:59Z"), NOW)
    assert not filter_.matches(run(schedule_time="2026-06-30T03:59:59Z"), NOW)


def test_a_filter_that_depends_on_the_time_says_so() -> None:
    assert parse("sched:-2h..").relative
    assert parse("!is:late").relative
    assert parse("is:late,bad").relative
    assert not parse("sched:2026-06-30 state:running job:a").relative
    with pytest.raises(ValueError, match="now"):
        parse("sched:today").matches(run())


def test_jobs_are_found_by_words_folders_labels_and_params() -> None:
    job = JobFacts(job_id="etl/load", params=["date"], labels=["prod"])
    for text in ("LOAD", "job:etl/", "label:pr*", "date=", "!report", ""):
        assert parse_jobs(text).matches_job(job), text
    for text in ("check", "job:report/", "label:test", "region="):
        assert not parse_jobs(text).matches_job(job), text
    for text in ("state:running", "x !is:late", "date=2026"):
        with pytest.raises(FilterError, match="runs, not of jobs"):
            parse_jobs(text)


def test_terms_that_have_an_index_use_it() -> None:
    """A plan that scans would be slow with a million runs."""
    db = table([])
    db.execute("CREATE INDEX by_time ON v_run (time_key, num)")
    db.execute("CREATE INDEX by_job ON v_run (job_id, time_key)")
    db.execute("CREATE INDEX by_num ON v_run (num)")
    for text, index in (("job:etl/", "by_job"), ("job:etl/load", "by_job"), ("id:r12", "by_num")):
        where, params = parse(text).sql()
        plan = db.execute(f"EXPLAIN QUERY PLAN SELECT doc FROM v_run WHERE {where}", params).fetchall()
        assert index in plan[0][3], (text, plan)
    db.close()


# --- what SQL says is what Python says, for random runs and random filters ---

_ids = st.sampled_from(["etl/load", "etl/check", "etl", "etl0", "report", "a*b", "a?[b", "Etl/Load", "ü/x", "a%_b", ""])
_moments = st.integers(-4 * 86400, 4 * 86400).map(lambda seconds: format_time(NOW + timedelta(seconds=seconds)))
_runs = st.builds(
    lambda num, job_id, state, due, first, expected: Run(
        run_id=f"r{num}", job_id=job_id, args={"n": job_id}, state=state, schedule_time=due,
        timestamps={"scheduled": first}, expected=expected,
    ),
    st.integers(1, 30), _ids, st.sampled_from(State), st.none() | _moments, _moments, st.booleans(),
)  # fmt: skip
_times = st.sampled_from(
    ["today", "tonight", "-2h..", "..now", "09:00..17:00", "2026-06-30", ">2026-06-30T14:00Z",
     "<=2026-07-01", "-1d..+1d", "yesterday,tomorrow", "2026-06-29..2026-07-01", ">=now", "<2026-06-30"]
)  # fmt: skip
_terms = st.one_of(
    _ids.filter(bool).map(lambda job_id: f'job:"{job_id}"'),
    st.sampled_from(
        ["job:etl/", "job:*l*", "job:e*d", "job:a?[*", "job:**", "job:*", "job:etl/,report", "job:a%*", "job:*ü*"]
    ),
    st.sampled_from(
        ["state:running", "state:fail,succ", "is:active", "is:finished", "is:bad", "is:bad,active", "is:adhoc"]
    ),
    st.sampled_from(["id:r7", "id:r1*", "id:r1,r2,r3", "id:x", "id:r007"]),
    _times.map(lambda text: f"sched:{text}"),
    st.sampled_from(["load", "n=etl", "n==etl", "start:today", "is:late", "is:rerun,bad", "late:>1h"]),
)
_filters = st.lists(st.tuples(st.sampled_from(["", "!", "-"]), _terms).map("".join), max_size=4).map(" ".join)


def table(runs: list[Run]) -> sqlite3.Connection:
    """Return a real table with the columns of the view."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE v_run (run_id TEXT, num INTEGER, job_id TEXT, state TEXT, schedule_time INTEGER,"
               " time_key INTEGER, finished INTEGER, rev INTEGER, doc BLOB)")  # fmt: skip
    for row, one in enumerate(runs):
        due = None if one.schedule_time is None else to_micros(parse_time(one.schedule_time))
        values = (one.run_id, int(one.run_id[1:]), one.job_id, one.state, due, due or 0, one.state in FINISHED, row)
        db.execute("INSERT INTO v_run VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", values)
    return db


@given(st.lists(_runs, max_size=12), _filters)
@settings(max_examples=400, deadline=None)
def test_sql_finds_what_matches_finds(runs: list[Run], text: str) -> None:
    filter_: Filter = parse(text)
    where, params = filter_.sql(NOW)
    db = table(runs)
    by_sql = {row for (row,) in db.execute(f"SELECT rev FROM v_run WHERE {where}", params)}
    # It is never NULL, or else the opposite would not be the opposite.
    assert not db.execute(f"SELECT 1 FROM v_run WHERE ({where}) IS NULL", params).fetchall()
    db.close()
    by_matches = {row for row, one in enumerate(runs) if filter_.matches(one, NOW)}
    assert by_matches <= by_sql, where
    if filter_.exact:
        assert by_matches == by_sql, where


@given(st.text(max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_filter_or_an_error_that_points_into_it(text: str) -> None:
    try:
        filter_ = parse(text)
    except FilterError as error:
        start, stop = error.at
        assert 0 <= start < stop <= max(len(text), 1) + 1
        return
    filter_.matches(run(), NOW)
    where, params = filter_.sql(NOW)
    db = table([run()])
    db.execute(f"SELECT 1 FROM v_run WHERE {where}", params)
    db.close()


_SPECIAL = st.text('abc:=!-"\\*.,<> 019Th/\n', max_size=30)


@given(_SPECIAL)
@settings(max_examples=500, deadline=None)
def test_texts_of_special_signs_too(text: str) -> None:
    test_any_text_is_a_filter_or_an_error_that_points_into_it.hypothesis.inner_test(text)  # type: ignore[attr-defined]


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20))
def test_a_quoted_text_is_found_as_it_is(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert found(quoted, run(args={"a": f"before {text} after"}))
    assert found(f"job:{quoted}", run(job_id=text)) or text.endswith("/")
    assert found(f"a=={quoted}", run(args={"a": text})) or text.startswith("=")


def test_what_is_decoded_from_json_matches_as_a_run_does() -> None:
    one = run(state="running", args={"a": "b"}, schedule_time="2026-06-30T14:00:00Z", labels=["x"], late_by=90.0)
    stored = msgspec.json.decode(msgspec.json.encode(one), type=StoredRun)
    for text in ("is:late", "a=b", "label:x", "state:run", "sched:today"):
        assert parse(text).matches(stored, NOW) == parse(text).matches(one, NOW) is True
