"use strict";
/* Runs an integer network: int8 codes in, integers out, equal to PyTorch's bit for bit. An image is [height][width][channel]. */

function bytesOf(text) { return Uint8Array.from(atob(text), c => c.charCodeAt(0)); }

/* CRC-32, as in zip files: a page that was cut short or changed on its way is told, not run */
function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return (crc ^ -1) >>> 0;
}

/* In doubles, which hold integers below 2^53 exactly. A small function of its own: engines compile it once and for all. */
function fourSums(rows, row, weights, w0, k, sums, to) {
  const w1 = w0 + k, w2 = w1 + k, w3 = w2 + k;
  let a = 0, b = 0, c = 0, d = 0;
  for (let i = 0; i < k; i++) {
    const x = rows[row + i];
    a += x * weights[w0 + i]; b += x * weights[w1 + i]; c += x * weights[w2 + i]; d += x * weights[w3 + i];
  }
  sums[to] = a; sums[to + 1] = b; sums[to + 2] = c; sums[to + 3] = d;
}

function gemmInJavaScript(weights) {
  return (n, at, outs, k, rows, sums) => {
    for (let r = 0; r < n; r++) for (let o = 0; o < outs; o += 4) fourSums(rows, r * k, weights, at + o * k, k, sums, r * outs + o);
  };
}

/* Small functions of their own for all that is done for every code, as fourSums is. */
function copied(from, at, n, rows, to) { for (let i = 0; i < n; i++) rows[to + i] = from[at + i]; }

function addProducts(x, at, weights, w, n, sums, to) {
  for (let c = 0; c < n; c++) sums[to + c] = (sums[to + c] + Math.imul(x[at + c], weights[w + c])) | 0;
}

function addMultiple(x, m, totals) { for (let i = 0; i < totals.length; i++) totals[i] += x[i] * m; }

function roundedDown(totals, scale, {zero_point, low, high}, y) {
  for (let i = 0; i < y.length; i++) {
    const code = Math.floor(totals[i] * scale) + zero_point;
    y[i] = code < low ? low : code > high ? high : code;
  }
}

/* the largest sums of two rows of n, into the first */
function largest(sums, to, other, n) { for (let o = 0; o < n; o++) if (sums[other + o] > sums[to + o]) sums[to + o] = sums[other + o]; }

function codesInDoubles(sums, at, op, c, n, y, to) {
  const {bias, factor, zero_point, low, high} = op;
  for (let o = 0; o < n; o++) {
    const code = Math.floor((sums[at + o] + bias[c + o]) * factor[c + o] + 0.5) + zero_point;
    y[to + o] = code < low ? low : code > high ? high : code;
  }
}

function codesInHalves(sums, at, op, c, n, y, to) {
  const {bias, halves: [upper, lower, half, scale], zero_point, low, high} = op;
  for (let o = 0, i = c; o < n; o++, i++) {
    const sum = sums[at + o] + bias[i];
    const code = Math.floor((sum * upper[i] + Math.floor(sum * lower[i] / 65536) + half[i]) * scale[i]) + zero_point;
    y[to + o] = code < low ? low : code > high ? high : code;
  }
}

function onlySums(sums, at, op, c, n, y, to) {
  for (let o = 0; o < n; o++) y[to + o] = Math.min(op.high, Math.max(op.low, sums[at + o] + op.bias[c + o]));
}

function rescaled(x, op, y) {
  const {x_zero, halves: [[upper], [lower], [half], [scale]], zero_point, low, high} = op;
  for (let i = 0; i < y.length; i++) {
    const sum = x[i] - x_zero, code = Math.floor((sum * upper + Math.floor(sum * lower / 65536) + half) * scale) + zero_point;
    y[i] = code < low ? low : code > high ? high : code;
  }
}

/* (sum * m + 2^(shift-1)) >> shift, without 64-bit integers, is floor((sum * upper + floor(sum * lower / 2^16) + half) * scale).
   split: m = upper * 2^16 + lower; both products stay below 2^47, and floors nest: exact for every shift from 17 up.
   Below 17 a product beyond 2^53 is far beyond every code, so doubles are enough: the whole m is the upper part.
   Layers that are `fast` need no halves: Python has proven that floor(sum * (m / 2^shift) + 0.5) is enough. */
function halvesOf(m, shift) {
  const of = f => Float64Array.from(m, (one, o) => f(one, shift[o], shift[o] < 17));
  return [
    of((one, s, whole) => whole ? one : Math.floor(one / 65536)), of((one, s, whole) => whole ? 0 : one % 65536),
    of((one, s, whole) => 2 ** (whole ? s - 1 : s - 17)), of((one, s, whole) => 2 ** (whole ? -s : 16 - s)),
  ];
}

