// MaxSim of candidates over packed token rows: what maxsim_f16.cu and maxsim_i8.cu share. The launcher defines
//
//   WIDTH   numbers of a token
//   MASKED  whether some rows do not count
//   MANY    whether there may be several queries, or one of more than 32 tokens; 0 is leaner
//   HELD    planes of the query that stay in registers; the others are read from the first-level cache again and again
//   TILES   of 8 tokens, that a warp does together
//   BLOCKS  on a multiprocessor at least
//
//   score(place) = sum over query tokens i, from the first to the last, of scale_i * max over the document's tokens j of q_i . d_j,
//                  divided by the number of query tokens
//
// A block of four warps scores one document at a time and takes the next from a queue. Nothing of a document passes through shared
// memory: the rows are read once, straight into the registers that the tensor cores take as fragment B (mma_f16, mma_s8); the query
// is fragment A, held in registers where it fits (32 tokens of 128 halves are 64 of them), else read again from the first-level cache,
// which hardly anything else uses. The score matrix lives for one product and leaves a running maximum.
//
//   unit    8 * kTiles tokens, whose products a warp does together; unit u belongs to warp u % 4
//   chunk   the part of their rows that is loaded at once; the next chunk, of this document or the next one, is on its way while the
//           present one is multiplied
//   pass    32 query tokens over a whole document; more query tokens are more passes, which find the document in the second-level cache
//
// A token past the document's end is its last token once more: the maximum does not mind, so no column is ever masked for a length,
// nothing beside the document is read, and rows need no padding.

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kQueryTile = 16;
constexpr int kQueryBlock = 2 * kQueryTile;

struct Halves {
  using Sum = float;
  static constexpr int kRowBytes = 2 * WIDTH;
  static constexpr int kPlanes = 1;
};

// Codes of the query are 256 * high + low, one plane each; sums are exact in int32 (maxsim_cpu.maxsim_int8).
struct Codes {
  using Sum = int;
  static constexpr int kRowBytes = WIDTH;
  static constexpr int kPlanes = 2;
};

constexpr int part_of_row(int steps, int most, bool even) {
  int part = most < steps ? most : steps;
  while (steps % part != 0 || (even && part % 2 != 0)) --part;
  return part;
}

template <class Format>
struct Plan : Format {
  static constexpr int kSteps = Format::kRowBytes / 32;  // products along k
  static constexpr bool kWide = Format::kRowBytes % 64 == 0;
  static constexpr int kTiles = TILES;
  static_assert(kTiles <= 4, "four lanes of a row load what belongs to the tiles");
  static constexpr int kChunkSteps = HELD ? kSteps : part_of_row(kSteps, 8, kWide);
  static constexpr int kChunks = kSteps / kChunkSteps;
  static constexpr int kUnit = 8 * kTiles;
};

struct Document {
  int length;  // in tokens; 0 too for what is no document
  u32 begin;   // its first token's row
};

// Fragment A of 32 query tokens: planes that are held in registers, and where the others lie.
template <class P>
struct Query {
  uint4 part[HELD > 0 ? HELD : 1][2][P::kSteps];
  const uint4* block;

  __device__ __forceinline__ void load(const uint4* from) {
    block = from;
#pragma unroll
    for (int plane = 0; plane < HELD; ++plane)
#pragma unroll
      for (int half = 0; half < 2; ++half)
#pragma unroll
        for (int step = 0; step < P::kSteps; ++step) part[plane][half][step] = __ldg(block + ((plane * 2 + half) * P::kSteps + step) * kWarp);
  }
  __device__ __forceinline__ uint4 at(int plane, int half, int chunk, int step) const {
    if (plane < HELD) return part[plane][half][step];
    return __ldg(block + ((plane * 2 + half) * P::kSteps + chunk * P::kChunkSteps + step) * kWarp);
  }
};

// What a warp has loaded: of each tile, fragment B of the chunk's steps; and what belongs to row g of tile t, where there are so many.
// All as it came, so that nothing waits for it before it is used.
template <class P>
struct Chunk {
  u32 word[P::kTiles][2 * P::kChunkSteps];
  u32 scale;
  u32 mask;
};

struct Rows {
  const u8* rows;
  const u16* scales;  // halves; of int8 rows only
  const u32* mask;    // one bit a row, the lowest first: whether it counts; only where MASKED
};

