static void rescale_X_Y(const X_t *x, Y_t *y, int32_t n, int32_t x_zero, int64_t multiplier, int32_t shift, const ends_t *e) {
    for (int32_t i = 0; i < n; i++) y[i] = (Y_t)code_of((x[i] - x_zero) * multiplier, shift, e);
}
