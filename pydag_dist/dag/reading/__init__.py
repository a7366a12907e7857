"""From a file's text to a checked DAG, with every problem on the way."""
