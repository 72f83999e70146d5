"""What a paper takes from results: figures, tables, captions, sources."""
