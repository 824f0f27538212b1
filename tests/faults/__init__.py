"""The fault campaign: real workers, a real database, both back-ends, and everything that can befall them.

`python -m tests.faults` (or `make faults`) runs it and prints the table; `docs/guarantees.md` tells what it proves.

    job.py        the job type whose answer is known
    processes.py  `bec` as a process whose log is read while it runs
    lane.py       what one scene at a time plays on: a PostgreSQL server, object stores, proxies before them
    scene.py      a job over five small volumes, and what a fault may do to it
    checks.py     what must hold when it is over
    fault.py      the list of faults; points.py, database.py, network.py, machines.py, poison.py, world.py
                  and away.py fill it
    campaign.py   runs faults in lanes, singly and in pairs
    table.py      prints what came of it
"""
