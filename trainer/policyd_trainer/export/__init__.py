"""From weights to one self-describing ONNX file, and its certificate.

The certificate says that it computes what the trainer does.

`graph` puts the model together from `network` and `heads`, with the nodes that `nodes` writes. No
torch.
"""
