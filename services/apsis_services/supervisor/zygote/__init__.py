"""Zygote, shim and journal: what starts a program, outlives us with it, and writes down how it ended.

`zygote` forks, `shim` lives beside one program, `journal` and its neighbours are the claim, the proof of life
and the result. All of it needs the standard library alone; only `client` and `launch` run in the supervisor.
"""
