"""A supervisor whose spool has no room says so before it says HELLO, and until the scheduler has taken note of it."""

from apsis.messages.body import encode
from apsis.messages.events import Heartbeat
from apsis_bus import topics

NO_ROOM = "disk: {min_free_percent: 100, min_free_bytes: 4000000000000000000}\n"


def beat(scene, term: int) -> None:
    body = Heartbeat(journal=0x1234, term=term, head=0, floor=0, now="2026-06-30T12:00:00.000000Z", life=term)
    scene.scheduler.peer.publish(topics.HEARTBEAT, 0, 0x1234, encode(body))


def test_a_new_scheduler_hears_of_no_room_before_it_hears_hello(bare_scene):
    bare_scene.home.config.write_text(NO_ROOM)
    bare_scene.begin("hub")
    bare_scene.begin("supervisor")

    async def body(s) -> None:
        await s.until(lambda: s.scheduler.hellos and s.scheduler.rooms, "both")
        for term in (7, 8):
            before, told = len(s.scheduler.hellos), len(s.scheduler.rooms)
            beat(s, term)
            await s.until(lambda n=before, m=told: len(s.scheduler.hellos) > n and len(s.scheduler.rooms) > m, "both")
            hellos, lack = s.scheduler.rooms[told]
            assert hellos == before, "it came after HELLO, which lets go on what waits for the host"
            assert f"make room in {s.home.spool}" in lack

    bare_scene.run(body)


def test_a_spool_with_room_is_said_to_have_it_to_each_scheduler_once(scene):
    async def body(s) -> None:
        await s.until(lambda: s.scheduler.rooms, "a word about the disk")
        known = len(s.scheduler.rooms)
        beat(s, 7)
        await s.until(lambda: len(s.scheduler.rooms) > known, "another")
        assert {lack for _, lack in s.scheduler.rooms} == {""}

    scene.run(body)
