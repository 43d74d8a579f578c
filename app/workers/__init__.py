"""What workers ask and report: the queue, reports, files, tasks."""
