"""The folder of DAG files: what is in it, who saved what, and its git work tree if it is in one."""
