"use strict";
/* The table of variants: sorted by a column, filtered by text and by a score, page by page; a row opens its details. */
const PAGE = 15;

class VariantsSection {
  constructor(report, numbers, tracks) {
    const { columns, rows, overlays } = report.variants;
    Object.assign(this, { report, numbers, tracks, rows, overlays, page: 0, sorted: null, viewer: null, selected: -1 });
    this.columns = columns.map((column) => ({ ...column, values: this.valuesOf(column) }));
    this.texts = Array.from({ length: rows }, (_, i) => this.columns.filter((c) => c.kind !== "score").map((c) => c.values[i]).join("\t").toLowerCase());
    this.order = Int32Array.from({ length: rows }, (_, i) => i);
    this.scores = this.columns.filter((c) => c.kind === "score");
    const strongest = this.scores[0];
    this.build(section("variants", "Variants"));
    if (strongest) this.sort(this.columns.indexOf(strongest));
    else this.filter();
  }

  valuesOf({ kind, values, at, n }) {
    if (values) return values;
    return kind === "score" ? this.numbers.floats({ at, n }) : this.numbers.integers({ at, n });
  }

  build(here) {
    this.find = make("input", { type: "search", placeholder: "Place, name, allele, gene …", "aria-label": "Filter variants by text", oninput: () => this.filter() });
    this.least = make("input", { type: "number", min: 0, step: "any", "aria-label": "Least absolute score", placeholder: "0", oninput: () => this.filter() });
    this.score = selector("Score to filter by", this.scores.map((c) => c.name), () => this.filter());
    const bar = make("div", { class: "bar" }, this.find,
      this.scores.length ? make("label", {}, "at least ±", this.least, "in", this.score) : null,
      make("button", { type: "button", onclick: () => this.download(), class: "push", id: "download" }, "Download TSV"));
    this.head = make("tr");
    this.body = make("tbody");
    this.status = make("output", { "aria-live": "polite" });
    this.before = make("button", { type: "button", onclick: () => this.turn(-1) }, "‹ Previous");
    this.after = make("button", { type: "button", onclick: () => this.turn(1) }, "Next ›");
    this.detail = make("div", { class: "detail", hidden: true, role: "region", "aria-label": "Details of the variant" });
    const table = make("table", {}, make("thead", {}, this.head), this.body);
    here.append(bar, make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of variants" }, table),
      make("div", { class: "pages" }, this.before, this.after, this.status), this.detail);
    this.columns.forEach((column, index) => {
      const arrow = make("span", { class: "arrow", "aria-hidden": "true" });
      const button = make("button", { type: "button", class: "plain", onclick: () => this.sort(index) }, column.name, " ", arrow);
      column.head = make("th", { scope: "col", class: column.kind === "text" ? "" : "number", title: column.told || null }, button);
      column.arrow = arrow;
      this.head.append(column.head);
    });
    for (const column of this.scores) column.most = column.values.reduce((most, v) => Math.max(most, Math.abs(v) || 0), 0) || 1;
  }

  /* Scores by size first, largest absolute value on top; then the other way round. */
  sort(index) {
    const column = this.columns[index], again = this.sorted && this.sorted.index === index;
    const down = again ? !this.sorted.down : column.kind === "score";
    this.sorted = { index, down };
    const { values, kind } = column;
    const key = kind === "score" ? (i) => Math.abs(values[i]) : (i) => values[i];
    const missing = (i) => kind === "score" && Number.isNaN(values[i]);
    const compare = kind === "text" ? (a, b) => String(values[a]).localeCompare(String(values[b]), "en", { numeric: true }) : (a, b) => key(a) - key(b);
    const sorted = Array.from(this.order).sort((a, b) => missing(a) - missing(b) || (down ? compare(b, a) : compare(a, b)) || a - b);
    this.order = Int32Array.from(sorted);
    for (const other of this.columns) { other.head.removeAttribute("aria-sort"); other.arrow.textContent = ""; }
    column.head.setAttribute("aria-sort", down ? "descending" : "ascending");
    column.arrow.textContent = down ? "▼" : "▲";
    if (kind === "score") column.head.title = `${column.told || column.name}, sorted by absolute value`;
    this.filter();
  }

  filter() {
    const words = this.find.value.toLowerCase().trim().split(/\s+/).filter(Boolean);
    const least = Number(this.least.value) || 0, column = this.scores[Number(this.score.value) || 0];
    this.found = Array.from(this.order).filter((i) => words.every((word) => this.texts[i].includes(word)) && (!least || Math.abs(column.values[i]) >= least));
    this.page = 0;
    this.fill();
  }

  turn(step) {
    this.page += step;
    this.fill();
  }

