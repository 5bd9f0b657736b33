"""The CUDA text of reranking. Each file is compiled by a launcher beside this folder, such as ``maxsim_gpu.py``."""
