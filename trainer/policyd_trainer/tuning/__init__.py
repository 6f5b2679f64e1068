"""The search for settings (`policyd-trainer tune`). What it finds becomes a row of the presets."""
