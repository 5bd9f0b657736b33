// MaxSim over rows of int8 codes with a scale (a half) for each row. See maxsim.cuh for what the arguments are.

extern "C" __global__ void __launch_bounds__(kThreads, BLOCKS)
maxsim_i8(const u8* rows, const u16* row_scales, const u32* mask, const i64* offsets, int n_documents, const uint4* fragments,
          const double* scales, const int2* queries, const int* candidates, const int* owners, const int* count, int n_candidates,
          float* scores, int* queue) {
  score_candidates<Codes>({{rows, row_scales, mask}, offsets, n_documents, fragments, scales, queries, candidates, owners, count,
                          n_candidates, scores, queue});
}
