"""When a DAG is due: cron expressions, intervals, time zones. Nothing here asks for the time."""
