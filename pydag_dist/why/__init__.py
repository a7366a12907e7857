"""Why a run or a task of it is where it is, in sentences for people.

`facts` reads what a task can be waiting for, `task` and `run` put it into words, and `past` does so
for a run that only the history has.
"""

from pydag_dist.why.run import Reason, why_run
from pydag_dist.why.task import why_task

__all__ = ["Reason", "why_run", "why_task"]
