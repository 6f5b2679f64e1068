"""Side-by-side measurement of serving: this server, its limits and its peers, interleaved in one run."""
