"""The pure core of the scheduler: `Core.step(input, now) -> Effects`, without socket, clock, thread or table.

What it is told are the inputs of `inputs`; what it wants done are the `effects`; what it must look up among
stored things goes through the ports of `ports`. The scheduler service is the shell that does the rest.
"""
