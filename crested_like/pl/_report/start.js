"use strict";
/* Opens the page. */
function complain(text) {
  const problem = document.getElementById("problem");
  problem.textContent = text;
  problem.hidden = false;
}

function setUpTheme() {
  const button = document.getElementById("theme"), choices = ["auto", "light", "dark"];
  const apply = (choice) => {
    if (choice === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = choice;
    button.querySelector("span").textContent = choice;
    button.setAttribute("aria-label", `Colours: ${choice === "auto" ? "as the system" : choice}`);
    theme.values = null;
    viewers.forEach((viewer) => viewer.refresh());
  };
  button.addEventListener("click", () => apply(choices[(choices.indexOf(button.querySelector("span").textContent) + 1) % 3]));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { theme.values = null; viewers.forEach((viewer) => viewer.refresh()); });
}

async function start() {
  const report = JSON.parse(document.getElementById("facts").textContent);
  const numbers = await Numbers.open(document.getElementById("numbers"));
  const { variants } = report;
  report.variantPlaces = [];
  if (variants) {
    const read = (name) => { const c = variants.columns.find((one) => one.name === name); return c && (c.values || numbers.integers(c)); };
    const chroms = read("chrom"), positions = read("position");
    if (chroms && positions) report.variantPlaces = Array.from(positions, (position, i) => ({ chrom: chroms[i], position: position - 1 }));
  }
  document.getElementById("loading").remove();
  const tracks = report.tracks ? new TracksSection(report, numbers) : null;
  const table = variants ? new VariantsSection(report, numbers, tracks) : null;
  const logos = report.logos.length ? new LogosSection(report, numbers) : null;
  if (report.facts.length) factsSection(report);
  window.report = { tracks, variants: table, logos };
}

setUpTheme();
if (typeof DecompressionStream === "undefined") complain("This browser is too old to open the report; any of the last three years' can.");
else start().catch((error) => { complain(`The report could not be opened: ${error.message}`); console.error(error); });
