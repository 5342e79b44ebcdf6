"use strict";
// Make a table sortable by its headers, with mouse or keyboard, and filterable by words; without scripts it is static.
function makeSortable(region) {
  const table = region.querySelector("table");
  const rows = [...table.tBodies[0].rows];
  const headers = [...table.tHead.rows[0].cells];
  const label = document.createElement("label");
  const input = document.createElement("input");
  const status = document.createElement("span");
  label.append("Filter runs: ", input);
  input.type = "search";
  input.placeholder = "words in any column";
  status.setAttribute("role", "status");
  const controls = document.createElement("p");
  controls.className = "controls";
  controls.append(label, " ", status);
  region.before(controls);

  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join(" ");
      row.hidden = !words.every((word) => text.includes(word));
    }
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} runs`;
  };
  const sortBy = (column, header) => {
    const direction = header.ariaSort === "ascending" ? -1 : 1;
    for (const other of headers) other.ariaSort = "none";
    header.ariaSort = direction === 1 ? "ascending" : "descending";
    const key = (row) => row.cells[column].textContent;
    const numeric = rows.every((row) => key(row) === "-" || !Number.isNaN(Number(key(row))));
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "-" || y === "-") return (x === "-") - (y === "-"); // unknown figures are last
      return direction * (numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", {numeric: true}));
    };
    table.tBodies[0].append(...rows.slice().sort(compare));
  };
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.ariaSort = "none";
    button.addEventListener("click", () => sortBy(column, header));
  });
  input.addEventListener("input", filter);
  filter();
}
document.querySelectorAll(".sortable").forEach(makeSortable);

const data = JSON.parse(document.getElementById("figures").textContent);
const darkMode = matchMedia("(prefers-color-scheme: dark)");
const printMode = matchMedia("print");
const SHRINK = 0.85; // text may be shrunk by this factor
const PAPER = 1060; // width of a chart that is readable on paper, where text may be smaller
let drawn = null; // theme and width of the charts on the page
let views = [];

function embed(element, spec, theme) {
  return vegaEmbed(element, spec, {
    actions: false,
    ast: true, // expressions are interpreted: nothing is evaluated as code
    config: data.themes[theme],
    defaultStyle: false,
    renderer: "svg",
    tooltip: {disableDefaultStyle: true},
  });
}

// Fit a chart of this width into the available width: fewer panels side by side, and narrower plots.
function narrowed(spec, width, available) {
  if (!spec.columns) return narrowedPlot(spec, width - available);
  const columns = Math.max(1, Math.floor((spec.columns * available) / width));
  const excess = width / Math.min(spec.columns, spec.concat.length) - available;
  const concat = columns === 1 && excess > 0 ? spec.concat.map((panel) => narrowedPlot(panel, excess)) : spec.concat;
  return {...spec, columns, concat};
}

function narrowedPlot(spec, excess) {
  const plot = Math.min(spec.width, Math.max(150, Math.floor(spec.width - excess)));
  return JSON.parse(JSON.stringify({...spec, width: plot}), (key, value) =>
    ["x", "x2"].includes(key) && value.value >= spec.width
      ? {...value, value: value.value - spec.width + plot}
      : value);
}

async function draw(theme, paper) {
  const requested = `${theme} ${paper ?? innerWidth}`;
  if (requested === drawn) return;
  drawn = requested;
  for (const view of views) view.finalize();
  views = [];
  for (const [id, spec] of Object.entries(data.charts)) {
    const element = document.getElementById(id);
    try {
      let view = await embed(element, spec, theme);
      const width = element.querySelector("svg").viewBox.baseVal.width;
      const available = paper ?? element.clientWidth / SHRINK;
      if (width > available) {
        view.finalize();
        view = await embed(element, narrowed(spec, width, available), theme);
      }
      if (requested !== drawn) return view.finalize(); // another draw has started
      views.push(view);
      const svg = element.querySelector("svg");
      svg.style.width = `${1.25 * svg.viewBox.baseVal.width}px`;
      svg.style.minWidth = `min(${SHRINK * svg.viewBox.baseVal.width}px, var(--chart-min))`;
    } catch (error) {
      element.textContent = element.parentElement.ariaLabel;
      throw error;
    }
  }
}

function update(printing) {
  if (printing) draw("light", PAPER);
  else draw(darkMode.matches ? "dark" : "light", null);
}

darkMode.addEventListener("change", () => update(printMode.matches));
printMode.addEventListener("change", () => update(printMode.matches));
addEventListener("beforeprint", () => update(true));
addEventListener("afterprint", () => update(false));
let resizeTimer = 0;
addEventListener("resize", () => {
  clearTimeout(resizeTimer);
  resizeTimer = setTimeout(update, 200, printMode.matches);
});
update(printMode.matches);