// The row of lane group g's token in a tile that begins at token `first`.
__device__ __forceinline__ u32 row_of(const Document& document, int first) {
  const int g = threadIdx.x % kWarp / 4;
  return document.begin + min(first + g, document.length - 1);
}

template <class P>
__device__ __forceinline__ void load(Chunk<P>& into, const Rows& from, const Document& document, int token, int chunk) {
  const int t = threadIdx.x % 4;
#pragma unroll
  for (int tile = 0; tile < P::kTiles; ++tile) {
    const u32 number = row_of(document, token + tile * 8);
    const u8* row = from.rows + static_cast<u64>(number) * P::kRowBytes + chunk * P::kChunkSteps * 32;
    if constexpr (P::kWide) {
#pragma unroll
      for (int i = 0; i < P::kChunkSteps / 2; ++i) {
        const uint4 v = load16_once(row + 64 * i + 16 * t);
        into.word[tile][4 * i] = v.x;
        into.word[tile][4 * i + 1] = v.y;
        into.word[tile][4 * i + 2] = v.z;
        into.word[tile][4 * i + 3] = v.w;
      }
    } else {
#pragma unroll
      for (int i = 0; i < P::kChunkSteps; ++i) {
        const uint2 v = load8_once(row + 32 * i + 8 * t);
        into.word[tile][2 * i] = v.x;
        into.word[tile][2 * i + 1] = v.y;
      }
    }
  }
  if (chunk == 0 && (P::kPlanes == 2 || MASKED)) {
    const u32 number = row_of(document, token + t % P::kTiles * 8);
    if constexpr (P::kPlanes == 2) into.scale = __ldg(from.scales + number);
    if constexpr (MASKED) into.mask = __ldg(from.mask + number / 32) >> number % 32;
  }
}

// The scales and masks came with the row's first chunk.
template <class P>
__device__ __forceinline__ void keep_sides(Chunk<P>& after, const Chunk<P>& now) {
  after.scale = now.scale;
  after.mask = now.mask;
}

template <class Sum, int kTiles>
__device__ __forceinline__ void clear(Sum (&sum)[kTiles][4]) {
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile)
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[tile][i] = 0;
}

// The present chunk's products with half of the query's block, added to the unit's sums.
template <class P>
__device__ __forceinline__ void multiply(float (&sum)[P::kTiles][4], const Query<P>& query, const Chunk<P>& now, int half, int chunk) {
#pragma unroll
  for (int step = 0; step < P::kChunkSteps; ++step) {
    const uint4 a = query.at(0, half, chunk, step);
#pragma unroll
    for (int tile = 0; tile < P::kTiles; ++tile) mma_f16(sum[tile], a, now.word[tile][2 * step], now.word[tile][2 * step + 1]);
  }
}

template <class P>
__device__ __forceinline__ void multiply(int (&sum)[P::kTiles][4], const Query<P>& query, const Chunk<P>& now, int half, int chunk) {
  int high[P::kTiles][4] = {};
#pragma unroll
  for (int step = 0; step < P::kChunkSteps; ++step) {
    const uint4 a = query.at(0, half, chunk, step);
#pragma unroll
    for (int tile = 0; tile < P::kTiles; ++tile) mma_s8(high[tile], a, now.word[tile][2 * step], now.word[tile][2 * step + 1]);
  }
#pragma unroll
  for (int tile = 0; tile < P::kTiles; ++tile)
#pragma unroll
    for (int i = 0; i < 4; ++i)  // unsigned: what goes past 2^31 on the way comes back with the low codes
      sum[tile][i] = static_cast<int>(static_cast<u32>(sum[tile][i]) + (static_cast<u32>(high[tile][i]) << 8));
#pragma unroll
  for (int step = 0; step < P::kChunkSteps; ++step) {
    const uint4 a = query.at(1, half, chunk, step);
#pragma unroll
    for (int tile = 0; tile < P::kTiles; ++tile) mma_u8(sum[tile], a, now.word[tile][2 * step], now.word[tile][2 * step + 1]);
  }
}

__device__ __forceinline__ float value_of(float sum, float) { return sum; }
__device__ __forceinline__ float value_of(int sum, float scale) { return __fmul_rn(__int2float_rn(sum), scale); }

// What the lane's two columns of each tile need: their scales, and whether they count.
template <class P>
struct Columns {
  float scale[P::kTiles][2];
  bool counts[P::kTiles][2];

