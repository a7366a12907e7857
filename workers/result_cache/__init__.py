"""`cache: "inputs"`: results of earlier runs, used again while what led to them has not changed."""
