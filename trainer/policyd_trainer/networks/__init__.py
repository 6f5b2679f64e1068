"""Networks over one flat parameter vector each.

`interface.Network` is the seam: outputs from observations, and the gradient of the parameters
from the gradient of the outputs. `closed_form` does it for multilayer perceptrons without
autograd; `autograd` does it for any torch module; images need it.
"""
