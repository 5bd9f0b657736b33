// A GPU's thread block on one CPU core: the text of a .cu file, compiled by a C++ compiler behind this header, runs lane by lane.
//
// Each thread of a block is a fibre with a stack of its own. It runs until it meets an operation of its warp (a shuffle, a vote, a
// tensor-core product) or a barrier, and goes on when all who must be there have come; between these points the fibres run in an
// order that a seed decides, so a missing barrier shows as another result. Blocks run one after another, also in a seeded order.
//
// Reported instead of computed wrongly: lanes of a warp at different operations, a warp or a block that waits for a thread that has
// ended, a shuffle without all lanes, a load outside the arrays that the kernel was given, a load that is not aligned.
//
// Not modelled: blocks at the same time (an atomic counter is met in any order, a spin on another block never ends), the device's
// memory model, the order of sums inside a tensor core (here: double, rounded once).
#pragma once
#define RAGJP_LANES_ON_HOST

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __noinline__
#define __restrict__ __restrict
#define NEGATIVE_INFINITY (-__builtin_inff())
#ifndef INFINITY
#define INFINITY __builtin_inff()
#endif

struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
struct int2 { int x, y; };
struct int4 { int x, y, z, w; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;

namespace shim {

constexpr int kLanes = 32;
constexpr int kMostThreads = 1024;
constexpr size_t kStack = 64 * 1024;
constexpr size_t kPayload = 64;

struct Range { size_t begin, end; };
struct Warp {
  int arrived;
  unsigned turn;
  const char* what;
  // Two sets: a lane may be one operation ahead of another, never two.
  alignas(16) unsigned char slots[2][kLanes][kPayload];
};
struct Fibre {
  jmp_buf at;
  ucontext_t start;
  bool started, done;
  const char* waits;      // what it waits for; null while it can run
  const unsigned* turn;   // it can run again when this is no longer `seen`
  unsigned seen;
  unsigned thread;
};

static Fibre fibres[kMostThreads];
static Warp warps[kMostThreads / kLanes];
static unsigned char* stacks;
static jmp_buf scheduler;
static Fibre* current;
static unsigned n_threads, barrier_arrived, barrier_turn;
static Range ranges[64];
static int n_ranges;
static char message[512];
static unsigned random_state;
static void (*body)(void*);
static void* body_argument;

inline unsigned random_number() { return random_state = random_state * 1664525u + 1013904223u, random_state >> 8; }

[[noreturn]] inline void fail(const char* what) {
  snprintf(message, sizeof message, "%s (block %u, thread %u)", what, blockIdx.x, threadIdx.x);
  _longjmp(scheduler, 2);
}

inline void wait(const char* what, const unsigned* turn, unsigned seen) {
  current->waits = what;
  current->turn = turn;
  current->seen = seen;
  if (_setjmp(current->at) == 0) _longjmp(scheduler, 1);
}

inline int lane() { return threadIdx.x % kLanes; }
inline Warp& warp() { return warps[threadIdx.x / kLanes]; }

// Meet the other lanes. `complete` is run once, by whoever comes last, over all lanes' payloads.
template <class Payload>
inline Payload meet(const char* what, const Payload& mine, void (*complete)(Payload*) = nullptr) {
  static_assert(sizeof(Payload) == kPayload, "a payload fills its slot");
  Warp& w = warp();
  const unsigned turn = w.turn;
  if (w.arrived == 0) w.what = what;
  if (strcmp(w.what, what) != 0) fail("lanes of a warp are at different operations");
  auto* slots = reinterpret_cast<Payload*>(w.slots[turn & 1]);
  const int me = lane();
  memcpy(&slots[me], &mine, kPayload);
  if (++w.arrived == kLanes) {
    if (complete) complete(slots);
    w.arrived = 0;
    ++w.turn;
  } else {
    wait(what, &w.turn, turn);
  }
  return slots[me];
}

struct Word { unsigned char bytes[kPayload]; };

// Every lane's value, as lane `of` sees it.
template <class T>
inline T exchange(const char* what, unsigned mask, T value, int of) {
  static_assert(sizeof(T) <= 16, "a register or four");
  if (mask != 0xffffffffu) fail("an operation of a warp without all its lanes");
  Word word = {};
  memcpy(word.bytes, &value, sizeof value);
  const unsigned turn = warp().turn;
  meet(what, word);
  T found;
  memcpy(&found, warp().slots[turn & 1][of], sizeof found);
  return found;
}

template <class T>
inline const T* checked(const T* from, size_t alignment = alignof(T)) {
  const size_t begin = reinterpret_cast<size_t>(from);
  if (begin % alignment) fail("a load that is not aligned");
  for (int i = 0; i < n_ranges; ++i)
    if (ranges[i].begin <= begin && begin + sizeof(T) <= ranges[i].end) return from;
  fail("a load outside the arrays that the kernel was given");
}

inline float float_of_bits(unsigned bits) {
  float v;
  memcpy(&v, &bits, 4);
  return v;
}

inline float half_value(unsigned half) {
  const unsigned sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
  if (exponent) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float v = ldexpf(static_cast<float>(fraction), -24);
  return sign ? -v : v;
}

inline unsigned short half_bits(float v) {  // to nearest, ties to even
  unsigned bits;
  memcpy(&bits, &v, 4);
  const unsigned short sign = bits >> 16 & 0x8000;
  const float size = fabsf(v);
  if (size != size) return sign | 0x7e00;
  if (size >= 65520.0f) return sign | 0x7c00;
  if (size < 6.103515625e-05f) return sign | static_cast<unsigned short>(nearbyintf(ldexpf(size, 24)));
  const unsigned kept = bits & 0x7fffffffu;
  const unsigned rounded = kept + 0xfffu + (kept >> 13 & 1);
  return sign | static_cast<unsigned short>((rounded - (112u << 23)) >> 13);
}

// What a lane brings to a product of R x K by K x 8: registers of A and B, its places of the sum. See lanes.cuh for who holds what.
struct Fragments {
  unsigned a[4], b[2];
  union { float f[4]; int i[4]; } sum;
  unsigned char rest[24];
};

// Values of A (by element type) and B in the order of rows and k, read out of the lanes. A register holds 4 / size numbers of a row;
// four lanes hold the 16 bytes of k that one register of each makes up; A has rows g and g + 8 in registers next to each other.
template <int kRows, int kBytes, class Read>
inline void spread(const Fragments* lanes, const Read& read) {
  for (int k = 0; k < kBytes; ++k) {
    const int part = k / 16, t = k % 16 / 4, shift = k % 4 * 8;
    for (int row = 0; row < kRows; ++row)
      read(true, row, k, lanes[row % 8 * 4 + t].a[row / 8 + kRows / 8 * part] >> shift & 0xff);
    for (int column = 0; column < 8; ++column) read(false, column, k, lanes[column * 4 + t].b[part] >> shift & 0xff);
  }
}

// Bytes of k: 16 or 32, so 8 or 16 halves.
template <int kBytes>
inline void multiply_halves(Fragments* lanes) {
  unsigned a[16][kBytes], b[8][kBytes];
  spread<16, kBytes>(lanes, [&](bool left, int row, int k, unsigned byte) { (left ? a[row] : b[row])[k] = byte; });
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      float& sum = lanes[row % 8 * 4 + column / 2].sum.f[row / 8 * 2 + column % 2];
      double total = sum;
      for (int k = 0; k < kBytes; k += 2)
        total += static_cast<double>(half_value(a[row][k] | a[row][k + 1] << 8)) * half_value(b[column][k] | b[column][k + 1] << 8);
      sum = static_cast<float>(total);
    }
}

template <int kRows, int kBytes, class A>
inline void multiply_bytes(Fragments* lanes) {
  int a[16][kBytes], b[8][kBytes];
  spread<kRows, kBytes>(lanes, [&](bool left, int row, int k, unsigned byte) {
    if (left) a[row][k] = static_cast<A>(byte);
    else b[row][k] = static_cast<signed char>(byte);
  });
  for (int row = 0; row < kRows; ++row)
    for (int column = 0; column < 8; ++column) {
      int& sum = lanes[row % 8 * 4 + column / 2].sum.i[row / 8 * 2 + column % 2];
      unsigned total = static_cast<unsigned>(sum);
      for (int k = 0; k < kBytes; ++k) total += static_cast<unsigned>(a[row][k] * b[column][k]);
      sum = static_cast<int>(total);
    }
}

inline void enter() {
  body(body_argument);
  current->done = true;
  _longjmp(scheduler, 1);
}

inline bool ready(const Fibre& f) { return !f.done && (!f.waits || *f.turn != f.seen); }

// Lets a fibre run until it waits or ends. False when it failed.
__attribute__((noinline)) inline bool resume(Fibre& f) {
  current = &f;
  threadIdx = {f.thread % blockDim.x, f.thread / blockDim.x, 0};
  const int why = _setjmp(scheduler);
  if (why) return why == 1;
  f.waits = nullptr;
  if (f.started) _longjmp(f.at, 1);
  f.started = true;
  getcontext(&f.start);
  f.start.uc_stack.ss_sp = stacks + kStack * f.thread;
  f.start.uc_stack.ss_size = kStack;
  f.start.uc_link = nullptr;
  makecontext(&f.start, enter, 0);
  setcontext(&f.start);
  return false;
}

template <class T>
inline void shuffle(T* items, unsigned n) {
  for (unsigned i = n; i > 1; --i) {
    const unsigned j = random_number() % i;
    const T other = items[i - 1];
    items[i - 1] = items[j], items[j] = other;
  }
}

// Runs one block to its end. False when it failed or cannot end; then `message` says why.
inline bool run_block() {
  static unsigned order[kMostThreads];
  memset(warps, 0, sizeof warps);
  barrier_arrived = barrier_turn = 0;
  for (unsigned i = 0; i < n_threads; ++i) {
    fibres[i].started = fibres[i].done = false;
    fibres[i].waits = nullptr;
    fibres[i].thread = order[i] = i;
  }
  for (bool left = true; left;) {
    shuffle(order, n_threads);
    bool ran = false;
    left = false;
    for (unsigned i = 0; i < n_threads; ++i) {
      Fibre& f = fibres[order[i]];
      if (ready(f)) {
        ran = true;
        if (!resume(f)) return false;
      }
      left |= !f.done;
    }
    if (left && !ran) {
      unsigned k = 0;
      while (fibres[k].done) ++k;
      snprintf(message, sizeof message, "thread %u of block %u waits for ever at %s", k, blockIdx.x, fibres[k].waits);
      return false;
    }
  }
  return true;
}

template <size_t... I>
struct Numbers {};
template <size_t N, size_t... I>
struct Counted : Counted<N - 1, N - 1, I...> {};
template <size_t... I>
struct Counted<0, I...> { using type = Numbers<I...>; };

template <class... A>
struct Call {
  void (*kernel)(A...);
  void** arguments;
  template <size_t... I>
  void apply(Numbers<I...>) const { kernel(*static_cast<A*>(arguments[I])...); }
};

// Launches a kernel as cuLaunchKernel does: `arguments` are addresses of values of exactly the kernel's types. Null when all is well,
// else what went wrong.
template <class... A>
inline const char* launch(void (*kernel)(A...), const unsigned* shape, unsigned seed, void** arguments, const size_t* spans, int n_spans) {
  static Call<A...> call;
  call = {kernel, arguments};
  gridDim = {shape[0], shape[1], shape[2]};
  blockDim = {shape[3], shape[4], shape[5]};
  n_threads = shape[3] * shape[4] * shape[5];
  if (n_threads == 0 || n_threads > kMostThreads || n_threads % kLanes || shape[5] != 1) return "a block is not whole warps, 1,024 threads at most";
  if (!stacks) stacks = static_cast<unsigned char*>(aligned_alloc(4096, kStack * kMostThreads));
  n_ranges = n_spans;
  if (n_spans > 64) return "too many arrays";
  for (int i = 0; i < n_spans; ++i) ranges[i] = {spans[2 * i], spans[2 * i] + spans[2 * i + 1]};
  random_state = seed;
  body = [](void* it) { static_cast<Call<A...>*>(it)->apply(typename Counted<sizeof...(A)>::type()); };
  body_argument = &call;
  const unsigned n_blocks = shape[0] * shape[1] * shape[2];
  unsigned* blocks = static_cast<unsigned*>(malloc(sizeof(unsigned) * (n_blocks + 1)));
  for (unsigned i = 0; i < n_blocks; ++i) blocks[i] = i;
  shuffle(blocks, n_blocks);
  bool sound = true;
  for (unsigned i = 0; i < n_blocks && sound; ++i) {
    blockIdx = {blocks[i] % shape[0], blocks[i] / shape[0] % shape[1], blocks[i] / shape[0] / shape[1]};
    sound = run_block();
  }
  free(blocks);
  return sound ? nullptr : message;
}

}  // namespace shim

