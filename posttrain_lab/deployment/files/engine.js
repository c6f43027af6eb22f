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

/* (sum * m + 2^(shift-1)) >> shift, without 64-bit integers.
   fast:  floor(sum * (m / 2^shift) + 0.5); Python has proven for each layer that doubles are enough.
   split: m = high * 2^16 + low; both products stay below 2^47, and floors nest: exact for every shift from 17 up.
          Below 17 a product beyond 2^53 is far beyond every code, and doubles are enough again. */
function fixedPoint(m, shift, fast) {
  const factor = m / 2 ** shift;
  if (fast || shift < 17) return sum => Math.floor(sum * factor + 0.5);
  const high = Math.floor(m / 65536), low = m - 65536 * high, half = 2 ** (shift - 17), scale = 2 ** (16 - shift);
  return sum => Math.floor((sum * high + Math.floor(sum * low / 65536) + half) * scale);
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
    for (const op of this.ops) if (op.m) op.fixed = op.m.map((m, o) => fixedPoint(m, op.shift[op.kind === "sum" ? 0 : o], op.fast));
  }

  /* one memory: weights, int16 rows, int32 sums; rows of windows are as long as a multiple of 8, filters as many as one of 4 */
  memory(wasm) {
    let at = 0, rows = 0, sums = 0;
    for (const op of this.convs) {
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
    for (let o = 0; o < outs; o++) for (let k = 0; k < op.k; k++)
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
    const [yh, yw] = op.y.shape;
    for (let py = 0; py < yh; py++) for (let g = 0; g < op.groups; g++) {
      this.gemm(this.fill(op, x, py, g), op.at + g * op.outs * op.kp, op.outs, op.kp, this.rows, this.sums);
      for (let px = 0; px < yw; px++) this.finish(op, y, py * yw + px, px, g);
    }
  }

  /* the windows of one row of the output, or of all rows that its pool looks at; returns how many */
  fill(op, x, py, g) {
    const [xh, xw, xc] = op.x.shape, yw = op.y.shape[1], [ph, pw] = op.pool, rows = this.rows, width = xc / op.groups;
    let to = 0;
    for (let i = 0; i < ph; i++) for (let px = 0; px < yw * pw; px++, to += op.kp) {
      const top = (py * ph + i) * op.stride[0] - op.pads[2], left = px * op.stride[1] - op.pads[0];
      let t = to;
      for (let a = 0; a < op.kernel[0]; a++) for (let b = 0; b < op.kernel[1]; b++) {
        const row = top + a * op.dilation[0], column = left + b * op.dilation[1];
        if (row < 0 || row >= xh || column < 0 || column >= xw) for (let c = 0; c < width; c++) rows[t++] = op.x_zero;
        else for (let c = 0, s = (row * xw + column) * xc + g * width; c < width; c++) rows[t++] = x[s++];
      }
    }
    return ph * yw * pw;
  }

  /* the largest sum of a pool, plus the bias, to a code */
  finish(op, y, pixel, px, g) {
    const [ph, pw] = op.pool, wide = op.outs, line = op.y.shape[1] * pw, sums = this.sums;
    for (let o = 0; o < op.per; o++) {
      let sum = sums[px * pw * wide + o];
      for (let i = 0; i < ph; i++) for (let j = 0; j < pw; j++) {
        const other = sums[(i * line + px * pw + j) * wide + o];
        if (other > sum) sum = other;
      }
      const c = g * op.per + o;
      sum += op.bias[c];
      if (op.m) sum = (op.fast ? Math.floor(sum * op.factor[c] + 0.5) : op.fixed[c](sum)) + op.zero_point;
      y[pixel * op.y.shape[2] + c] = sum < op.low ? op.low : sum > op.high ? op.high : sum;
    }
  }

  rescale(op, x, y) {
    for (let i = 0; i < y.length; i++) y[i] = this.ends(op, op.fixed[0](x[i] - op.x_zero));
  }

  /* products below 2^47 and a constant below 2^52: doubles are exact */
  sum(op, _, y) {
    const xs = op.inputs.map(one => this.values[one].codes), half = 2 ** (op.shift[0] - 1), scale = 2 ** -op.shift[0];
    for (let i = 0; i < y.length; i++) {
      let total = op.bias + half;
      for (let j = 0; j < xs.length; j++) total += xs[j][i] * op.m[j];
      y[i] = this.ends(op, Math.floor(total * scale));
    }
  }

  ends(op, code) { return Math.min(op.high, Math.max(op.low, code + op.zero_point)); }

  average(op, x, y) { this.windows(op, x, y, total => this.ends(op, op.fixed[0](total))); }

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
