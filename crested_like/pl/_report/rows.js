"use strict";
/* What a viewer shows: coverage, alleles, genes, motifs, letters, heat maps. Places are 0-based, half-open, in bp. */
function drawProfile(context, x, width, height, limits, track, color, from, to, outline) {
  const { envelope, start, binSize, count } = track, [low, high] = limits;
  const y = (value) => height - 1 - ((value - low) / (high - low || 1)) * (height - 3);
  const zero = y(Math.min(Math.max(0, low), high));
  const perDot = (to - from) / width / binSize;
  context.fillStyle = context.strokeStyle = color;
  context.beginPath();
  if (perDot > 1) {
    for (let dot = 0; dot < width; dot++) {
      const first = (from - start) / binSize + dot * perDot;
      if (first + perDot <= 0 || first >= count) continue;
      const [bottom, top] = envelope.between(Math.max(first, 0), Math.min(first + perDot, count), perDot);
      if (top === -Infinity) continue;
      if (outline) context.lineTo(dot + 0.5, y(top));
      else {
        const upper = Math.min(y(Math.max(top, 0)), zero), lower = Math.max(y(Math.min(bottom, 0)), zero);
        context.rect(dot, upper, 1, Math.max(lower - upper, 0.6));
      }
    }
  } else {
    const values = envelope.levels[0].high;
    const first = Math.max(0, Math.floor((from - start) / binSize)), last = Math.min(count, Math.ceil((to - start) / binSize));
    for (let i = first; i < last; i++) {
      const left = x(start + i * binSize), right = x(start + (i + 1) * binSize), level = y(values[i]);
      if (Number.isNaN(level)) continue;
      if (outline) { context.lineTo(left, level); context.lineTo(right, level); }
      else context.rect(left, Math.min(level, zero), right - left + 0.3, Math.max(Math.abs(level - zero), 0.6));
    }
  }
  if (outline) { context.lineWidth = 1.3; context.stroke(); } else context.fill();
}

function drawZero(context, width, height, [low, high]) {
  const y = Math.round(height - 1 - ((Math.min(Math.max(0, low), high) - low) / (high - low || 1)) * (height - 3)) + 0.5;
  context.strokeStyle = theme.get("faint");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, y);
  context.lineTo(width, y);
  context.stroke();
}

function rangeOf(tracks, from, to) {
  let low = 0, high = 0;
  for (const { envelope, start, binSize, count } of tracks) {
    const first = Math.max(0, Math.floor((from - start) / binSize)), last = Math.min(count, Math.ceil((to - start) / binSize));
    if (first >= last) continue;
    const [bottom, top] = envelope.between(first, last);
    if (bottom < low) low = bottom;
    if (top > high) high = top;
  }
  return [low, high > low ? high : low + 1];
}

const profile = (values, start, binSize) => ({ values, start, binSize, count: values.length, envelope: new Envelope(values) });

function valueOf({ values, start, binSize, count }, base) {
  const i = Math.floor((base - start) / binSize);
  return i >= 0 && i < count ? values[i] : NaN;
}

class CoverageRow {
  constructor(track, { label, detail, color }) { Object.assign(this, { track, label, detail, color, height: 46 }); }

  range(from, to) { return rangeOf([this.track], from, to); }

  valueAt(base) { return short(valueOf(this.track, base)); }

  draw(context, x, width, height, limits) {
    const { low, high } = this.viewer;
    drawZero(context, width, height, limits);
    drawProfile(context, x, width, height, limits, this.track, theme.shade(this.color), low, high, false);
  }
}

/* Both alleles of a variant, or their difference. */
class AllelesRow {
  constructor(reference, alternative, label) { Object.assign(this, { reference, alternative, label: label.title, detail: label.detail, height: 56 }); }

  range(from, to) { return rangeOf([this.reference, this.alternative], from, to); }

  valueAt(base) { return `${short(valueOf(this.reference, base))} → ${short(valueOf(this.alternative, base))}`; }

  draw(context, x, width, height, limits) {
    const { low, high } = this.viewer;
    drawZero(context, width, height, limits);
    drawProfile(context, x, width, height, limits, this.reference, theme.get("reference"), low, high, false);
    drawProfile(context, x, width, height, limits, this.alternative, theme.get("alternative"), low, high, true);
  }
}

