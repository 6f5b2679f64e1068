"""What each section shows, made from the services' answers. Pure functions: no call, no markup."""
