"""What was on its way into a scheduler that dies is asked again of the next one, and is done once."""

import threading

from web_stage import Answer, Stage, until

from apsis_bus.peer import Delivery


def test_a_write_that_a_dying_scheduler_took_along_is_done_by_the_next_one(site: Stage) -> None:
    taken: list[Delivery] = []
    assert site.scheduler.peer is not None
    site.scheduler.peer.handle(taken.append)
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(site.call("POST", "/runs", {"job_id": "etl/load"})))
    asking.start()
    until(lambda: taken, what="the scheduler to be asked")

    site.scheduler.leave()
    site.scheduler.join()
    asking.join()

    assert answers[0].status == 201
    assert len(site.scheduler.requests) == len(site.scheduler.runs) == 1
