"""The search for settings: `python -m trainer tune`. What it finds becomes a row of trainer/presets."""
