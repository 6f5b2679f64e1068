"""The sections of the page: each asks the services, makes its view and renders it."""
