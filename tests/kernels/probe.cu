// Kernels that try the shim itself: one for each thing that it must compute, or must not let pass.

extern "C" __global__ void probe_halves(const u16* halves, float* floats, u16* back) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  floats[i] = float_of_half(__ldg(halves + i));
  back[i] = half_of_float(floats[i]);
}

// C = A * B with A (16, 16) and B (8, 16) halves, both row-major: the fragments as PTX defines them, no permutation.
extern "C" __global__ void probe_mma_f16(const u16* a, const u16* b, float* c) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  const u32* rows = reinterpret_cast<const u32*>(a);
  const u32* columns = reinterpret_cast<const u32*>(b);
  const uint4 part = {rows[g * 8 + t], rows[(g + 8) * 8 + t], rows[g * 8 + t + 4], rows[(g + 8) * 8 + t + 4]};
  float sum[4] = {0, 0, 0, 0};
  mma_f16(sum, part, columns[g * 8 + t], columns[g * 8 + t + 4]);
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

// C = A * B with A (16, 32) bytes, signed and then unsigned, and B (8, 32) signed bytes.
extern "C" __global__ void probe_mma_bytes(const u8* a, const u8* b, int* c) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  const u32* rows = reinterpret_cast<const u32*>(a);
  const u32* columns = reinterpret_cast<const u32*>(b);
  const uint4 part = {rows[g * 8 + t], rows[(g + 8) * 8 + t], rows[g * 8 + t + 4], rows[(g + 8) * 8 + t + 4]};
  int sum[2][4] = {};
  mma_s8(sum[0], part, columns[g * 8 + t], columns[g * 8 + t + 4]);
  mma_u8(sum[1], part, columns[g * 8 + t], columns[g * 8 + t + 4]);
  for (int i = 0; i < 8; ++i) c[i / 4 * 128 + (g + i % 4 / 2 * 8) * 8 + 2 * t + i % 2] = sum[i / 4][i % 4];
}

// Sums a block's numbers through shared memory; with `barrier` 0 the barrier that this needs is left out.
extern "C" __global__ void probe_barrier(const int* numbers, int* sums, int barrier) {
  __shared__ int partial[32];
  int sum = __ldg(numbers + blockIdx.x * blockDim.x + threadIdx.x);
  for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(kAllLanes, sum, by);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = sum;
  if (barrier) __syncthreads();
  if (threadIdx.x == 0) {
    int total = 0;
    for (int warp = 0; warp < static_cast<int>(blockDim.x) / kWarp; ++warp) total += partial[warp];
    sums[blockIdx.x] = total;
  }
}

// What the shim must refuse.
extern "C" __global__ void probe_fault(const int* numbers, int* out, int which) {
  const int lane = threadIdx.x % kWarp;
  if (which == 0) out[0] = __ldg(numbers + 1000000);
  if (which == 1) out[0] = static_cast<int>(load16_once(numbers + 1).x);
  if (which == 2 && lane < 16) __syncwarp();
  if (which == 3) out[lane] = lane < 16 ? __shfl_xor_sync(kAllLanes, lane, 1) : static_cast<int>(__ballot_sync(kAllLanes, 1));
  if (which == 4 && threadIdx.x < 32) __syncthreads();
  if (which == 5) out[-1 - lane] = 0;
  if (which == 6) __shfl_sync(0xffffu, lane, 0);
}