  __device__ __forceinline__ explicit Columns(const Chunk<P>& chunk) {
    const int t = threadIdx.x % 4;
    u32 votes = 0;
    if constexpr (MASKED) votes = __ballot_sync(kAllLanes, chunk.mask & 1);
#pragma unroll
    for (int tile = 0; tile < P::kTiles; ++tile)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int source = 4 * (2 * t + c) + tile;
        if constexpr (P::kPlanes == 2) scale[tile][c] = float_of_half(static_cast<u16>(__shfl_sync(kAllLanes, chunk.scale, source)));
        if constexpr (MASKED) counts[tile][c] = votes >> source & 1;
      }
  }
};

// greatest[r] is of query token 8 r + g of this half of the block, over the columns that this lane holds.
template <class P>
__device__ __forceinline__ void keep_greatest(float (&greatest)[2], const typename P::Sum (&sum)[P::kTiles][4], const Columns<P>& columns) {
#pragma unroll
  for (int tile = 0; tile < P::kTiles; ++tile)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float value = value_of(sum[tile][i], columns.scale[tile][i % 2]);
      if constexpr (MASKED) value = columns.counts[tile][i % 2] ? value : NEGATIVE_INFINITY;
      greatest[i / 2] = fmaxf(greatest[i / 2], value);
    }
}

struct Shared {
  float partial[2][kWarps][kQueryBlock];  // each warp's greatest of a pass, for each query token
  double terms[kQueryBlock];
  double total;
  int places[4];  // in the list of candidates: of the block's document number i, at i % 4
};

__device__ __forceinline__ void write_partial(float (&row)[kQueryBlock], const float (&greatest)[2][2]) {
  const int lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float v = greatest[half][r];
      v = fmaxf(v, __shfl_xor_sync(kAllLanes, v, 1));
      v = fmaxf(v, __shfl_xor_sync(kAllLanes, v, 2));
      if (t == 0) row[kQueryTile * half + 8 * r + g] = v;
    }
}

// A warp adds a pass to a document's total, in the order of the query's tokens: the same bits as the CPU's. Lane 0 gets it.
__device__ __forceinline__ double add_pass(Shared& shared, int parity, const double* scales, int n_tokens, bool first) {
  const int lane = threadIdx.x % kWarp;
  float v = shared.partial[parity][0][lane];
#pragma unroll
  for (int warp = 1; warp < kWarps; ++warp) v = fmaxf(v, shared.partial[parity][warp][lane]);
  // A document none of whose tokens counts scores 0.
  shared.terms[lane] = v == NEGATIVE_INFINITY ? 0.0 : __dmul_rn(v, __ldg(scales + lane));
  __syncwarp();
  double total = 0.0;
  if (lane == 0) {
    if (!first) total = shared.total;
    for (int i = 0; i < n_tokens; ++i) total = __dadd_rn(total, shared.terms[i]);
    shared.total = total;
  }
  return total;
}

struct Work {
  Rows rows;
  const i64* offsets;       // (N + 1): where each document's rows begin
  int n_documents;
  const uint4* fragments;   // of all queries, as maxsim_query.cu writes them
  const double* scales;
  const int2* queries;      // of each query: its first block of 32 tokens, its tokens
  const int* candidates;    // documents, by number; one that does not exist scores minus infinity
  const int* owners;        // of each candidate: its query; null: the first
  const int* count;         // how many candidates; null: n_candidates
  int n_candidates;
  float* scores;
  int* queue;               // two zeros, and again when the kernel has ended
};

__device__ __forceinline__ Document document_at(const Work& work, int place, int n_candidates) {
  Document document = {0, 0};
  if (place < n_candidates) {
    const int number = __ldg(work.candidates + place);
    if (number >= 0 && number < work.n_documents) {
      const i64 begin = __ldg(work.offsets + number);
      document.begin = static_cast<u32>(begin);
      document.length = static_cast<int>(__ldg(work.offsets + number + 1) - begin);
    }
  }
  return document;
}

__device__ __forceinline__ int2 query_of(const Work& work, int place) {
  return __ldg(work.queries + (MANY && work.owners ? __ldg(work.owners + place) : 0));
}

__device__ __forceinline__ float score_of(const Work& work, int place, double total) {
  const int number = __ldg(work.candidates + place);
  if (number < 0 || number >= work.n_documents) return NEGATIVE_INFINITY;
  return static_cast<float>(__ddiv_rn(total, query_of(work, place).y));
}