class DifferenceRow {
  constructor(reference, alternative) {
    const change = Float32Array.from(alternative.values, (value, i) => value - reference.values[i]);
    const part = (values) => profile(values, reference.start, reference.binSize);
    Object.assign(this, { track: part(change), up: part(change.map((v) => Math.max(v, 0))), down: part(change.map((v) => Math.min(v, 0))), label: "", detail: "ALT − REF", height: 38, ownScale: true });
  }

  range(from, to) {
    const [low, high] = rangeOf([this.track], from, to), flat = low === 0 && !this.track.values.some((v) => v > 0);
    const size = Math.max(-low, flat ? 0 : high) || 1;
    this.flat = flat;
    return [-size, size];
  }

  valueAt(base) { return short(valueOf(this.track, base)); }

  draw(context, x, width, height, limits) {
    const { low, high } = this.viewer;
    drawZero(context, width, height, limits);
    drawProfile(context, x, width, height, limits, this.up, theme.get("up"), low, high, false);
    drawProfile(context, x, width, height, limits, this.down, theme.get("down"), low, high, false);
  }
}

/* Genes or motifs: as many lines as they need, so that names do not meet. */
class BoxesRow {
  constructor(label, boxes, { italic = false, colors = null } = {}) {
    const lines = [];
    for (const box of [...boxes].sort((a, b) => a.start - b.start)) {
      const line = lines.findIndex((end) => end < box.start);
      box.line = line < 0 ? lines.length : line;
      lines[box.line] = box.end;
    }
    this.boxes = boxes;
    this.font = `${italic ? "italic " : ""}11px system-ui, sans-serif`;
    Object.assign(this, { label, detail: "", colors, height: 27 * Math.min(Math.max(lines.length, 1), 6) });
  }

  draw(context, x, width, height) {
    const { low, high } = this.viewer, lines = height / 27;
    const shown = this.boxes.filter((box) => box.end > low && box.start < high);
    const taken = [];
    context.font = this.font;
    context.textAlign = "center";
    for (const box of shown.sort((a, b) => a.start - b.start)) {
      const left = Math.max(x(box.start), 0), right = Math.min(x(box.end), width), half = context.measureText(box.name).width / 2;
      const middle = Math.min(Math.max((left + right) / 2, half), Math.max(width - half, half));
      const first = Math.min(left, middle - half), last = Math.max(right, middle + half);
      let line = 0;
      while (line < lines && taken[line] > first - 6) line += 1;
      const crowded = line >= lines;
      if (crowded) line = Math.min(box.line, lines - 1);
      else taken[line] = last;
      this.drawBox(context, x, width, box, line * 27, left, right);
      if (!crowded) { context.fillStyle = theme.get("ink"); context.fillText(box.name, middle, line * 27 + 10); }
    }
  }

  drawBox(context, x, width, box, top, left, right) {
    const middle = top + 19, color = this.colors ? theme.shade(this.colors.get(box.name)) : theme.get("ink");
    if (box.exons) {
      context.strokeStyle = theme.get("muted");
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(left, middle);
      context.lineTo(right, middle);
      const tip = box.strand === "+" ? 2.5 : box.strand === "-" ? -2.5 : 0;
      for (let at = Math.ceil(left / 16) * 16 + 8; tip && at < right - 3; at += 16) {
        context.moveTo(at - tip, middle - 2.5);
        context.lineTo(at, middle);
        context.lineTo(at - tip, middle + 2.5);
      }
      context.stroke();
    }
    context.fillStyle = color;
    for (const [parts, high] of [[box.exons || [[box.start, box.end]], 7], [box.coding || [], 12]]) {
      for (const [start, end] of parts) context.fillRect(x(start), middle - high / 2, Math.max(x(end) - x(start), 1), high);
    }
    if (box.exons) this.drawStrandInExons(context, x, box, middle, left, right);
    if (!box.exons && right - left > 14 && (box.strand === "+" || box.strand === "-")) {
      const tip = box.strand === "+" ? 3 : -3, at = (left + right) / 2;
      context.fillStyle = theme.get("card");
      context.beginPath();
      context.moveTo(at - tip, middle - 2.5);
      context.lineTo(at + tip, middle);
      context.lineTo(at - tip, middle + 2.5);
      context.fill();
    }
  }

