"""Reading other people's files: their bytes, their columns and tags, their running text."""