// ------------------------------------------------------------------------------------- what the kernels call, as on a device

inline void __syncthreads() {
  const unsigned turn = shim::barrier_turn;
  if (++shim::barrier_arrived == shim::n_threads) {
    shim::barrier_arrived = 0;
    ++shim::barrier_turn;
  } else {
    shim::wait("__syncthreads", &shim::barrier_turn, turn);
  }
}
inline int __syncthreads_or(int predicate) {
  static int any[2];
  const unsigned turn = shim::barrier_turn & 1;
  if (shim::barrier_arrived == 0) any[turn] = 0;
  any[turn] |= predicate != 0;
  __syncthreads();
  return any[turn];
}
inline int __syncthreads_count(int predicate) {
  static int count[2];
  const unsigned turn = shim::barrier_turn & 1;
  if (shim::barrier_arrived == 0) count[turn] = 0;
  count[turn] += predicate != 0;
  __syncthreads();
  return count[turn];
}
inline void __syncwarp(unsigned mask = 0xffffffffu) { shim::exchange("__syncwarp", mask, 0, 0); }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  return shim::exchange("__shfl_sync", mask, value, (shim::lane() & ~(width - 1)) + (from & (width - 1)));
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int by, int width = 32) {
  const int other = shim::lane() ^ by;
  return shim::exchange("__shfl_xor_sync", mask, value, other / width > shim::lane() / width ? shim::lane() : other);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int place = shim::lane() % width;
  return shim::exchange("__shfl_up_sync", mask, value, place < static_cast<int>(by) ? shim::lane() : shim::lane() - static_cast<int>(by));
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int place = shim::lane() % width;
  return shim::exchange("__shfl_down_sync", mask, value, place + static_cast<int>(by) >= width ? shim::lane() : shim::lane() + static_cast<int>(by));
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  if (mask != 0xffffffffu) shim::fail("an operation of a warp without all its lanes");
  shim::Word word = {};
  word.bytes[0] = predicate != 0;
  const unsigned turn = shim::warp().turn;
  shim::meet("__ballot_sync", word);
  unsigned votes = 0;
  for (int i = 0; i < shim::kLanes; ++i) votes |= static_cast<unsigned>(shim::warp().slots[turn & 1][i][0]) << i;
  return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == 0xffffffffu; }
