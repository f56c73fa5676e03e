"""What goes wrong, and when: drawn from the seed. Each seed has its own choice of faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from apsis.messages.dispatch import Commands

if TYPE_CHECKING:
    from simulated.machine import Machine
    from simulated.world import World


def scheduler_killed(world: World) -> str:
    """Kill the scheduler at one of the points that it comes to next."""
    world.scheduler.doom(world.random.choice([0, 0, 1, 1, 2, 3, 5, 8]))
    return "the scheduler is to be killed"


def supervisor_killed(world: World) -> str:
    """Kill a supervisor between two effects."""
    machine = _machine(world)
    machine.supervisor.doom(world.random.choice([0, 1, 2, 3, 4, 6, 9, 13]))
    return f"the supervisor of {machine.host} is to be killed"


def reader_killed(world: World) -> str:
    """Kill the consumer between an effect and its cursor."""
    world.reader.doom(world.random.choice([0, 0, 1, 2, 4]))
    return "the reader is to be killed"


def hub_killed(world: World) -> str:
    """Kill the hub for a while, at times so long that hosts count as away."""
    world.network.fall()
    world.clock.after(world.random.choice([0.2, 1.0, 3.0, 7.0]), world.network.rise)
    return "the hub is killed"


def zygote_killed(world: World) -> str:
    """Kill a zygote; its shims stay."""
    machine = _machine(world)
    for zygote in machine.kernel.zygotes:
        if zygote.alive:
            machine.kernel.kill_zygote(zygote)
    return f"the zygotes of {machine.host} are killed"


def shim_killed(world: World) -> str:
    """Kill one of the shims that live, wherever it stands."""
    machine = _machine(world)
    keys = [key for key, keeper in machine.kernel.keepers.items() if keeper.is_shim]
    if keys:
        machine.kernel.kill_shim(world.random.choice(keys))
    return f"a shim of {machine.host} is killed" if keys else ""


def zygote_fails(world: World) -> str:
    """Let forks fail for a while, at times long enough that a run is given up."""
    machine = _machine(world)
    machine.zygote_fails = True
    world.clock.after(world.random.choice([0.5, 2.0, 12.0]), setattr, machine, "zygote_fails", False)
    return f"nothing can be started on {machine.host}"


def second_zygote(world: World) -> str:
    """Have another zygote beside the one that lives; both get every start."""
    machine = _machine(world)
    machine.kernel.new_zygote()
    return f"another zygote on {machine.host}"


def reboot(world: World) -> str:
    """Boot a host anew."""
    machine = _machine(world)
    machine.reboot(power_cut=False)
    return f"{machine.host} is rebooted"


def power_cut(world: World) -> str:
    """Cut the power of a host: it comes back without what it wrote last."""
    machine = _machine(world)
    machine.reboot(power_cut=True)
    return f"the power of {machine.host} is cut"


def spool_wiped(world: World) -> str:
    """Take away the spool of a host."""
    machine = _machine(world)
    machine.wipe()
    return f"the spool of {machine.host} is wiped"


def old_words(world: World) -> str:
    """Let orders of the past come again, after settled journals past their time were deleted."""
    if world.scheduler.backup is None:  # archives are kept longer than backups are good for
        for machine in world.machines.values():
            machine.disk.clean_archive()
    old = [message for _, message in world.network.old if type(message) is Commands]
    for _ in range(min(len(old), 6)):
        world.network.ghost()
    return "orders of the past come again"


def events_deleted(world: World) -> str:
    """Delete old events, also such as the reader has not had."""
    scheduler = world.scheduler
    scheduler.floor = max(scheduler.floor, len(scheduler.tables.events) - world.random.choice([0, 3, 10]))
    return "old events are deleted"


def jobs_changed(world: World) -> str:
    """Take away or bring back the schedules of a job."""
    files = world.scheduler.files
    timed = [job_id for job_id in files if job_id in world.timed]
    if not timed or not world.scheduler.alive:
        return ""
    job_id = world.random.choice(timed)
    world.unplan(job_id) if files[job_id] else world.plan(job_id)
    return f"job {job_id} changes"


def database_restored(world: World) -> str:
    """Put back a backup of some time ago."""
    if world.scheduler.backup is None:
        return ""
    world.scheduler.put_back()
    return "a backup is put back"


#: fault: how likely it is beside the others
FAULTS: dict[Callable[[World], str], int] = {
    scheduler_killed: 10,
    supervisor_killed: 10,
    reader_killed: 5,
    hub_killed: 3,
    zygote_killed: 3,
    shim_killed: 5,
    zygote_fails: 2,
    second_zygote: 2,
    reboot: 2,
    power_cut: 3,
    spool_wiped: 1,
    old_words: 3,
    events_deleted: 2,
    jobs_changed: 1,
}


def plan(world: World) -> None:
    """Draw the faults of this seed, and put them on the clock."""
    chance = world.random
    network = world.network
    network.loss = chance.choice([0.0, 0.0, 0.05, 0.2, 0.4])
    network.double = chance.choice([0.0, 0.1, 0.3])
    network.slow = chance.choice([0.0, 0.1, 0.4])
    if chance.random() < 0.25:
        at = chance.uniform(0.3, world.fault_seconds - 2.0)
        world.clock.after(at, world.scheduler.back_up)
        later = chance.uniform(at + 0.5, world.fault_seconds)
        world.clock.after(later, _befall, world, database_restored)
    chosen = chance.sample(list(FAULTS), chance.randint(1, 7))
    weights = [FAULTS[fault] for fault in chosen]
    for _ in range(chance.randint(0, 9)):
        fault = chance.choices(chosen, weights)[0]
        world.clock.after(chance.uniform(0.5, world.fault_seconds), _befall, world, fault)


def _befall(world: World, fault: Callable[[World], str]) -> None:
    if world.is_quiet:
        return
    told = fault(world)
    if told:
        world.met(fault.__name__)
        world.history.append(f"{world.clock.now:8.3f} {told}")
        world.say("fault", told)


def _machine(world: World) -> Machine:
    return world.random.choice(list(world.machines.values()))
