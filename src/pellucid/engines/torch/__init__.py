"""The engine "torch": Pellucid's own model families on a GPU, and every architecture that transformers supports.

Nothing here is imported unless this engine is chosen. Only this folder imports PyTorch, and only ``known.py`` imports
transformers.

A *step* is one forward pass: a group of texts that go through the model together. One engine call makes several
steps. ::

    engine.py             TorchEngine: runs the steps, handles out-of-memory errors, returns the results
    several.py            SeveralDevices: shares the texts of a call among the TorchEngines of several GPUs
    planning.py           which texts go together in a step
    steps.py              texts on the device, end to end or side by side with padding; the way back of results
    ragged.py             the forward pass of Pellucid's own families, without padding
    device_layers.py      the weights of a layer
    attention.py          attention, in three ways
    attention_kernels.py  the one that is a Triton kernel of ours
    ops.py                what the forward pass computes beside matrix products and attention, in lines of PyTorch
    kernels.py            the same in Triton kernels
    known.py              the models of transformers
    pooled.py             pooling on the device
    modules.py            the modules after pooling on the device
    vocabulary.py         the scores of a whole vocabulary on the device
    devices.py            the devices that PyTorch has on this machine
"""
