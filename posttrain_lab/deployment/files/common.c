/* the arena holds codes of 8 and 16 bits and sums of 32 in turn: compilers that reason about types must be told */
#if defined(__GNUC__)
#define SHARED __attribute__((may_alias))
#else
#define SHARED
#endif
typedef int16_t SHARED code16_t;
typedef int32_t SHARED sum32_t;

/* the end of an operation: the code of zero, and the lowest and the highest code */
typedef struct {
    int32_t zero, low, high;
} ends_t;

/* (wide + 2^(shift-1)) >> shift, plus the zero point, between two ends: ties go up, towards +infinity.
   The right shift of a negative number is arithmetic: gcc, clang, armcc and MSVC document it. */
static inline int32_t code_of(int64_t wide, int32_t shift, const ends_t *e) {
    int64_t code = ((wide + ((int64_t)1 << (shift - 1))) >> shift) + e->zero;
    return (int32_t)(code < e->low ? e->low : code > e->high ? e->high : code);
}

/* how a window moves: image x of xh * xw pixels with xc channels, output y; beyond the image is padding */
typedef struct {
    int32_t xh, xw, xc, yh, yw, yc;
    int16_t kh, kw, sh, sw, top, left, dh, dw;
} window_t;