// One block's share of the candidates. The first document is the block's number, so that the first rows are on their way before the
// queue has answered; the queue is asked two documents ahead, and each document's place is looked up one document ahead.
template <class Format>
__device__ __forceinline__ void score_candidates(const Work& work) {
  using P = Plan<Format>;
  __shared__ Shared shared;
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const bool first_thread = threadIdx.x == 0;
  const int n_candidates = work.count ? min(__ldg(work.count), work.n_candidates) : work.n_candidates;

  if (first_thread) {
    shared.places[0] = blockIdx.x;
    shared.places[1] = gridDim.x + atomicAdd(work.queue, 1);
  }
  Document document = document_at(work, blockIdx.x, n_candidates);
  Chunk<P> now = {};
  if (document.length > 0) load(now, work.rows, document, warp * P::kUnit, 0);
  Query<P> query;
  int held = 0;  // the block of query tokens that `query` has
  int turn = 0;  // passes so far
  int done = 0;  // documents so far
  query.load(work.fragments + lane);
  __syncthreads();

  for (; shared.places[done % 4] < n_candidates; ++done) {
    const Document next = document_at(work, shared.places[(done + 1) % 4], n_candidates);
    int place_after_next = 0;
    if (first_thread) place_after_next = gridDim.x + atomicAdd(work.queue, 1);
    int2 asked = {0, 1};
    if constexpr (MANY) asked = query_of(work, shared.places[done % 4]);
    int block = asked.x;

    for (int left = asked.y; left > 0; left -= kQueryBlock, ++block, ++turn) {
      const bool last_pass = !MANY || left <= kQueryBlock;
      if (MANY && block != held) {
        query.load(work.fragments + static_cast<i64>(block) * (P::kPlanes * 2 * P::kSteps * kWarp) + lane);
        held = block;
      }
      float greatest[2][2] = {{NEGATIVE_INFINITY, NEGATIVE_INFINITY}, {NEGATIVE_INFINITY, NEGATIVE_INFINITY}};

      // A warp whose first unit is past the end does the last token again; see above.
      int token = warp * P::kUnit;
      bool pass_ends = document.length == 0;
      if (pass_ends && last_pass && next.length > 0) load(now, work.rows, next, token, 0);
      while (!pass_ends) {
        pass_ends = token + kWarps * P::kUnit >= document.length;
        typename P::Sum sum[2][P::kTiles][4];
#pragma unroll 1
        for (int chunk = 0; chunk < P::kChunks; ++chunk) {
          // What comes after: more of this document, the document again for the next pass, or the next document.
          const bool row_ends = chunk + 1 == P::kChunks;
          const bool leaves = row_ends && pass_ends && last_pass;
          const Document from = {leaves ? next.length : document.length, leaves ? next.begin : document.begin};
          const int place = !row_ends ? token : pass_ends ? warp * P::kUnit : token + kWarps * P::kUnit;
          Chunk<P> after;
          if (from.length > 0) load(after, work.rows, from, place, row_ends ? 0 : chunk + 1);
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            if (chunk == 0) clear(sum[half]);
            multiply<P>(sum[half], query, now, half, chunk);
            if (row_ends) keep_greatest<P>(greatest[half], sum[half], Columns<P>(now));
          }
          if (!row_ends) keep_sides(after, now);
          now = after;
        }
        token += kWarps * P::kUnit;
      }

      // One barrier a pass: whoever writes partial maxima or places again where they were has met two.
      write_partial(shared.partial[turn % 2][warp], greatest);
      if (first_thread && last_pass) shared.places[(done + 2) % 4] = place_after_next;
      __syncthreads();
      if (warp == turn % kWarps) {
        const int place = shared.places[done % 4];
        const int2 query_asked = query_of(work, place);
        const double* scales = work.scales + static_cast<i64>(block) * kQueryBlock;
        const int n_tokens = min(kQueryBlock, query_asked.x * kQueryBlock + query_asked.y - block * kQueryBlock);
        const double total = add_pass(shared, turn % 2, scales, n_tokens, !MANY || block == query_asked.x);
        if (last_pass && lane == 0) work.scores[place] = score_of(work, place, total);
      }
    }
    document = next;
  }

  // The last block to end leaves the queue as it was found: a captured graph can run the kernel again.
  if (first_thread) {
    __threadfence();
    if (atomicAdd(work.queue + 1, 1) == static_cast<int>(gridDim.x) - 1) {
      work.queue[0] = 0;
      work.queue[1] = 0;
    }
  }
}
