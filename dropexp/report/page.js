"use strict";
const data = JSON.parse(document.getElementById("figures").textContent);
const darkMode = matchMedia("(prefers-color-scheme: dark)");
const printMode = matchMedia("print");
const SHRINK = 0.85; // text may be shrunk by this factor
let drawn = null; // theme and window width of the charts on the page
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

// Fit a chart of this width into the available width: fewer panels side by side, or a narrower plot with its labels moved.
function narrowed(spec, width, available) {
  if (spec.columns) return {...spec, columns: Math.max(1, Math.floor((spec.columns * available) / width))};
  const plot = Math.max(150, Math.floor(spec.width - (width - available)));
  return JSON.parse(JSON.stringify({...spec, width: plot}), (key, value) =>
    ["x", "x2"].includes(key) && value.value >= spec.width
      ? {...value, value: value.value - spec.width + plot}
      : value);
}

async function draw(theme) {
  const requested = `${theme} ${innerWidth}`;
  if (requested === drawn) return;
  drawn = requested;
  for (const view of views) view.finalize();
  views = [];
  for (const [id, spec] of Object.entries(data.charts)) {
    const element = document.getElementById(id);
    try {
      let view = await embed(element, spec, theme);
      const width = element.querySelector("svg").viewBox.baseVal.width;
      const available = element.clientWidth / SHRINK;
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
  draw(darkMode.matches && !printing ? "dark" : "light");
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
