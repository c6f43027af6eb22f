/* may write over its input, without padding: what is written lies behind what is still to be read */
static void pool_X(const window_t *w, const X_t *x, X_t *y, int mean) {
    for (int32_t py = 0; py < w->yh; py++)
        for (int32_t px = 0; px < w->yw; px++)
            for (int32_t o = 0; o < w->yc; o++) {
                int32_t best = -32768, total = 0, n = w->kh * w->kw;
                for (int32_t i = 0; i < w->kh; i++)
                    for (int32_t j = 0; j < w->kw; j++) {
                        int32_t row = py * w->sh - w->top + i * w->dh, column = px * w->sw - w->left + j * w->dw;
                        if (row < 0 || row >= w->xh || column < 0 || column >= w->xw) continue;
                        int32_t v = x[(row * w->xw + column) * w->xc + o];
                        total += v;
                        if (v > best) best = v;
                    }
                /* floor((2 total + n) / (2 n)): 256 n makes the dividend positive */
                *y++ = (X_t)(mean ? (2 * total + n + 256 * n) / (2 * n) - 128 : best);
            }
}
