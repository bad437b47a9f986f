"use strict";
/* The sections of the page: tracks, logos, facts. */
function section(id, title) {
  const made = make("section", { id, "aria-labelledby": `${id}-title` }, make("h2", { id: `${id}-title` }, title));
  document.getElementById("main").append(made);
  document.getElementById("sections").append(make("a", { href: `#${id}` }, title));
  return made;
}

function selector(label, names, change) {
  const select = make("select", { "aria-label": label, onchange: () => change(Number(select.value)) }, ...names.map((name, i) => make("option", { value: i }, name)));
  return select;
}

const within = (items, { chrom, low, high }) => items.filter((item) => (!chrom || item.chrom === chrom) && item.start < high && item.end > low);

const MOTIF_HUES = ["#7a4ea3", "#2f8fc4", "#b5588f", "#5e5e5e", "#8c6d31", "#3d6480"];

/* Rows for the genes and motifs of a place. */
function annotationRows(report, span) {
  const motifs = within(report.motifs, span), genes = within(report.genes, span), rows = [];
  if (motifs.length) {
    const names = [...new Set(motifs.map((motif) => motif.name))];
    rows.push(new BoxesRow("motifs", motifs, { colors: new Map(names.map((name, i) => [name, MOTIF_HUES[i % MOTIF_HUES.length]])) }));
  }
  if (genes.length) rows.push(new BoxesRow("genes", genes, { italic: true }));
  return rows;
}

class TracksSection {
  constructor(report, numbers) {
    Object.assign(this, { report, numbers, regions: report.tracks.regions, region: 0, set: -1, viewer: null });
    const here = section("tracks", "Tracks");
    const bar = make("div", { class: "bar" });
    if (this.regions.length > 1) bar.append(make("label", {}, "Region", this.select = selector("Region", this.regions.map((r) => r.name), (i) => this.open(i))));
    const scales = ["each track, what is shown", "each track, whole region", "one for all tracks"];
    bar.append(make("label", {}, "Scale", selector("Scale of values", scales, (i) => { this.scale = ["view", "all", "shared"][i]; this.viewer.scale = this.scale; this.viewer.refresh(); })));
    this.scale = "view";
    this.chooser = make("details", { class: "chooser" });
    this.host = make("div");
    here.append(bar, this.chooser, this.host);
    this.open(0);
  }

  open(index) {
    this.region = index;
    const region = this.regions[index];
    if (region.set !== this.set) { this.set = region.set; this.choose(); }
    if (this.viewer) this.viewer.close();
    const span = { chrom: region.chrom, low: region.start, high: region.start + region.bins * region.binSize };
    this.viewer = new Viewer(this.host, span, this.rows(region, span), { marks: within(this.report.highlights, span), smallest: Math.max(20, 4 * region.binSize), label: `Tracks of ${region.name}`, scale: this.scale });
  }

  rows(region, span) {
    const coverage = [...this.chosen].sort((a, b) => a - b).map((i) => {
      const values = this.numbers.halves(region.values[i]);
      return new CoverageRow(profile(values, region.start, region.binSize), this.tracks[i]);
    });
    const places = this.report.variantPlaces.filter((v) => v.chrom === span.chrom && v.position >= span.low && v.position < span.high).map((v) => v.position);
    return [...coverage, ...(places.length ? [new VariantsRow(places)] : []), ...annotationRows(this.report, span)];
  }

  get tracks() { return this.report.tracks.sets[this.set]; }

  redraw() {
    const { span } = this.viewer;
    this.count.textContent = `${this.chosen.size} of ${this.tracks.length} tracks are shown`;
    this.viewer.setRows(this.rows(this.regions[this.region], span));
  }

