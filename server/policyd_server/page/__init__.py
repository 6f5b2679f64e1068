"""The page for browsers: rendered by the server, with live parts by server-sent events."""
