"""State that survives a restart: the database and the files."""
