"""Learning where environments, networks and optimiser all live on one device as torch tensors.

`interface` says what an environment on a device is; `forms` has ours, `vector` takes a user's own,
`host` brings environments of this process to the device. `program` is one rollout and its update,
which waits for the device nowhere; on a GPU it is one CUDA graph. `loop` runs it, `ranks` on
several GPUs. The same code runs on a CPU, and tests compare it with the numpy engine.

The modules import torch, so a run imports them only where this engine is taken.
"""