const ARRAYS = {8: Int8Array, 16: Int16Array, 32: Int32Array};
const up = (n, to) => Math.ceil(n / to) * to;

class Network {
  constructor(spec, blob, wasm) {
    this.spec = spec;
    this.values = spec.values.map(v => ({shape: v.shape, codes: new ARRAYS[v.bits](v.shape[0] * v.shape[1] * v.shape[2])}));
    this.ops = spec.operations.map(op => ({...op, x: this.values[op.inputs[0]], y: this.values[op.output]}));
    this.convs = this.ops.filter(op => op.kind === "conv");
    this.memory(wasm);
    for (const op of this.convs) this.load(op, new DataView(blob.buffer, blob.byteOffset));
    for (const op of this.ops) if (op.m && op.kind !== "sum") op.halves = halvesOf(op.m, op.shift);
  }

  /* one memory: weights, int16 rows, int32 sums; rows of windows are as long as a multiple of 8, filters as many as one of 4 */
  memory(wasm) {
    let at = 0, rows = 0, sums = 0;
    for (const op of this.convs) {
      op.alone = op.groups > 1 && op.groups === op.x.shape[2] && op.groups === op.y.shape[2] && op.pool[0] * op.pool[1] === 1;
      if (op.alone) { sums = Math.max(sums, op.y.shape[1] * op.groups); continue; }
      op.per = op.y.shape[2] / op.groups; op.kp = up(op.k, 8); op.outs = up(op.per, 4); op.at = at;
      at += op.groups * op.outs * op.kp;
      const positions = up(op.y.shape[1] * op.pool[0] * op.pool[1], 2);
      rows = Math.max(rows, positions * op.kp); sums = Math.max(sums, positions * op.outs);
    }
    this.kind = "JavaScript";
    if (wasm && wasm.length) try {
      const start = up(at, 16), end = start + up(2 * rows, 16), made = new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports;
      made.memory.grow(Math.ceil((end + 4 * sums) / 65536));
      const buffer = made.memory.buffer;
      this.weights = new Int8Array(buffer); this.rows = new Int16Array(buffer, start, rows); this.sums = new Int32Array(buffer, end, sums);
      this.gemm = (n, first, outs, k) => made.gemm(start, n, first, outs, k, end);
      this.kind = "WebAssembly";
    } catch (error) { /* a browser without WebAssembly SIMD: JavaScript gives the same numbers */ }
    if (this.gemm) return;
    this.weights = new Float64Array(at); this.rows = new Float64Array(rows); this.sums = new Int32Array(sums);
    this.gemm = gemmInJavaScript(this.weights);
  }

  load(op, from) {
    const outs = op.y.shape[2];
    if (op.alone) op.taps = Int8Array.from({length: op.k * outs}, (_, i) => from.getInt8(op.weight + i % outs * op.k + Math.floor(i / outs)));
    else for (let o = 0; o < outs; o++) for (let k = 0; k < op.k; k++)
      this.weights[op.at + (Math.floor(o / op.per) * op.outs + o % op.per) * op.kp + k] = from.getInt8(op.weight + o * op.k + k);
    const ints = offset => Array.from({length: outs}, (_, o) => from.getInt32(offset + 4 * o, true));
    op.bias = Int32Array.from(ints(op.bias));
    if (op.multiplier === undefined) return;
    op.m = ints(op.multiplier);
    op.shift = Array.from({length: outs}, (_, o) => from.getInt8(op.shift + o));
    op.factor = Float64Array.from(op.m, (m, o) => m / 2 ** op.shift[o]);
  }

  run(codes) {
    this.values[0].codes.set(codes);
    for (const op of this.ops) this[op.kind](op, op.x.codes, op.y.codes);
    return this.ops[this.ops.length - 1].y.codes;
  }

  conv(op, x, y) {
    if (op.alone) return this.depthwise(op, x, y);
    const [yh, yw, outs] = op.y.shape;
    for (let py = 0; py < yh; py++) for (let g = 0; g < op.groups; g++) {
      this.gemm(this.fill(op, x, py, g), op.at + g * op.outs * op.kp, op.outs, op.kp, this.rows, this.sums);
      this.pooled(op);
      for (let px = 0; px < yw; px++) this.finish(op, px * op.outs, g * op.per, op.per, y, (py * yw + px) * outs + g * op.per);
    }
  }

