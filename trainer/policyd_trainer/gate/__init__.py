"""Whether a new version may become what an alias names."""
