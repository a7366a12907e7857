"""Reading the files of load jobs, format by format."""