  /* one filter for each channel: all channels of a position at a time, without a copy of the window */
  depthwise(op, x, y) {
    const [xh, xw, n] = op.x.shape, [yh, yw] = op.y.shape, [kh, kw] = op.kernel, beyond = new x.constructor(n).fill(op.x_zero);
    for (let py = 0; py < yh; py++) {
      this.sums.fill(0, 0, yw * n);
      for (let a = 0; a < kh; a++) for (let b = 0; b < kw; b++) {
        const row = py * op.stride[0] - op.pads[2] + a * op.dilation[0], w = (a * kw + b) * n;
        for (let px = 0, column = b * op.dilation[1] - op.pads[0]; px < yw; px++, column += op.stride[1]) {
          const inside = row >= 0 && row < xh && column >= 0 && column < xw;
          addProducts(inside ? x : beyond, inside ? (row * xw + column) * n : 0, op.taps, w, n, this.sums, px * n);
        }
      }
      for (let px = 0; px < yw; px++) this.finish(op, px * n, 0, n, y, (py * yw + px) * n);
    }
  }

  /* the windows of one row of the output, or of all rows that its pool looks at; returns how many */
  fill(op, x, py, g) {
    const [xh, xw, xc] = op.x.shape, yw = op.y.shape[1], [ph, pw] = op.pool, [kh, kw] = op.kernel, rows = this.rows;
    const width = xc / op.groups, whole = op.groups === 1 && op.dilation[1] === 1;
    let to = 0;
    for (let i = 0; i < ph; i++) for (let px = 0; px < yw * pw; px++, to += op.kp) {
      const top = (py * ph + i) * op.stride[0] - op.pads[2], left = px * op.stride[1] - op.pads[0];
      for (let a = 0, t = to; a < kh; a++) {
        const row = top + a * op.dilation[0], at = row * xw * xc;
        if (row < 0 || row >= xh) rows.fill(op.x_zero, t, t += kw * width);
        else if (whole && left >= 0 && left + kw <= xw) { copied(x, at + left * xc, kw * width, rows, t); t += kw * width; }
        else for (let b = 0; b < kw; b++, t += width) {
          const column = left + b * op.dilation[1];
          if (column < 0 || column >= xw) rows.fill(op.x_zero, t, t + width);
          else copied(x, at + column * xc + g * width, width, rows, t);
        }
      }
    }
    return ph * yw * pw;
  }

  /* of the sums of a pool the largest, to the front */
  pooled(op) {
    const [ph, pw] = op.pool, n = op.outs, yw = op.y.shape[1], sums = this.sums;
    if (ph * pw > 1) for (let px = 0; px < yw; px++) {
      copied(sums, px * pw * n, n, sums, px * n);
      for (let i = 0; i < ph; i++) for (let j = 0; j < pw; j++) largest(sums, px * n, (i * yw * pw + px * pw + j) * n, n);
    }
  }

  /* n sums, plus their biases, to codes */
  finish(op, at, c, n, y, to) { (!op.m ? onlySums : op.fast ? codesInDoubles : codesInHalves)(this.sums, at, op, c, n, y, to); }

  rescale(op, x, y) { rescaled(x, op, y); }

  /* products below 2^47 and a constant below 2^52: doubles are exact */
  sum(op, _, y) {
    const totals = new Float64Array(y.length).fill(op.bias + 2 ** (op.shift[0] - 1)), scale = 2 ** -op.shift[0];
    op.inputs.forEach((one, j) => addMultiple(this.values[one].codes, op.m[j], totals));
    roundedDown(totals, scale, op, y);
  }

  average(op, x, y) {
    const totals = new Int32Array(y.length);
    this.windows(op, x, totals, total => total);
    rescaled(totals, op, y);
  }

  mean(op, x, y) { const n = op.kernel[0] * op.kernel[1]; this.windows(op, x, y, total => Math.floor((2 * total + n) / (2 * n))); }

  max(op, x, y) { this.windows(op, x, y, (_, best) => best); }

  windows(op, x, y, code) {
    const [xh, xw, c] = op.x.shape, [yh, yw] = op.y.shape;
    for (let py = 0; py < yh; py++) for (let px = 0; px < yw; px++) for (let o = 0; o < c; o++) {
      let best = -32768, total = 0;
      for (let i = 0; i < op.kernel[0]; i++) for (let j = 0; j < op.kernel[1]; j++) {
        const row = py * op.stride[0] - op.pads[2] + i * op.dilation[0], column = px * op.stride[1] - op.pads[0] + j * op.dilation[1];
        if (row < 0 || row >= xh || column < 0 || column >= xw) continue;
        const v = x[(row * xw + column) * c + o];
        total += v;
        if (v > best) best = v;
      }
      y[(py * yw + px) * c + o] = code(total, best);
    }
  }
}

/* softmax of the calibrated logits */
function probabilities(integers, scale, zero, temperature) {
  const logits = Array.from(integers, (v, i) => (v - zero) * scale[i] / temperature), most = Math.max(...logits);
  const e = logits.map(v => Math.exp(v - most)), total = e.reduce((a, b) => a + b);
  return e.map(v => v / total);
}
