"""The workers' side of the app: the queue, reports, files, tasks."""
