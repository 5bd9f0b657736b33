// The query of MaxSim as the tensor cores want it: codes in the order of their fragments, one scale for each token.
//
// query      float [tokens][width]: of one query or of several, one after the other
// sources    int [blocks * 32]: of each place in the blocks its token; -1 where a query's last block is filled up
// fragments  uint4 [blocks of 32 tokens][planes][2 tiles of 16 tokens][steps of 32 bytes][32 lanes]: fragment A of each product
// scales     double [blocks * 32]: value of a code's 1; 0 where there is no token, and its codes are 0 too
//
// A dot product does not care in which order k runs if both sides share it. So k runs as a lane of the other side, a document's
// tokens, reads them: 16 bytes at a time, straight from memory into its registers (maxsim.cuh, load_row). See fragment_place.

// Whether a row is read by 16 bytes a lane; else by 8.
__device__ __forceinline__ constexpr bool is_wide(int row_bytes) { return row_bytes % 64 == 0; }

// Where byte `at` of row `row` (of 32) lies in a plane of fragments: the inverse of what a lane reads.
//
//   wide:  bytes [64 i + 16 t, + 16) belong to lane t of the row's four: the first 8 to step 2i, the others to step 2i + 1
//   else:  bytes [32 i + 8 t, + 8) to step i
//   of these 8, the first 4 are the lower half of the step's k, the others the upper
__device__ __forceinline__ int fragment_place(int row, int at, int row_bytes) {
  const int wide = is_wide(row_bytes);
  const int step = wide ? at / 64 * 2 + at % 16 / 8 : at / 32;
  const int t = wide ? at % 64 / 16 : at % 32 / 8;
  const int upper = at % 8 / 4;
  const int tile = row / 16;
  const int word = row % 16 / 8 + 2 * upper;
  const int lane = row % 8 * 4 + t;
  return (((tile * (row_bytes / 32) + step) * kWarp + lane) * 4 + word) * 4 + at % 4;
}

__device__ __forceinline__ float greatest_of_row(const float* row, int width) {
  float greatest = 0.0f;
  for (int k = threadIdx.x % kWarp; k < width; k += kWarp) greatest = fmaxf(greatest, fabsf(__ldg(row + k)));
  for (int by = 16; by > 0; by /= 2) greatest = fmaxf(greatest, __shfl_xor_sync(kAllLanes, greatest, by));
  return greatest;
}

// A token's numbers as halves in [-1, 1], by a power of two: nothing overflows, and only rounding to 11 bits is lost.
// One warp a place.
extern "C" __global__ void maxsim_query_f16(const float* query, const int* sources, int width, u8* fragments, double* scales) {
  const int place = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp;
  const int source = __ldg(sources + place);
  const bool real = source >= 0;
  const float* row = query + static_cast<i64>(max(source, 0)) * width;
  const float greatest = greatest_of_row(row, width);
  // 2^(e+1) for a greatest number in [2^e, 2^(e+1)); denormals count as zeros (the compiler's -ftz would make them so anyway).
  const int exponent = static_cast<int>(__float_as_uint(greatest) >> 23);
  const bool empty = !real || exponent == 0;
  const double scale = empty ? 0.0 : ldexp(1.0, exponent - 126);
  const double inverse = empty ? 0.0 : ldexp(1.0, 126 - exponent);
  u8* plane = fragments + static_cast<i64>(place / 32) * 32 * width * 2;
  for (int k = threadIdx.x % kWarp; k < width; k += kWarp) {
    const float value = empty ? 0.0f : static_cast<float>(__dmul_rn(__ldg(row + k), inverse));
    *reinterpret_cast<u16*>(plane + fragment_place(place % 32, 2 * k, 2 * width)) = half_of_float(value);
  }
  if (threadIdx.x % kWarp == 0) scales[place] = scale;
}

// A token's numbers as int16 codes, the same as maxsim_cpu.query_codes gives: codes = rint(x / scale), scale = max |x| / 32,767.
// (Its other bound on the scale, which keeps 128 * sum |code| under 2^31, is the smaller one for every width up to 512.)
// A code is 256 * high + low: `high` signed in the first plane, `low` unsigned in the second.
extern "C" __global__ void maxsim_query_i8(const float* query, const int* sources, int width, u8* fragments, double* scales) {
  const int place = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp;
  const int source = __ldg(sources + place);
  const bool real = source >= 0;
  const float* row = query + static_cast<i64>(max(source, 0)) * width;
  const double greatest = greatest_of_row(row, width);
  const double scale = real ? __ddiv_rn(greatest, 32767.0) : 0.0;
  u8* high = fragments + static_cast<i64>(place / 32) * 2 * 32 * width;
  u8* low = high + 32 * width;
  for (int k = threadIdx.x % kWarp; k < width; k += kWarp) {
    const double value = scale > 0.0 ? rint(__ddiv_rn(__ldg(row + k), scale)) : 0.0;
    const int code = max(-32767, min(32767, static_cast<int>(value)));
    const int at = fragment_place(place % 32, k, width);
    high[at] = static_cast<u8>(code >> 8);
    low[at] = static_cast<u8>(code & 255);
  }
  if (threadIdx.x % kWarp == 0) scales[place] = scale;
}
