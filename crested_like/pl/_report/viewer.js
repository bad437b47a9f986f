"use strict";
/* Rows over one axis of positions: drag moves, a wheel with Ctrl or a pinch zooms, so do keys and buttons. */
const theme = {
  values: null,
  get(name) {
    if (!this.values) {
      const style = getComputedStyle(document.documentElement);
      this.values = {};
      for (const key of ["card", "ink", "muted", "faint", "grid", "accent", "band", "reference", "alternative", "up", "down", "a", "c", "g", "t", "lift"]) {
        this.values[key] = style.getPropertyValue(`--${key}`).trim();
      }
    }
    return this.values[name];
  },
  /* A colour of the data, lighter where the page is dark. */
  shade(hex) {
    if (this.get("lift") !== "1") return hex;
    const parts = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    return `rgb(${parts.map((p) => Math.round(p + (255 - p) * 0.38)).join(",")})`;
  },
};
const viewers = new Set();

class Viewer {
  /* span: {chrom, low, high}; rows: see rows.js; options: marks [{start, end, name}], smallest bp, label, overview row. */
  constructor(host, span, rows, options = {}) {
    this.host = host;
    this.span = span;
    this.options = { smallest: 20, marks: [], label: "Values along the sequence", scale: "view", ...options };
    this.scale = this.options.scale;
    this.low = span.low;
    this.high = span.high;
    this.pointer = null;
    this.build();
    this.setRows(rows);
    viewers.add(this);
    this.observer = new ResizeObserver(() => this.refresh());
    this.observer.observe(this.body);
  }

  close() {
    viewers.delete(this);
    this.observer.disconnect();
    this.host.replaceChildren();
  }

  build() {
    const button = (text, label, action) => make("button", { type: "button", "aria-label": label, title: label, onclick: action }, text);
    this.place = make("input", { type: "text", "aria-label": "Position to show", spellcheck: "false", size: 28, onfocus: () => this.place.select() });
    const form = make("form", { onsubmit: (event) => { event.preventDefault(); this.goTo(this.place.value); } }, this.place);
    this.where = make("output", { class: "where", "aria-live": "polite" });
    this.bar = make("div", { class: "bar" }, form,
      button("−", "Zoom out", () => this.zoom(2)), button("+", "Zoom in", () => this.zoom(0.5)),
      button("Whole", "Show the whole region", () => this.show(this.span.low, this.span.high)), this.where);
    this.body = make("div", {
      class: "viewer", tabindex: 0, role: "group", "aria-roledescription": "genome viewer",
      "aria-label": `${this.options.label}. Arrow keys move, plus and minus zoom, 0 shows all.`,
    });
    this.cursor = make("div", { class: "cursor", hidden: true });
    this.selection = make("div", { class: "selection", hidden: true });
    this.host.replaceChildren(this.bar, this.body,
      make("p", { class: "hint" }, "Drag to move · Ctrl + wheel, pinch or double click to zoom · drag over the ruler to zoom into a part · keys: ← → + − 0"));
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.body.addEventListener("pointerdown", (event) => this.down(event));
    this.body.addEventListener("pointermove", (event) => this.move(event));
    this.body.addEventListener("pointerup", (event) => this.up(event));
    this.body.addEventListener("pointercancel", (event) => this.up(event));
    this.body.addEventListener("pointerleave", () => this.hover(null));
    this.body.addEventListener("dblclick", (event) => this.zoom(event.shiftKey ? 2 : 0.5, this.baseAt(event)));
  }

  setRows(rows) {
    this.rows = [new OverviewRow(this.options.overview), new RulerRow(), ...rows];
    this.body.replaceChildren(this.cursor, this.selection);
    for (const row of this.rows) {
      row.viewer = this;
      row.canvas = make("canvas", { class: row.kind || "lane", role: "img", "aria-label": row.label ? `${row.label} ${row.detail || ""}` : row.kind });
      row.canvas.style.height = `${row.height}px`;
      row.side = make("div", { class: "value" });
      const label = make("div", { class: "label", title: [row.label, row.detail].filter(Boolean).join("\n") },
        row.label ? make("b", {}, row.label) : null, row.detail ? make("small", {}, row.detail) : null);
      this.body.append(make("div", { class: `row ${row.kind ? `${row.kind}-row` : ""}` }, label, row.canvas, row.side));
    }
    this.refresh();
  }

