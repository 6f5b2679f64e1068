"""Which Gymnasium spaces can be trained, and how each becomes numbers.

`observations.ObservationEncoder` and `actions.ActionCodec` are the seams: one class per kind of
space, chosen by `encoder_for` and `codec_for`; a space without a class is refused by name.
"""
