"""The training: recipe in, events out. Knows nothing of app/, of SQL, of HTTP servers."""
