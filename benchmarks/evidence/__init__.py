"""How often off-policy estimates and canaries are wrong, and how soon they are right."""
