"""What `apsis check` finds between jobs."""

from datetime import timedelta

import pytest

DAILY = "params: date\nschedule: {type: daily, tz: UTC, daytime: '09:00', calendar: CAL}\nprogram: 'true'\n"
MON_FRI, MON_THU = DAILY.replace("CAL", "Mon-Fri"), DAILY.replace("CAL", "Mon-Thu")
BY_HAND = "params: date\nprogram: 'true'\n"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("condition: {type: dependency, job_id: b}", "a.yaml:4:39"),
        ("condition:\n- {type: max_running, job_id: b}", "a.yaml:5:31"),
        ("conditions:\n- {type: max_running, job_id: b}", "a.yaml:5:31"),
        ("action: {type: schedule, job_id: b}", "a.yaml:4:34"),
        ("successors: {job_id: b}", "a.yaml:4:22"),
        ("successors: b", "a.yaml:4:13"),
        ("successors: [b]", "a.yaml:4:14"),
    ],
)
def test_a_target_that_is_not_there_is_an_error_that_names_the_nearest(check, key, place):
    found = check({"a.yaml": MON_FRI + key + "\n", "bb.yaml": BY_HAND})
    assert found == [f"{place}: error: job_id: there is no job 'b' (did you mean 'bb'?)"]


def test_a_target_whose_file_is_broken_is_told_of_that_file_alone(check):
    found = check({"a.yaml": MON_FRI + "successors: b\n", "b.yaml": "prgram: x\n"})
    assert found
    assert all(finding.startswith("b.yaml:") for finding in found)


@pytest.mark.parametrize("key", ["condition: {type: dependency, ", "successors: {", "action: {type: schedule, "])
def test_args_that_a_target_does_not_take_or_lacks_are_told(check, key):
    other = "params: {date: null, region: null, mode: {choices: [fast, slow], default: fast}}\nprogram: 'true'\n"
    wrong = f"{key}job_id: b, args: {{regio: eu, mode: quick}}}}\n"
    found = check({"a.yaml": BY_HAND + wrong, "b.yaml": other})
    assert [finding.split(": ", 2)[2] for finding in found] == [
        f"{key.split(':')[0]}: job 'b' needs region, which is neither given here nor a param of this job",
        "args: job 'b' has no param 'regio' (did you mean 'region'?); it takes date, region, mode",
        "args: mode: 'quick' is not one of fast, slow",
    ]
    assert check({"a.yaml": BY_HAND + f"{key}job_id: b, args: {{region: eu, mode: '{{{{ date }}}}'}}}}\n"}) == []


def test_a_dependency_that_is_scheduled_in_the_horizon_is_no_finding(check):
    assert check({"a.yaml": MON_FRI + "condition: {type: dependency, job_id: b}\n", "b.yaml": MON_FRI}) == []


def test_a_dependency_that_is_missing_on_one_day_of_the_horizon_is_told(check):
    files = {"a.yaml": MON_FRI + "condition: {type: dependency, job_id: b}\n", "b.yaml": MON_THU}
    assert check(files) == [
        "a.yaml:4:12: warning: condition: the run due at 2026-06-05T09:00:00Z waits for b(date=2026-06-05),"
        " of which no run is due until 2026-06-15"
    ]
    # the Friday is beyond it
    assert check(files, horizon=timedelta(days=2)) == []
    assert "(and so do 1 more of the runs until then)" in check(files, horizon=timedelta(days=14))[0]


def test_a_dependency_on_a_run_of_long_ago_is_no_finding(check):
    monthly = "params: date\nschedule: {type: cron, cron: '0 9 1 * *'}\nprogram: 'true'\n"
    condition = "condition: {type: dependency, job_id: b, args: {date: \"{{ format(date, '%Y-%m-01') }}\"}}\n"
    files = {"a.yaml": MON_FRI + condition, "b.yaml": monthly}
    assert check(files) == []


def test_a_dependency_that_nothing_ever_makes_is_told(check):
    files = {"a.yaml": MON_FRI + "condition: {type: dependency, job_id: b}\n", "b.yaml": BY_HAND}
    assert check(files) == [
        "a.yaml:4:12: warning: condition: the run due at 2026-06-02T09:00:00Z waits for 'b', which has no schedule,"
        " and which no other job's end makes"
    ]
    assert check({"c.yaml": MON_FRI + "successors: b\n"}) == []


def test_runs_that_wait_for_each_other_are_an_error_with_the_whole_circle(check):
    found = check(
        {
            "a.yaml": MON_FRI + "condition: {type: dependency, job_id: b}\n",
            "b.yaml": MON_FRI + "condition: {type: dependency, job_id: c}\n",
            "c.yaml": MON_FRI + "condition: {type: dependency, job_id: a}\n",
        }
    )
    day = "(date=2026-06-01)"
    assert found == [
        "a.yaml:4:12: error: condition: these runs wait for each other, so none of them ever starts:"
        f" a{day} -> b{day} -> c{day} -> a{day}"
    ]


def test_a_run_that_waits_for_itself_is_an_error(check):
    (found,) = check({"a.yaml": MON_FRI + "condition: {type: dependency, job_id: a}\n"})
    assert "a(date=2026-06-01) -> a(date=2026-06-01)" in found


def test_runs_that_wait_for_earlier_ones_of_each_other_are_no_circle(check):
    before = "args: {date: \"{{ date | shift('Mon-Fri', -1) }}\"}"
    assert check({"a.yaml": MON_FRI + f"condition: {{type: dependency, job_id: a, {before}}}\n"}) == []
    assert (
        check(
            {
                "a.yaml": MON_FRI + f"condition: {{type: dependency, job_id: b, {before}}}\n",
                "b.yaml": MON_FRI + "condition: {type: dependency, job_id: a}\n",
            }
        )
        == []
    )


def test_a_circle_of_jobs_that_are_started_by_hand_is_found_too(check):
    found = check(
        {
            "a.yaml": BY_HAND + "condition: {type: dependency, job_id: b}\n",
            "b.yaml": BY_HAND + "condition: {type: dependency, job_id: a}\n",
        }
    )
    assert len(found) == 1
    assert "a(date=<date>) -> b(date=<date>) -> a(date=<date>)" in found[0]


def test_jobs_that_start_each_other_without_end_are_told(check):
    found = check(
        {
            "a.yaml": BY_HAND + "successors: b\n",
            "b.yaml": BY_HAND + "action: {type: schedule, job_id: c}\n",
            "c.yaml": BY_HAND + "successors: [a]\n",
            "d.yaml": BY_HAND + "successors: [a]\n",
        }
    )
    assert found == ["a.yaml:3:13: warning: successors: these jobs start each other without end: a -> b -> c -> a"]


def test_a_chain_of_five_thousand_jobs_is_followed(check):
    from apsis.checking.links import circles

    edges = {str(number): [str(number + 1)] for number in range(5000)} | {"5000": ["0"]}
    assert [len(circle) for circle in circles(edges)] == [5001]
    assert list(circles({**edges, "5000": []})) == []