template <class T>
inline T reduce_lanes(const char* what, unsigned mask, T value, T (*join)(T, T)) {
  const unsigned turn = shim::warp().turn;
  shim::exchange(what, mask, value, 0);
  T all, one;
  memcpy(&all, shim::warp().slots[turn & 1][0], sizeof all);
  for (int i = 1; i < shim::kLanes; ++i) memcpy(&one, shim::warp().slots[turn & 1][i], sizeof one), all = join(all, one);
  return all;
}
// sm_80 and later.
template <class T>
inline T __reduce_add_sync(unsigned mask, T v) { return reduce_lanes<T>("__reduce_add_sync", mask, v, [](T a, T b) -> T { return a + b; }); }
template <class T>
inline T __reduce_max_sync(unsigned mask, T v) { return reduce_lanes<T>("__reduce_max_sync", mask, v, [](T a, T b) -> T { return a > b ? a : b; }); }

template <class T>
inline T __ldg(const T* from) { return *shim::checked(from); }
inline uint4 __ldg(const uint4* from) { return *shim::checked(from, 16); }
inline uint2 __ldg(const uint2* from) { return *shim::checked(from, 8); }

template <class T, class U>
inline T atomicAdd(T* at, U value) { const T old = *at; *at = static_cast<T>(old + value); return old; }
template <class T, class U>
inline T atomicMax(T* at, U value) { const T old = *at; if (static_cast<T>(value) > old) *at = static_cast<T>(value); return old; }
template <class T, class U>
inline T atomicMin(T* at, U value) { const T old = *at; if (static_cast<T>(value) < old) *at = static_cast<T>(value); return old; }
template <class T, class U>
inline T atomicOr(T* at, U value) { const T old = *at; *at = old | static_cast<T>(value); return old; }
template <class T, class U>
inline T atomicExch(T* at, U value) { const T old = *at; *at = static_cast<T>(value); return old; }
template <class T, class U, class V>
inline T atomicCAS(T* at, U expected, V value) { const T old = *at; if (old == static_cast<T>(expected)) *at = static_cast<T>(value); return old; }

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }
inline long long max(long long a, long long b) { return a > b ? a : b; }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __clz(int v) { return v ? __builtin_clz(static_cast<unsigned>(v)) : 32; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (v >> i & 1) << (31 - i);
  return r;
}
inline unsigned __float_as_uint(float v) { unsigned bits; memcpy(&bits, &v, 4); return bits; }
inline int __float_as_int(float v) { int bits; memcpy(&bits, &v, 4); return bits; }
inline float __uint_as_float(unsigned bits) { return shim::float_of_bits(bits); }
inline float __int_as_float(int bits) { return shim::float_of_bits(static_cast<unsigned>(bits)); }
inline float __int2float_rn(int v) { return static_cast<float>(v); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __ddiv_rn(double a, double b) { return a / b; }

inline uint4 load16_once(const void* from) { return *shim::checked(static_cast<const uint4*>(from), 16); }
inline uint2 load8_once(const void* from) { return *shim::checked(static_cast<const uint2*>(from), 8); }
inline float float_of_half(unsigned short half) { return shim::half_value(half); }
inline unsigned short half_of_float(float v) { return shim::half_bits(v); }

inline void mma_m16n8k16(float (&sum)[4], const uint4& a, unsigned b0, unsigned b1) {
  shim::Fragments mine = {{a.x, a.y, a.z, a.w}, {b0, b1}};
  memcpy(mine.sum.f, sum, 16);
  mine = shim::meet("mma_m16n8k16", mine, shim::multiply_halves<32>);
  memcpy(sum, mine.sum.f, 16);
}
inline void mma_m16n8k8(float (&sum)[4], unsigned a0, unsigned a1, unsigned b) {
  shim::Fragments mine = {{a0, a1}, {b}};
  memcpy(mine.sum.f, sum, 16);
  mine = shim::meet("mma_m16n8k8", mine, shim::multiply_halves<16>);
  memcpy(sum, mine.sum.f, 16);
}
template <class A>
inline void mma_m16n8k32(const char* what, int (&sum)[4], const uint4& a, unsigned b0, unsigned b1) {
  shim::Fragments mine = {{a.x, a.y, a.z, a.w}, {b0, b1}};
  memcpy(mine.sum.i, sum, 16);
  mine = shim::meet(what, mine, shim::multiply_bytes<16, 32, A>);
  memcpy(sum, mine.sum.i, 16);
}
template <class A>
inline void mma_m8n8k16(const char* what, int& s0, int& s1, unsigned a, unsigned b) {
  shim::Fragments mine = {{a}, {b}};
  mine.sum.i[0] = s0, mine.sum.i[1] = s1;
  mine = shim::meet(what, mine, shim::multiply_bytes<8, 16, A>);
  s0 = mine.sum.i[0], s1 = mine.sum.i[1];
}
inline void mma_m16n8k32_s8(int (&sum)[4], const uint4& a, unsigned b0, unsigned b1) { mma_m16n8k32<signed char>("mma_m16n8k32_s8", sum, a, b0, b1); }
inline void mma_m16n8k32_u8(int (&sum)[4], const uint4& a, unsigned b0, unsigned b1) { mma_m16n8k32<unsigned char>("mma_m16n8k32_u8", sum, a, b0, b1); }
inline void mma_m8n8k16_s8(int& s0, int& s1, unsigned a, unsigned b) { mma_m8n8k16<signed char>("mma_m8n8k16_s8", s0, s1, a, b); }
inline void mma_m8n8k16_u8(int& s0, int& s1, unsigned a, unsigned b) { mma_m8n8k16<unsigned char>("mma_m8n8k16_u8", s0, s1, a, b); }

// For each kernel, what Python calls.
#define SHIM_EXPORT(name)                                                                                              \
  extern "C" const char* shim_##name(const unsigned* shape, unsigned seed, void** arguments, const size_t* spans, int n) { \
    return shim::launch(name, shape, seed, arguments, spans, n);                                                       \
  }
