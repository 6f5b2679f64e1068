"""The course's two algorithms, each on one page, in plain PyTorch."""
