typedef struct {
    window_t w;
    ends_t ends;
    int32_t groups, fill, wide; /* wide: 16-bit codes come out */
    int16_t ph, pw;
    const int8_t *weight, *shift;
    const int32_t *bias, *multiplier; /* multiplier 0: the sums are the result */
} conv_t;

static int32_t dot(const int8_t *a, const int8_t *w, int32_t k) {
    int32_t sum = 0;
    for (int32_t i = 0; i < k; i++) sum += (int32_t)a[i] * w[i];
    return sum;
}

/* four filters at once: each code of the window is loaded once for four products */
static void dot4(const int8_t *a, const int8_t *w, int32_t k, int32_t *sum) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    const int8_t *w1 = w + k, *w2 = w1 + k, *w3 = w2 + k;
    for (int32_t i = 0; i < k; i++) {
        int32_t x = a[i];
        s0 += x * w[i], s1 += x * w1[i], s2 += x * w2[i], s3 += x * w3[i];
    }
    sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
}

/* the window whose top left corner is (y, x); the channels of one group side by side */
static void copy_window(const conv_t *c, const int8_t *image, int32_t y, int32_t x, int8_t *out) {
    const window_t *w = &c->w;
    int32_t width = w->xc / c->groups;
    for (int32_t g = 0; g < c->groups; g++)
        for (int32_t i = 0; i < w->kh; i++)
            for (int32_t j = 0; j < w->kw; j++, out += width) {
                int32_t row = y + i * w->dh, column = x + j * w->dw;
                if (row < 0 || row >= w->xh || column < 0 || column >= w->xw) {
                    for (int32_t k = 0; k < width; k++) out[k] = (int8_t)c->fill;
                } else {
                    const int8_t *from = image + (row * w->xw + column) * w->xc + g * width;
                    for (int32_t k = 0; k < width; k++) out[k] = from[k];
                }
            }
}

/* one output channel: its sum to a code, or to the result itself */
static void finish(const conv_t *c, int32_t o, int32_t sum, void *out, int32_t at) {
    sum += c->bias[o];
    if (!c->multiplier) {
        ((sum32_t *)out)[at] = sum < c->ends.low ? c->ends.low : sum;
        return;
    }
    int32_t code = code_of((int64_t)sum * c->multiplier[o], c->shift[o], &c->ends);
    if (c->wide) ((code16_t *)out)[at] = (code16_t)code;
    else ((int8_t *)out)[at] = (int8_t)code;
}

/* all sums of one window; best: the largest so far of each channel, where a pool looks at several windows (else 0) */
static void one_window(const conv_t *c, const int8_t *row, sum32_t *best, int first, void *out, int32_t at) {
    int32_t k = c->w.kh * c->w.kw * (c->w.xc / c->groups), per_group = c->w.yc / c->groups;
    int32_t step = per_group % 4 ? 1 : 4;
    const int8_t *weight = c->weight;
    for (int32_t o = 0; o < c->w.yc; o += step, weight += step * k) {
        int32_t sum[4];
        if (step == 4) dot4(row + o / per_group * k, weight, k, sum);
        else sum[0] = dot(row + o / per_group * k, weight, k);
        for (int32_t i = 0; i < step; i++) {
            if (!best) finish(c, o + i, sum[i], out, at + o + i);
            else if (first || sum[i] > best[o + i]) best[o + i] = sum[i];
        }
    }
}

/* window and best: scratch memory, or 0 where a window lies in one piece, and where nothing is pooled */
static void conv(const conv_t *c, const int8_t *x, void *out, int8_t *window, sum32_t *best) {
    const window_t *w = &c->w;
    for (int32_t py = 0, at = 0; py < w->yh; py++)
        for (int32_t px = 0; px < w->yw; px++, at += w->yc) {
            for (int32_t i = 0; i < c->ph; i++)
                for (int32_t j = 0; j < c->pw; j++) {
                    int32_t row = (py * c->ph + i) * w->sh - w->top, column = (px * c->pw + j) * w->sw - w->left;
                    if (window) copy_window(c, x, row, column, window);
                    one_window(c, window ? window : x + (row * w->xw + column) * w->xc, best, !i && !j, out, at);
                }
            if (best)
                for (int32_t o = 0; o < w->yc; o++) finish(c, o, best[o], out, at + o);
        }
}
