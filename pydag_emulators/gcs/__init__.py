"""Cloud Storage on this machine: Google's JSON API over a directory.

The local services share the directory: an object is the file `<data>/<bucket>/<object>`, so that
Spark and the local BigQuery read and write objects as files. The metadata of an object (type,
generation, times) are in an extended attribute of its file. What the service can't do, it refuses
with a 501.
"""
