"""What is no longer kept, and why: by the newest word of each job, whichever limit comes first."""

from hypothesis import given
from hypothesis import strategies as st

from apsis.messages.outputs import KeepPolicy
from apsis_services.store.names import RunKey
from apsis_services.store.retention import Ended, Rules, expired

DAY = 86_400.0


def ended(number: int, at: float, size: int = 10, job: str = "a", keep: KeepPolicy | None = None) -> Ended:
    return Ended(RunKey(1, f"r{number}"), job, at, size, keep)


def removed(newest_first: list[Ended], now: float = 0.0, **rules: object) -> dict[str, str]:
    total = rules.pop("total", None)
    found = expired(newest_first, Rules(KeepPolicy(**rules), total), now)  # type: ignore[arg-type]
    return {one.key.run_id: why for one, why in found}


def test_what_is_older_than_its_days_goes() -> None:
    assert removed([ended(2, 9 * DAY), ended(1, 7 * DAY)], now=10 * DAY, days=2.5) == {"r1": "age"}


def test_each_job_keeps_so_many() -> None:
    outputs = [ended(5, 5), ended(4, 4, job="b"), ended(3, 3), ended(2, 2), ended(1, 1, job="b")]
    assert removed(outputs, count=2) == {"r2": "count"}


def test_a_limit_of_bytes_always_keeps_the_newest() -> None:
    outputs = [ended(3, 3, size=500), ended(2, 2, size=1), ended(1, 1, size=1, job="b")]
    assert removed(outputs, bytes=100) == {"r2": "size"}


def test_of_all_together_the_oldest_go() -> None:
    outputs = [ended(4, 4, size=40), ended(3, 3, size=40, job="b"), ended(2, 2, size=40), ended(1, 1, size=10)]
    assert removed(outputs, total=95) == {"r2": "total size"}
    assert removed(outputs, total=80) == {"r2": "total size", "r1": "total size"}


def test_the_newest_run_says_what_holds_for_its_job() -> None:
    strict, loose = KeepPolicy(count=1), KeepPolicy(count=9)
    assert removed([ended(2, 2, keep=loose), ended(1, 1, keep=strict)]) == {}
    assert removed([ended(2, 2, keep=strict), ended(1, 1, keep=loose)]) == {"r1": "count"}


def test_what_a_job_does_not_say_is_as_by_default() -> None:
    own = KeepPolicy(count=5)
    outputs = [ended(2, 9 * DAY, keep=own), ended(1, 1 * DAY, keep=own)]
    assert removed(outputs, now=10 * DAY, days=3.0, count=1) == {"r1": "age"}


def test_one_that_is_listed_twice_counts_once() -> None:
    assert removed([ended(2, 2), ended(2, 2), ended(1, 1)], count=2) == {}


def test_without_limits_nothing_goes() -> None:
    assert removed([ended(number, number) for number in range(50, 0, -1)], now=1e12) == {}


@given(sizes=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 50)), max_size=30), total=st.integers(0, 300))
def test_what_is_kept_is_never_more_than_allowed_in_all(sizes: list[tuple[str, int]], total: int) -> None:
    outputs = [ended(100 - n, -float(n), size, job) for n, (job, size) in enumerate(sizes)]
    gone = removed(outputs, total=total)
    assert sum(one.size for one in outputs if one.key.run_id not in gone) <= total
