// MaxSim over rows of halves. See maxsim.cuh for what the arguments are.

extern "C" __global__ void __launch_bounds__(kThreads, BLOCKS)
maxsim_f16(const u8* rows, const u32* mask, const i64* offsets, int n_documents, const uint4* fragments,
          const double* scales, const int2* queries, const int* candidates, const int* owners, const int* count, int n_candidates,
          float* scores, int* queue) {
  score_candidates<Halves>({{rows, nullptr, mask}, offsets, n_documents, fragments, scales, queries, candidates, owners, count,
                          n_candidates, scores, queue});
}