  choose() {
    this.chosen = new Set(this.tracks.slice(0, 16).keys());
    this.count = make("summary", {}, `${this.chosen.size} of ${this.tracks.length} tracks are shown`);
    const boxes = [], list = make("div", { class: "choices" });
    const find = make("input", { type: "search", placeholder: "Search tracks", "aria-label": "Search tracks", oninput: () => boxes.forEach((box) => box.label.hidden = !box.text.includes(find.value.toLowerCase().trim())) });
    const all = (on) => { boxes.filter((box) => !box.label.hidden).forEach((box) => { box.input.checked = on; this.chosen[on ? "add" : "delete"](box.index); }); this.redraw(); };
    const groups = new Map();
    this.tracks.forEach((track, index) => {
      if (!groups.has(track.group)) groups.set(track.group, make("fieldset", {}, make("legend", {}, track.group)));
      const input = make("input", { type: "checkbox", checked: this.chosen.has(index), onchange: () => { this.chosen[input.checked ? "add" : "delete"](index); this.redraw(); } });
      const label = make("label", {}, input, make("span", {}, track.label, " ", make("small", {}, track.detail)));
      boxes.push({ input, label, index, text: `${track.label} ${track.detail}`.toLowerCase() });
      groups.get(track.group).append(label);
    });
    list.append(make("div", {}, ...groups.values()));
    const buttons = make("div", { class: "bar" }, find, make("button", { type: "button", onclick: () => all(true) }, "Show all found"), make("button", { type: "button", onclick: () => all(false) }, "Hide all found"));
    buttons.style.marginTop = ".6rem";
    this.chooser.replaceChildren(this.count, buttons, list);
    this.chooser.hidden = this.tracks.length < 2;
  }

  /* Show a place; false where no region holds it. */
  show(chrom, position) {
    const holds = (r) => r.chrom === chrom && position >= r.start && position < r.start + r.bins * r.binSize;
    const index = holds(this.regions[this.region]) ? this.region : this.regions.findIndex(holds);
    if (index < 0) return false;
    if (index !== this.region) { this.open(index); if (this.select) this.select.value = index; }
    const width = 120 * this.regions[index].binSize;
    this.viewer.show(position - width, position + width);
    document.getElementById("tracks").scrollIntoView();
    return true;
  }

  holds(chrom, position) { return this.regions.some((r) => r.chrom === chrom && position >= r.start && position < r.start + r.bins * r.binSize); }
}

/* Values of bases: all four of each, or one and the letter it belongs to. */
function basesOf(row, numbers) {
  if (row.letters) {
    const values = numbers.halves(row.values), letters = numbers.bytes(row.letters);
    return { length: values.length, at: (i, b) => (letters[i] === b ? values[i] : 0) };
  }
  const values = numbers.halves(row.values);
  return { length: values.length / 4, at: (i, b) => values[4 * i + b] };
}

class LogosSection {
  constructor(report, numbers) {
    Object.assign(this, { report, numbers, viewer: null });
    const here = section("logos", "Contributions of bases");
    const bar = make("div", { class: "bar" });
    if (report.logos.length > 1) bar.append(make("label", {}, "Sequence", selector("Sequence", report.logos.map((one) => one.name), (i) => this.open(i))));
    this.host = make("div");
    here.append(bar, this.host);
    this.open(0);
  }

  open(index) {
    const one = this.report.logos[index], span = { chrom: one.chrom, low: one.start, high: one.start + one.length };
    if (this.viewer) this.viewer.close();
    const rows = one.rows.map((row) => {
      const bases = basesOf(row, this.numbers), Kind = row.kind === "ism" ? HeatRow : LettersRow;
      return new Kind(one.start, bases, row.label, row.detail);
    });
    this.viewer = new Viewer(this.host, span, [...rows, ...annotationRows(this.report, span)], {
      marks: within(this.report.highlights, span), smallest: 12, label: `Contributions of bases of ${one.name}`,
      overview: (...args) => rows[0].overview(...args),
    });
    this.viewer.show(...one.show);
  }
}

function factsSection(report) {
  const here = section("run", "About this run"), grid = make("div", { class: "facts" });
  for (const { title, rows } of report.facts) {
    const list = make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    grid.append(make("div", {}, make("h3", {}, title), list));
  }
  here.append(grid);
}
