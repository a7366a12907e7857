"""Faults at random moments, while random DAGs run on a whole installation of this machine.

    work.py     what the tasks do: they leave a line at their start and their end
    dags.py     random DAGs, and how each of their tasks has to end
    system.py   Redis, the local BigQuery, coordinators and workers, and what is known of them
    links.py    ways to Redis that can be cut
    schedules.py  published DAGs, and whether each due time was settled once
    faults.py   the kinds of faults
    judge.py    whether each run ended as it has to, and nothing happened twice
    report.py   times of recovery, and the evidence of what is wrong
    chaos.py    the loop that submits runs and commits faults

``python -m tests.acceptance.chaos --faults 200 --seed 1``, or ``make chaos N=200 SEED=1``.
"""
