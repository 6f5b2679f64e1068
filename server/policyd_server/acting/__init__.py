"""Answering observations with actions: decode, batch, infer, sample, encode."""
