"""Learning from episodes that clients played: no environment is needed here."""
