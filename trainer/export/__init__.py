"""From weights to one self-describing ONNX file, with a certificate that it computes what torch does.

`graph` and `parity` bring torch and ONNX; they are imported when a run comes to its export.
"""
