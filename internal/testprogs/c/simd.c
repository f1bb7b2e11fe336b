/* Vector instructions inside functions whose signatures are scalar. */
#include <stdint.h>
#include <stdio.h>
#include <wasm_simd128.h>

#define NOINLINE __attribute__((noinline))

static float a[4096], b[4096];
static uint8_t bytes[65536];

NOINLINE float dot(int rounds)
{
	v128_t sum = wasm_f32x4_splat(0);
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < 4096; i += 4)
			sum = wasm_f32x4_add(wasm_f32x4_mul(wasm_v128_load(a + i), wasm_v128_load(b + i)), sum);
	return wasm_f32x4_extract_lane(sum, 0) + wasm_f32x4_extract_lane(sum, 1) +
	       wasm_f32x4_extract_lane(sum, 2) + wasm_f32x4_extract_lane(sum, 3);
}

NOINLINE uint32_t blend(int rounds)
{
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < 65536 - 16; i += 16) {
			v128_t x = wasm_v128_load(bytes + i), y = wasm_v128_load(bytes + i + 1);
			wasm_v128_store(bytes + i, wasm_u8x16_avgr(wasm_i8x16_swizzle(x, y), wasm_u8x16_add_sat(x, y)));
		}
	uint32_t h = 0;
	for (int i = 0; i < 65536; i++)
		h = h * 31 + bytes[i];
	return h;
}

int main(void)
{
	for (int i = 0; i < 4096; i++) {
		a[i] = (float)(i % 7) / 4;
		b[i] = (float)(i % 11) / 8;
	}
	for (int i = 0; i < 65536; i++)
		bytes[i] = (uint8_t)(i * 37 >> 3);
	printf("dot %.6f\n", dot(200));
	printf("blend %08x\n", blend(50));
	return 0;
}
