// What the kernels need below C++: loads of a chosen kind, halves, tensor-core products. Stands before every .cu file.
// Nothing is included: not even cuda_fp16.h has to be found where ragjp runs.
//
// tests/kernels/shim.h defines RAGJP_LANES_ON_HOST and the same functions for a CPU, where 32 fibres are a warp.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

constexpr u32 kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;

#ifndef RAGJP_LANES_ON_HOST

#define NEGATIVE_INFINITY __int_as_float(0xff800000)

// 16 and 8 bytes that are read once: through the read-only path, without a place in the first-level cache. Aligned to their size.
__device__ __forceinline__ uint4 load16_once(const void* from) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}

__device__ __forceinline__ uint2 load8_once(const void* from) {
  uint2 v;
  asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(from));
  return v;
}

__device__ __forceinline__ float float_of_half(u16 half) {
  float v;
  asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(half));
  return v;
}

__device__ __forceinline__ u16 half_of_float(float v) {
  u16 half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(v));
  return half;
}

// sum += A * B for a warp: A is 16 x 16 halves, B is 16 x 8 halves, the sum is 16 x 8 floats.
//
// With g = lane / 4 and t = lane % 4 (PTX ISA, "Matrix fragments for mma.m16n8k16"):
//   a.x = A[g][2t, 2t+1]   a.y = A[g+8][2t, 2t+1]   a.z = A[g][2t+8, 2t+9]   a.w = A[g+8][2t+8, 2t+9]
//   b0  = B[2t, 2t+1][g]   b1  = B[2t+8, 2t+9][g]
//   sum = C[g][2t], C[g][2t+1], C[g+8][2t], C[g+8][2t+1]
// sm_75 has half of it as one instruction, so two make one; the order of the sum differs.
__device__ __forceinline__ void mma_f16(float (&sum)[4], const uint4& a, u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.x), "r"(a.y), "r"(b0));
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.z), "r"(a.w), "r"(b1));
#endif
}

// sum += A * B for a warp: A is 16 x 32 bytes, B is 32 x 8 signed bytes, the sum is 16 x 8 int32 that wrap around.
//
// With g = lane / 4 and t = lane % 4 (PTX ISA, "Matrix fragments for mma.m16n8k32"):
//   a.x = A[g][4t .. 4t+3]   a.y = A[g+8][4t ..]   a.z = A[g][4t+16 ..]   a.w = A[g+8][4t+16 ..]
//   b0  = B[4t .. 4t+3][g]   b1  = B[4t+16 ..][g]
//   sum as above. sm_75 has a quarter of it as one instruction.
#if __CUDA_ARCH__ >= 800
#define RAGJP_MMA_BYTES(a_type)                                                                                        \
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32." a_type                                                         \
               ".s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                               \
               : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])                                                \
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1))
#else
#define RAGJP_MMA_QUARTER(a_type, a_part, b_part, first, second)                                                       \
  asm volatile("mma.sync.aligned.m8n8k16.row.col.s32." a_type ".s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"                \
               : "+r"(sum[first]), "+r"(sum[second])                                                                   \
               : "r"(a_part), "r"(b_part))
#define RAGJP_MMA_BYTES(a_type)                                                                                        \
  RAGJP_MMA_QUARTER(a_type, a.x, b0, 0, 1);                                                                            \
  RAGJP_MMA_QUARTER(a_type, a.y, b0, 2, 3);                                                                            \
  RAGJP_MMA_QUARTER(a_type, a.z, b1, 0, 1);                                                                            \
  RAGJP_MMA_QUARTER(a_type, a.w, b1, 2, 3)
#endif

// A is signed.
__device__ __forceinline__ void mma_s8(int (&sum)[4], const uint4& a, u32 b0, u32 b1) { RAGJP_MMA_BYTES("s8"); }

// A is unsigned.
__device__ __forceinline__ void mma_u8(int (&sum)[4], const uint4& a, u32 b0, u32 b1) { RAGJP_MMA_BYTES("u8"); }

#endif  // RAGJP_LANES_ON_HOST