  fill() {
    const first = this.page * PAGE, shown = this.found.slice(first, first + PAGE);
    this.body.replaceChildren(...shown.map((i) => this.tableRow(i)));
    const all = this.found.length === this.rows ? "" : ` (of ${grouped(this.rows)})`;
    this.status.textContent = shown.length ? `${grouped(first + 1)} to ${grouped(first + shown.length)} of ${grouped(this.found.length)}${all}` : `No variant fits${all}`;
    this.before.disabled = this.page === 0;
    this.after.disabled = first + PAGE >= this.found.length;
  }

  tableRow(i) {
    const row = make("tr", { "aria-selected": String(i === this.selected), "data-row": i, onclick: () => this.open(i) });
    this.columns.forEach((column, index) => {
      const value = column.values[i], text = this.written(column, i);
      const classes = column.kind === "text" ? "text" : column.kind === "score" ? "number score" : "number";
      const flagged = column.name === "status" && value !== "ok" && value !== "";
      const content = index === 0 ? make("button", { type: "button", class: "plain", "aria-label": `Details of ${this.nameOf(i)}` }, text) : flagged ? make("span", { class: "flag" }, text) : text;
      const cell = make("td", { class: classes, title: column.kind === "text" && text.length > 24 ? text : null }, content);
      if (column.kind === "score" && !Number.isNaN(value)) {
        const part = Math.min(Math.abs(value) / column.most, 1) * 100;
        cell.style.backgroundImage = `linear-gradient(to left, color-mix(in srgb, var(${value < 0 ? "--down" : "--up"}) 24%, transparent) ${part}%, transparent ${part}%)`;
      }
      row.append(cell);
    });
    return row;
  }

  written(column, i) {
    const value = column.values[i];
    if (column.kind === "score") return Number.isNaN(value) ? "" : Number(value.toPrecision(4)).toString();
    return column.kind === "integer" ? grouped(value) : String(value);
  }

  value(name, i) {
    const column = this.columns.find((c) => c.name === name);
    return column ? column.values[i] : undefined;
  }

  nameOf(i) {
    const parts = ["chrom", "position", "ref", "alt"].map((name) => this.value(name, i));
    return parts.every((part) => part !== undefined) ? `${parts[0]}:${grouped(parts[1])} ${parts[2]} > ${parts[3]}` : `row ${i + 1}`;
  }

  open(i) {
    this.selected = i;
    for (const row of this.body.children) row.setAttribute("aria-selected", String(Number(row.dataset.row) === i));
    if (this.viewer) this.viewer.close();
    this.viewer = null;
    const facts = make("dl", {}, ...this.columns.map((c) => make("div", {}, make("dt", {}, c.name), make("dd", {}, this.written(c, i)))));
    const chrom = this.value("chrom", i), position = this.value("position", i) - 1;
    const inTracks = this.tracks && this.tracks.holds(chrom, position);
    const button = inTracks ? make("button", { type: "button", onclick: () => this.tracks.show(chrom, position) }, "Show in the tracks") : null;
    const overlay = this.overlays[i], host = make("div");
    const key = overlay ? make("span", { class: "key" }, make("span", { class: "ref" }, make("i"), "REF"), make("span", { class: "alt" }, make("i"), "ALT")) : null;
    this.detail.replaceChildren(make("h3", {}, this.nameOf(i)), make("div", { class: "bar" }, key, button,
      make("button", { type: "button", class: "push", onclick: () => { this.detail.hidden = true; } }, "Close")), host, facts);
    this.detail.hidden = false;
    if (overlay) this.viewer = this.overlayViewer(host, overlay, chrom, position, String(this.value("ref", i)).length);
    this.detail.scrollIntoView({ block: "nearest" });
  }

  overlayViewer(host, overlay, chrom, position, bases) {
    const { start, binSize, bins } = overlay, span = { chrom, low: start, high: start + bins * binSize };
    const rows = overlay.tracks.flatMap((track) => {
      const [one, other] = [track.reference, track.alternative].map((values) => profile(this.numbers.halves(values), start, binSize));
      return [new AllelesRow(one, other, { title: track.label, detail: track.detail }), new DifferenceRow(one, other)];
    });
    const marks = [...within(this.report.highlights, span), { start: position, end: position + bases }];
    const viewer = new Viewer(host, span, [...rows, new VariantsRow([position]), ...annotationRows(this.report, span)], { marks, smallest: Math.max(20, 4 * binSize), label: "Both alleles" });
    viewer.show(position - 200 * binSize, position + 200 * binSize);
    return viewer;
  }

  download() {
    const clean = (value) => (typeof value === "number" ? (Number.isNaN(value) ? "" : String(Number(value.toPrecision(7)))) : String(value).replace(/[\t\r\n]+/g, " "));
    const whole = (column, i) => (column.kind === "integer" ? String(column.values[i]) : clean(column.values[i]));
    const lines = [this.columns.map((c) => clean(c.name)).join("\t"), ...this.found.map((i) => this.columns.map((c) => whole(c, i)).join("\t"))];
    const address = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/tab-separated-values" }));
    const link = make("a", { href: address, download: "variants.tsv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }
}
