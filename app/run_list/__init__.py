"""The list of runs: columns, queries, bulk actions."""