  drawStrandInExons(context, x, box, middle, left, right) {
    const tip = box.strand === "+" ? 2 : box.strand === "-" ? -2 : 0;
    context.strokeStyle = theme.get("card");
    context.beginPath();
    for (let at = Math.ceil(left / 16) * 16 + 8; tip && at < right - 3; at += 16) {
      if (!box.exons.some(([start, end]) => x(start) + 5 < at && at < x(end) - 5)) continue;
      context.moveTo(at - tip, middle - 2);
      context.lineTo(at, middle);
      context.lineTo(at - tip, middle + 2);
    }
    context.stroke();
  }
}

/* Places of scored variants: arrows, or lines where there are many. */
class VariantsRow {
  constructor(places) { Object.assign(this, { places, label: "variants", detail: `${grouped(places.length)} here`, height: 18 }); }

  draw(context, x, width, height) {
    const { low, high } = this.viewer;
    const shown = this.places.filter((place) => place >= low && place < high), crowded = shown.length > width / 14;
    context.fillStyle = theme.get("alternative");
    context.globalAlpha = crowded ? 0.45 : 1;
    for (const place of shown) {
      const at = x(place + 0.5);
      if (crowded) { context.fillRect(at - 0.5, 3, 1, height - 3); continue; }
      context.beginPath();
      context.moveTo(at - 4, 3);
      context.lineTo(at + 4, 3);
      context.lineTo(at, 12);
      context.fill();
      context.fillRect(at - 0.5, 8, 1, height - 8);
    }
    context.globalAlpha = 1;
  }
}

const LETTERS = "ACGT";

/* Letters as high as their values; bars where a base is too narrow for a letter. */
class LettersRow {
  constructor(start, bases, label, detail) {
    Object.assign(this, { start, bases, label, detail, height: 104 });
    const sums = (part) => Float32Array.from({ length: bases.length }, (_, i) => { let s = 0; for (let b = 0; b < 4; b++) s += part(bases.at(i, b)); return s; });
    this.up = profile(sums((v) => Math.max(v || 0, 0)), start, 1);
    this.down = profile(sums((v) => Math.min(v || 0, 0)), start, 1);
  }

  range(from, to) { return rangeOf([this.up, this.down], from, to); }

  valueAt(base) {
    const i = Math.floor(base) - this.start;
    if (i < 0 || i >= this.bases.length) return null;
    const told = [0, 1, 2, 3].filter((b) => this.bases.at(i, b)).map((b) => [LETTERS[b], this.bases.at(i, b)]);
    const strongest = told.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]))[0];
    return strongest ? `${strongest[0]} ${short(strongest[1])}` : "0";
  }

  overview(context, x, width, height, span) {
    const limits = rangeOf([this.up, this.down], span.low, span.high);
    for (const part of [this.up, this.down]) drawProfile(context, x, width, height, limits, part, theme.get("muted"), span.low, span.high, false);
  }

  draw(context, x, width, height, limits) {
    const { low, high } = this.viewer, wide = width / (high - low), [bottom, top] = limits;
    const unit = (height - 3) / (top - bottom || 1), zero = height - 1 + bottom * unit;
    drawZero(context, width, height, limits);
    if (wide < 3.5) {
      drawProfile(context, x, width, height, limits, this.up, theme.get("up"), low, high, false);
      drawProfile(context, x, width, height, limits, this.down, theme.get("down"), low, high, false);
      return;
    }
    const first = Math.max(Math.floor(low) - this.start, 0), last = Math.min(Math.ceil(high) - this.start, this.bases.length);
    context.font = "bold 100px system-ui, 'DejaVu Sans', sans-serif";
    context.textAlign = "left";
    const boxes = LETTERS.split("").map((letter) => {
      const m = context.measureText(letter);
      return { letter, left: m.actualBoundingBoxLeft, wide: m.actualBoundingBoxLeft + m.actualBoundingBoxRight, up: m.actualBoundingBoxAscent, high: m.actualBoundingBoxAscent + m.actualBoundingBoxDescent, color: theme.get(letter.toLowerCase()) };
    });
    for (let i = first; i < last; i++) {
      const values = [0, 1, 2, 3].map((b) => [b, this.bases.at(i, b)]).filter(([, v]) => v).sort((a, b) => Math.abs(a[1]) - Math.abs(b[1]));
      let up = zero, down = zero;
      for (const [b, value] of values) {
        const size = Math.abs(value) * unit;
        if (value > 0) { up -= size; this.letter(context, boxes[b], x(this.start + i), up, wide, size, false); }
        else { this.letter(context, boxes[b], x(this.start + i), down, wide, size, true); down += size; }
      }
    }
  }

  letter(context, box, left, top, wide, high, flipped) {
    if (high < 0.4) return;
    context.save();
    context.fillStyle = box.color;
    context.translate(left + wide * 0.03, flipped ? top + high : top);
    context.scale((wide * 0.94) / box.wide, (flipped ? -1 : 1) * (high / box.high));
    context.fillText(box.letter, box.left, box.up);
    context.restore();
  }
}

