"""The calls of a client, by service: for threads, and for asyncio beside them."""
