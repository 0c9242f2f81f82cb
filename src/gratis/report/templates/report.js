"use strict";
// The page is complete without this script: it sorts tables, hides columns,
// and shows one epsilon at a time.
const units = {k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18};

function contentOf(cell) {
  const main = cell.querySelector("span") || cell.firstChild;
  return (main ? main.textContent : "").trim();
}

function valueOf(cell) {
  const found = /^(-?[\d.,]+)\s*([kMGTPE]?)/.exec(contentOf(cell));
  return found ? parseFloat(found[1].replaceAll(",", "")) * (units[found[2]] || 1) : NaN;
}

function sort(table, place, down) {
  const body = table.tBodies[0], rows = [...body.rows];
  const numbers = rows.map(row => valueOf(row.cells[place]));
  const text = table.tHead.rows[0].cells[place].classList.contains("text") || place === 0 ||
    numbers.every(Number.isNaN);
  const order = rows.map((row, i) => i).sort((a, b) => {
    if (text) {
      const compared = contentOf(rows[a].cells[place])
        .localeCompare(contentOf(rows[b].cells[place]), undefined, {numeric: true});
      return down ? -compared : compared;
    }
    // What was not measured comes last.
    if (Number.isNaN(numbers[a]) || Number.isNaN(numbers[b])) {
      return Number.isNaN(numbers[a]) - Number.isNaN(numbers[b]);
    }
    return down ? numbers[b] - numbers[a] : numbers[a] - numbers[b];
  });
  body.append(...order.map(i => rows[i]));
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      // The highest number first, the first name first; then the other way round.
      const first = place === 0 ? "ascending" : "descending";
      const other = place === 0 ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", now);
      sort(table, place, now === "descending");
    });
  });
}

function makeHideable(region) {
  const table = region.querySelector("table"), heads = [...table.tHead.rows[0].cells];
  const details = document.createElement("details"), summary = document.createElement("summary");
  details.className = "columns";
  summary.textContent = "Columns";
  details.append(summary);
  heads.forEach((head, place) => {
    if (place === 0) return;
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      for (const row of table.rows) row.cells[place].hidden = !box.checked;
    });
    label.append(box, " " + contentOf(head.querySelector("button") || head));
    details.append(label);
  });
  region.before(details);
}

function makeSlider(samples) {
  const epsilons = samples.dataset.epsilons.split(" ");
  const label = document.createElement("label"), slider = document.createElement("input");
  const output = document.createElement("output");
  label.className = "slider";
  slider.type = "range";
  slider.min = 0;
  slider.max = epsilons.length - 1;
  slider.value = samples.dataset.shown;
  function show() {
    output.textContent = epsilons[slider.value];
    slider.setAttribute("aria-valuetext", epsilons[slider.value]);
    for (const growing of samples.querySelectorAll(".growing")) {
      [...growing.children].forEach((figure, i) => { figure.hidden = i !== +slider.value; });
    }
  }
  slider.addEventListener("input", show);
  label.append("Epsilon of the lowest pictures ", slider, " ", output);
  samples.before(label);
  show();
}

for (const samples of document.querySelectorAll("[data-epsilons]")) makeSlider(samples);
for (const table of document.querySelectorAll(".table table")) makeSortable(table);
for (const region of document.querySelectorAll(".table.hideable")) makeHideable(region);
