"use strict";
/* Numbers: one compressed block of bytes, of which everything else names a part {at, n, scale}. */
class Numbers {
  static async open(element) {
    const packed = Uint8Array.from(atob(element.textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Numbers(await new Response(stream).arrayBuffer());
  }

  constructor(buffer) {
    this.buffer = buffer;
    this.cache = new Map();
    this.table = null;
  }

  /* Half-precision numbers times a scale. */
  halves({ at, n, scale }) {
    if (!this.cache.has(at)) {
      const bits = new Uint16Array(this.buffer, at, n);
      const table = this.halfTable();
      this.cache.set(at, Float32Array.from(bits, (b) => table[b] * scale));
    }
    return this.cache.get(at);
  }

  floats({ at, n }) { return new Float32Array(this.buffer, at, n); }

  integers({ at, n }) { return new Int32Array(this.buffer, at, n); }

  bytes({ at, n }) { return new Uint8Array(this.buffer, at, n); }

  halfTable() {
    if (this.table) return this.table;
    this.table = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) {
      const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
      let value;
      if (exponent === 0) value = fraction * 2 ** -24;
      else if (exponent === 31) value = fraction ? NaN : Infinity;
      else value = (1 + fraction / 1024) * 2 ** (exponent - 15);
      this.table[bits] = sign * value;
    }
    return this.table;
  }
}

/* Highest and lowest values of stretches, at several widths, so that a drawing reads as many as it has dots. */
class Envelope {
  constructor(values) {
    this.levels = [{ step: 1, high: values, low: values }];
  }

  level(width) {
    while (this.levels[this.levels.length - 1].step * 8 <= width) {
      const last = this.levels[this.levels.length - 1];
      if (last.high.length < 8) break;
      const n = Math.ceil(last.high.length / 4);
      const high = new Float32Array(n).fill(-Infinity), low = new Float32Array(n).fill(Infinity);
      for (let i = 0; i < last.high.length; i++) {
        const j = i >> 2;
        if (last.high[i] > high[j]) high[j] = last.high[i];
        if (last.low[i] < low[j]) low[j] = last.low[i];
      }
      this.levels.push({ step: last.step * 4, high, low });
    }
    let found = this.levels[0];
    for (const level of this.levels) if (level.step * 2 <= width) found = level;
    return found;
  }

  /* [lowest, highest] of values first to last; NaN is skipped. */
  between(first, last, width = last - first) {
    const { step, high, low } = this.level(width);
    let top = -Infinity, bottom = Infinity;
    const end = Math.min(high.length, Math.max(Math.ceil(last / step), Math.floor(first / step) + 1));
    for (let i = Math.max(0, Math.floor(first / step)); i < end; i++) {
      if (high[i] > top) top = high[i];
      if (low[i] < bottom) bottom = low[i];
    }
    return [bottom, top];
  }
}

const grouped = (value) => Math.round(value).toLocaleString("en-US");

function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return grouped(value);
  return size < 1e-4 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/* An element with attributes and children; texts are only ever texts. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
