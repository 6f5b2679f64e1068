"""The page: what people look at in a browser, rendered here, live by server-sent events."""
