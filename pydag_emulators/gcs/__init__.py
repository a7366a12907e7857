"""Cloud Storage on this machine: Google's JSON API over a directory.

The directory is the shared ground of the local services: an object is the file
`<data>/<bucket>/<object>`, so that Spark and the local BigQuery read and write objects as files.
What else there is to know of an object (type, generation, times) is in an extended attribute of
its file. What the service can't do it refuses with a 501.
"""
