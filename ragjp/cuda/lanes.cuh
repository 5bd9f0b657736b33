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

// The tensor cores' own instructions, for a warp. With g = lane / 4 and t = lane % 4 a lane holds (PTX ISA, "Matrix fragments for mma"):
//
//   C, 16 x 8    sum[0], sum[1] = C[g][2t], C[g][2t+1]    sum[2], sum[3] = C[g+8][2t], C[g+8][2t+1]
//   m16n8k16     halves   a.x = A[g][2t, 2t+1]    a.y = A[g+8][2t, 2t+1]    a.z = A[g][2t+8, 2t+9]    a.w = A[g+8][2t+8, 2t+9]
//                         b0 = B[2t, 2t+1][g]     b1 = B[2t+8, 2t+9][g]
//   m16n8k32     bytes    a.x = A[g][4t .. 4t+3]  a.y = A[g+8][4t ..]       a.z = A[g][4t+16 ..]      a.w = A[g+8][4t+16 ..]
//                         b0 = B[4t .. 4t+3][g]   b1 = B[4t+16 ..][g]
//   m16n8k8      halves   a0 = A[g][2t, 2t+1]     a1 = A[g+8][2t, 2t+1]     b = B[2t, 2t+1][g]        (all that sm_75 has)
//   m8n8k16      bytes    a = A[g][4t .. 4t+3]    b = B[4t .. 4t+3][g]      C, 8 x 8: s0, s1 = C[g][2t], C[g][2t+1]
#if __CUDA_ARCH__ >= 800

__device__ __forceinline__ void mma_m16n8k16(float (&sum)[4], const uint4& a, u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

#define RAGJP_M16N8K32(name, a_type)                                                                                   \
  __device__ __forceinline__ void name(int (&sum)[4], const uint4& a, u32 b0, u32 b1) {                                \
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32." a_type                                                       \
                 ".s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                             \
                 : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])                                              \
                 : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));                                          \
  }
RAGJP_M16N8K32(mma_m16n8k32_s8, "s8")
RAGJP_M16N8K32(mma_m16n8k32_u8, "u8")

#else

__device__ __forceinline__ void mma_m16n8k8(float (&sum)[4], u32 a0, u32 a1, u32 b) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a0), "r"(a1), "r"(b));
}

#define RAGJP_M8N8K16(name, a_type)                                                                                    \
  __device__ __forceinline__ void name(int& s0, int& s1, u32 a, u32 b) {                                               \
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32." a_type ".s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"              \
                 : "+r"(s0), "+r"(s1)                                                                                  \
                 : "r"(a), "r"(b));                                                                                    \
  }
RAGJP_M8N8K16(mma_m8n8k16_s8, "s8")
RAGJP_M8N8K16(mma_m8n8k16_u8, "u8")

#endif
#endif  // RAGJP_LANES_ON_HOST

// What the kernels call: sum += A * B, with the fragments of m16n8k16 and m16n8k32 on every architecture. sm_75 takes two or four smaller
// instructions; integer sums are the same, those of floats are rounded in another order. Integers wrap around.

__device__ __forceinline__ void mma_f16(float (&sum)[4], const uint4& a, u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
  mma_m16n8k16(sum, a, b0, b1);
#else
  mma_m16n8k8(sum, a.x, a.y, b0);
  mma_m16n8k8(sum, a.z, a.w, b1);
#endif
}

// A's bytes are signed.
__device__ __forceinline__ void mma_s8(int (&sum)[4], const uint4& a, u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
  mma_m16n8k32_s8(sum, a, b0, b1);
#else
  mma_m8n8k16_s8(sum[0], sum[1], a.x, b0);
  mma_m8n8k16_s8(sum[2], sum[3], a.y, b0);
  mma_m8n8k16_s8(sum[0], sum[1], a.z, b1);
  mma_m8n8k16_s8(sum[2], sum[3], a.w, b1);
#endif
}

// A's bytes are unsigned.
__device__ __forceinline__ void mma_u8(int (&sum)[4], const uint4& a, u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
  mma_m16n8k32_u8(sum, a, b0, b1);
#else
  mma_m8n8k16_u8(sum[0], sum[1], a.x, b0);
  mma_m8n8k16_u8(sum[2], sum[3], a.y, b0);
  mma_m8n8k16_u8(sum[0], sum[1], a.z, b1);
  mma_m8n8k16_u8(sum[2], sum[3], a.w, b1);
#endif
}