/* The effect of each substitution: four lanes, red up and blue down. */
class HeatRow {
  constructor(start, bases, label, detail) {
    let limit = 0;
    for (let i = 0; i < bases.length; i++) for (let b = 0; b < 4; b++) limit = Math.max(limit, Math.abs(bases.at(i, b)) || 0);
    Object.assign(this, { start, bases, label, detail: `${detail} · ±${short(limit || 1)}`, limit: limit || 1, height: 84 });
  }

  valueAt(base) {
    const i = Math.floor(base) - this.start;
    if (i < 0 || i >= this.bases.length) return null;
    const told = [0, 1, 2, 3].map((b) => [LETTERS[b], this.bases.at(i, b)]).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    return `>${told[0][0]} ${short(told[0][1])}`;
  }

  overview(context, x, width, height, span) {
    const size = Float32Array.from({ length: this.bases.length }, (_, i) => Math.max(...[0, 1, 2, 3].map((b) => Math.abs(this.bases.at(i, b)) || 0)));
    drawProfile(context, x, width, height, [0, this.limit], profile(size, this.start, 1), theme.get("muted"), span.low, span.high, false);
  }

  color(value) {
    if (Number.isNaN(value)) return theme.get("faint");
    const part = Math.min(Math.abs(value) / this.limit, 1) ** 0.9, hue = value > 0 ? 14 : 212, dark = theme.get("lift") === "1";
    return dark ? `hsl(${hue} ${15 + 65 * part}% ${16 + 46 * part}%)` : `hsl(${hue} 70% ${97 - 60 * part}%)`;
  }

  draw(context, x, width, height) {
    const { low, high } = this.viewer, lane = (height - 4) / 4;
    const step = Math.max(1, Math.floor((high - low) / width));
    const first = Math.max(Math.floor(low) - this.start, 0), last = Math.min(Math.ceil(high) - this.start, this.bases.length);
    const wide = (step * width) / (high - low);
    for (let b = 0; b < 4; b++) {
      for (let i = first; i < last; i += step) {
        let value = this.bases.at(i, b);
        for (let j = i + 1; j < Math.min(i + step, last); j++) if (Math.abs(this.bases.at(j, b)) > Math.abs(value)) value = this.bases.at(j, b);
        context.fillStyle = this.color(value);
        context.fillRect(x(this.start + i), 2 + b * lane, wide + 0.3, lane - 1);
        const own = value === 0 && [0, 1, 2, 3].filter((o) => this.bases.at(i, o) === 0).length === 1;
        if (own && wide > 5) {
          context.fillStyle = theme.get("muted");
          context.beginPath();
          context.arc(x(this.start + i) + wide / 2, 2 + (b + 0.5) * lane, Math.min(2.2, wide / 4), 0, 7);
          context.fill();
        }
      }
      context.font = "bold 10px system-ui, sans-serif";
      context.textAlign = "left";
      context.lineWidth = 3;
      context.strokeStyle = theme.get("card");
      context.strokeText(LETTERS[b], 3, 2 + (b + 0.5) * lane + 3.5);
      context.fillStyle = theme.get(LETTERS[b].toLowerCase());
      context.fillText(LETTERS[b], 3, 2 + (b + 0.5) * lane + 3.5);
    }
  }
}
