// A legend that is a table beside the chart: pointing at a row, or focusing it, highlights its line, pointing at a line
// highlights its rows, and an eye hides or shows a line. It works on the static chart and on Plotly's. Rows and lines
// share `data-line`, the number of the run or group; Plotly's lines are found by the class that it makes of `uid`.

const HIGHLIGHT = "data-highlighted";

export const uidOf = (trace) => `-line-${trace.meta.role}${trace.meta.is_band ? "-band" : ""}`;

export function enableLegend(plot, redraw) {
  const legend = document.querySelector("[data-legend]");
  const all = legend.querySelector("[data-all-lines]");
  const eyes = [...legend.querySelectorAll("[data-eye]")];
  const rows = [...document.querySelectorAll("tr[data-line]")];
  const hidden = new Set();
  let current = null;

  const partsOf = (line) =>
    line === null ? [] : plot.querySelectorAll(`.static-chart [data-line="${line}"], .trace-line-${line}, .trace-line-${line}-band`);

  function highlight(line) {
    if (line === current) return;
    current = line;
    for (const row of rows) row.toggleAttribute(HIGHLIGHT, row.dataset.line === line);
    mark();
  }

  const focusedLine = () => document.activeElement.closest("tr[data-line]")?.dataset.line ?? null;

  function mark() {
    const own = new Set(partsOf(current));
    for (const part of plot.querySelectorAll(".static-chart [data-line], .scatterlayer > .trace")) {
      part.toggleAttribute("data-faded", current !== null && !own.has(part));
    }
  }

  function update() {
    for (const eye of eyes) eye.setAttribute("aria-pressed", !hidden.has(eye.closest("tr").dataset.line));
    all.textContent = hidden.size ? "Show all" : "Hide all";
    for (const part of plot.querySelectorAll(".static-chart [data-line]")) part.toggleAttribute("data-hidden", hidden.has(part.dataset.line));
    redraw();
  }

  for (const row of rows) {
    row.addEventListener("pointerenter", () => highlight(row.dataset.line));
    row.addEventListener("pointerleave", () => highlight(focusedLine()));
    row.addEventListener("focusin", () => highlight(row.dataset.line));
    row.addEventListener("focusout", () => highlight(null));
  }
  for (const eye of eyes) {
    eye.hidden = false;
    eye.addEventListener("click", () => {
      const line = eye.closest("tr").dataset.line;
      if (!hidden.delete(line)) hidden.add(line);
      update();
    });
  }
  all.hidden = eyes.length < 2;
  all.addEventListener("click", () => {
    if (hidden.size) hidden.clear();
    else for (const eye of eyes) hidden.add(eye.closest("tr").dataset.line);
    update();
  });

  function showRow(line) {
    highlight(line);
    const box = legend.parentElement;
    const row = legend.querySelector(`[data-line="${line}"]`);
    if (row) box.scrollTo({ top: row.offsetTop - (box.clientHeight - row.offsetHeight) / 2 });
  }

  return {
    isHidden: (trace) => hidden.has(trace.meta.role),
    // After Plotly has drawn: its lines are new elements, and it tells which one is pointed at.
    connect() {
      mark();
      if (plot.dataset.isConnected) return;
      plot.dataset.isConnected = "";
      plot.on("plotly_hover", ({ points }) => showRow(points[0].data.meta.role));
      plot.on("plotly_unhover", () => highlight(focusedLine()));
    },
  };
}
