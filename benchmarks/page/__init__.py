"""What open pages cost those who ask for actions."""
