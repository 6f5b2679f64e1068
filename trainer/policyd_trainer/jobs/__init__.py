"""Durable training jobs: the table, the queue, and one worker process per job."""
