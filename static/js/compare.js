// The page of a comparison: curves over each other, parallel coordinates, one knob or result over another.

import { drawCurves } from "./curves.js";
import { drawParallel, drawScatter } from "./knobs.js";
import { isHere, plotly, whenHandled } from "./plotly.js";

const json = (selector) => JSON.parse(document.querySelector(selector).textContent);
const figure = json("[data-figure]");
const plot = document.querySelector("[data-plot]");
const axis = document.querySelector("[data-axis]");
const smoothing = document.querySelector("[data-smoothing]");
const knobs = document.querySelector("[data-axes]") ? json("[data-axes]") : null;
let by = "epoch";
let areKnobsDrawn = false;

for (const form of document.querySelectorAll("[data-asking]")) {
  form.addEventListener("change", ({ target }) => target.name === "field" && form.requestSubmit());
}
axis.hidden = smoothing.hidden = false;
axis.addEventListener("click", ({ target }) => target.dataset.by && plotly(() => ((by = target.dataset.by), draw())));
smoothing.addEventListener("input", () => plotly(draw));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => isHere() && drawAll());
whenHandled(draw);
if (knobs) {
  const choice = document.querySelector("[data-scatter-choice]");
  choice.hidden = false;
  choice.addEventListener("change", () => plotly(drawKnobs));
  addEventListener("beforeprint", () => isHere() && (drawKnobs(), drawChosen())); // else a style leaves them out
  const place = document.querySelector("[data-parallel]");
  // further down: drawn when somebody comes there, so that the curves wait for nothing
  new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && !areKnobsDrawn && plotly(drawKnobs)).observe(place);
}

function drawAll() {
  draw();
  if (areKnobsDrawn) drawKnobs();
}

function draw() {
  for (const button of axis.children) button.setAttribute("aria-pressed", button.dataset.by === by);
  drawCurves(plot, figure, by, Number(smoothing.querySelector("input").value));
}

function drawKnobs() {
  areKnobsDrawn = true;
  drawParallel(document.querySelector("[data-parallel]"), knobs);
  setTimeout(drawChosen); // a task of its own: what somebody does meanwhile comes first
}

function drawChosen() {
  const chosen = (name) => knobs.axes[document.querySelector(`[data-${name}]`).value];
  drawScatter(document.querySelector("[data-scatter]"), chosen("x"), chosen("y"), knobs.names);
}
