"""What people are told of a Redis that can't do a call now, and how often a log tells it."""

from pydag_dist.outages.outage import Outage
from pydag_dist.outages.trouble import FULL, is_full, trouble_of

__all__ = ["FULL", "Outage", "is_full", "trouble_of"]
