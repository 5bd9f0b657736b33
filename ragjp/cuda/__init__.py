"""CUDA text and how it is compiled: what every kernel of ``index`` and ``rerank`` shares.

A kernel is three things: a readable NumPy reference, CUDA text in a ``.cu`` file, and a launcher that validates before it launches.
The text includes nothing but :file:`lanes.cuh`, which stands before it: no CUDA header has to be found on the user's machine. Tensor
cores are spoken to in inline PTX, behind functions that ``tests/kernels/shim.h`` defines again for a CPU: the same text runs there,
lane by lane, which is how its index arithmetic is proved where there is no card.
"""