  refresh() {
    for (const row of this.rows) row.stale = true;
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = null; this.draw(); });
  }

  draw() {
    const bases = this.high - this.low, chrom = this.span.chrom ? `${this.span.chrom}:` : "";
    const text = `${chrom}${grouped(this.low + 1)}-${grouped(this.high)}`;
    if (document.activeElement !== this.place) this.place.value = text;
    this.where.textContent = `${grouped(bases)} bp`;
    const limits = this.limits();
    for (const row of this.rows) {
      const box = row.canvas.getBoundingClientRect();
      if (!row.stale || !box.width || box.bottom < -200 || box.top > innerHeight + 200) continue;
      const ratio = devicePixelRatio || 1, wide = Math.round(box.width * ratio), high = Math.round(row.height * ratio);
      if (row.canvas.width !== wide || row.canvas.height !== high) Object.assign(row.canvas, { width: wide, height: high });
      const context = row.canvas.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, box.width, row.height);
      const x = (base) => ((base - this.low) / bases) * box.width;
      if (row.kind !== "overview" && row.kind !== "ruler") this.drawMarks(context, x, row.height);
      row.draw(context, x, box.width, row.height, limits.get(row));
      this.writeSide(row, limits.get(row));
      row.stale = false;
    }
  }

  limits() {
    const found = new Map();
    let low = 0, high = 0;
    for (const row of this.rows) {
      if (!row.range) continue;
      const limits = this.scale === "all" ? row.range(this.span.low, this.span.high) : row.range(this.low, this.high);
      found.set(row, limits);
      if (!row.ownScale) [low, high] = [Math.min(low, limits[0]), Math.max(high, limits[1])];
    }
    if (this.scale === "shared") for (const row of found.keys()) if (!row.ownScale) found.set(row, [low, high]);
    return found;
  }

  drawMarks(context, x, height) {
    context.fillStyle = theme.get("band");
    for (const mark of this.options.marks) {
      if (mark.end > this.low && mark.start < this.high) context.fillRect(x(mark.start), 0, Math.max(x(mark.end) - x(mark.start), 1.5), height);
    }
  }

  writeSide(row, limits) {
    const at = this.pointer === null ? null : row.valueAt && row.valueAt(this.pointer);
    row.side.replaceChildren();
    if (row.flat) limits = null;
    if (limits) row.side.append(make("span", {}, short(limits[1])));
    if (at !== null && at !== undefined) row.side.append(make("b", {}, at));
    if (limits) row.side.append(make("span", {}, limits[0] ? short(limits[0]) : ""));
  }

  show(low, high) {
    const total = this.span.high - this.span.low;
    const width = Math.min(total, Math.max(Math.min(this.options.smallest, total), high - low));
    const middle = (low + high) / 2;
    this.low = Math.round(Math.min(Math.max(middle - width / 2, this.span.low), this.span.high - width));
    this.high = Math.round(this.low + width);
    this.refresh();
  }

  zoom(factor, around = (this.low + this.high) / 2) {
    this.show(around - (around - this.low) * factor, around + (this.high - around) * factor);
  }

  pan(part) {
    const step = (this.high - this.low) * part;
    this.show(this.low + step, this.high + step);
  }

  /* Text such as chr1:1,000-2,000, 1000-2000 or 1500; counted from 1. */
  goTo(text) {
    const match = /^\s*(?:(\S+):)?\s*([\d,]+)(?:\s*[-–]\s*([\d,]+))?\s*$/.exec(text);
    const first = match && Number(match[2].replaceAll(",", "")) - 1;
    const last = match && (match[3] ? Number(match[3].replaceAll(",", "")) : first + 1);
    const here = match && (!match[1] || !this.span.chrom || match[1] === this.span.chrom);
    if (!match || !here || last <= first || last <= this.span.low || first >= this.span.high) {
      this.where.textContent = match && !here ? `only ${this.span.chrom} is here` : `give a place between ${grouped(this.span.low + 1)} and ${grouped(this.span.high)}`;
      return;
    }
    if (match[3]) this.show(first, last);
    else this.show(first - (this.high - this.low) / 8, first + (this.high - this.low) / 8);
    this.place.blur();
  }

  baseAt(event) {
    const box = this.rows[1].canvas.getBoundingClientRect();
    return this.low + ((event.clientX - box.left) / box.width) * (this.high - this.low);
  }

  key(event) {
    if (event.target !== this.body || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      ArrowLeft: () => this.pan(-0.15), ArrowRight: () => this.pan(0.15), "+": () => this.zoom(0.5), "=": () => this.zoom(0.5),
      "-": () => this.zoom(2), 0: () => this.show(this.span.low, this.span.high),
      Home: () => this.show(this.span.low, this.span.low + this.high - this.low), End: () => this.show(this.span.high - (this.high - this.low), this.span.high),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 100))), this.baseAt(event));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.pan(event.deltaX / 800);
    }
  }

  down(event) {
    if (event.button !== 0 || event.target.tagName !== "CANVAS") return;
    const kind = event.target.className;
    this.drag = { kind, from: event.clientX, low: this.low, high: this.high, base: this.baseAt(event), box: event.target.getBoundingClientRect() };
    event.target.setPointerCapture(event.pointerId);
    this.body.classList.toggle("dragging", kind === "lane");
  }

  move(event) {
    if (!this.drag) return this.hover(event);
    const { kind, from, low, high, box } = this.drag;
    if (kind === "lane") {
      const step = ((from - event.clientX) / box.width) * (high - low);
      this.show(low + step, high + step);
    } else {
      const body = this.body.getBoundingClientRect();
      const [left, right] = [from, event.clientX].map((x) => Math.min(Math.max(x, box.left), box.right)).sort((a, b) => a - b);
      Object.assign(this.selection.style, { left: `${left - body.left}px`, width: `${right - left}px` });
      this.selection.hidden = false;
    }
    return undefined;
  }

  up(event) {
    const drag = this.drag;
    this.drag = null;
    this.selection.hidden = true;
    this.body.classList.remove("dragging");
    if (!drag || drag.kind === "lane") return;
    const whole = drag.kind === "overview" ? this.span : this;
    const base = (x) => whole.low + ((Math.min(Math.max(x, drag.box.left), drag.box.right) - drag.box.left) / drag.box.width) * (whole.high - whole.low);
    const [first, last] = [base(drag.from), base(event.clientX)].sort((a, b) => a - b);
    if (Math.abs(event.clientX - drag.from) > 4) this.show(first, last);
    else if (drag.kind === "overview") this.show(first - (this.high - this.low) / 2, first + (this.high - this.low) / 2);
  }

  hover(event) {
    const box = this.rows[1].canvas.getBoundingClientRect(), body = this.body.getBoundingClientRect();
    const inside = event && event.clientX >= box.left && event.clientX < box.right;
    this.cursor.hidden = !inside;
    this.pointer = inside ? this.baseAt(event) : null;
    if (inside) this.cursor.style.left = `${event.clientX - body.left}px`;
    const limits = this.limits();
    for (const row of this.rows) this.writeSide(row, limits.get(row));
    this.where.textContent = inside ? `${grouped(this.high - this.low)} bp · at ${grouped(Math.floor(this.pointer) + 1)}` : `${grouped(this.high - this.low)} bp`;
  }
}

