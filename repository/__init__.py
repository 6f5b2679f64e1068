"""The model repository on disk: versions, aliases, verification."""
