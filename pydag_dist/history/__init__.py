"""History: every run and every try, in a SQL database, for as long as its owner wants.

Redis forgets a run when its retention is over; and if Redis itself is lost, unfinished runs go on
from what is written here.
"""

from pydag_dist.history.batch import Batch, Entry, batch_of, entry_id, next_entry_id, runs_in
from pydag_dist.history.database import LOST
from pydag_dist.history.history import History
from pydag_dist.history.queries.past_run import PastRun, Row
from pydag_dist.history.reading import HistoryReader
from pydag_dist.history.refusal import reason_of, refusal

__all__ = [
    "LOST",
    "Batch",
    "Entry",
    "History",
    "HistoryReader",
    "PastRun",
    "Row",
    "batch_of",
    "entry_id",
    "next_entry_id",
    "reason_of",
    "refusal",
    "runs_in",
]
