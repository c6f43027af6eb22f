static void average_X_Y(const window_t *w, const X_t *x, Y_t *y, int64_t multiplier, int32_t shift, const ends_t *e) {
    for (int32_t py = 0; py < w->yh; py++)
        for (int32_t px = 0; px < w->yw; px++)
            for (int32_t o = 0; o < w->yc; o++) {
                int32_t total = 0;
                for (int32_t i = 0; i < w->kh; i++)
                    for (int32_t j = 0; j < w->kw; j++) {
                        int32_t row = py * w->sh - w->top + i * w->dh, column = px * w->sw - w->left + j * w->dw;
                        if (row < 0 || row >= w->xh || column < 0 || column >= w->xw) continue;
                        total += x[(row * w->xw + column) * w->xc + o];
                    }
                *y++ = (Y_t)code_of(total * multiplier, shift, e);
            }
}
