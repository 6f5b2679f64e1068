"""What keeps strangers out, beyond what policy_api.security shares with the trainer."""