addEventListener("scroll", () => viewers.forEach((viewer) => viewer.rows.some((row) => row.stale) && viewer.draw()), { passive: true });

/* All of the span, with the part that is shown. */
class OverviewRow {
  constructor(drawing) { Object.assign(this, { drawing, kind: "overview", height: drawing ? 34 : 12, label: "", detail: "" }); }

  draw(context, _, width, height) {
    const { span, low, high } = this.viewer, total = span.high - span.low;
    context.fillStyle = theme.get("grid");
    context.fillRect(0, 0, width, height);
    const x = (base) => ((base - span.low) / total) * width;
    if (this.drawing) this.drawing(context, x, width, height, span);
    const left = x(low), wide = Math.max(x(high) - left, 3);
    context.globalAlpha = 0.22;
    context.fillStyle = theme.get("accent");
    context.fillRect(left, 0, wide, height);
    context.globalAlpha = 1;
    context.strokeStyle = theme.get("accent");
    context.strokeRect(left + 0.5, 0.5, wide - 1, height - 1);
  }
}

class RulerRow {
  constructor() { Object.assign(this, { kind: "ruler", height: 24, label: "", detail: "" }); }

  draw(context, x, width, height) {
    const { low, high } = this.viewer, bases = high - low;
    const rough = bases / Math.max(2, width / 110), power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(1, [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough));
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.strokeStyle = theme.get("muted");
    context.fillStyle = theme.get("muted");
    context.beginPath();
    context.moveTo(0, height - 0.5);
    context.lineTo(width, height - 0.5);
    for (let base = Math.ceil(low / step) * step; base <= high; base += step) {
      const at = x(Math.max(base - 1, 0) + (step < 5 ? 0.5 : 0)), text = grouped(base), half = context.measureText(text).width / 2;
      context.moveTo(at, height - 6);
      context.lineTo(at, height);
      if (base >= 1 && at - half >= 0 && at + half <= width) context.fillText(text, at, height - 10);
    }
    context.stroke();
  }
}
