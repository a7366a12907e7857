"""pyDag's scripts: where their text comes from, and what is filled into it."""
