// Parts of the page that the server draws: `data-fragment` says where from, `data-on` after which events.
// First paint and update are the same template. A part inside a run's row listens to that run only.

import { ask } from "./ask.js";
import { KINDS } from "./live.js";
import { localTimes } from "./times.js";

const TOGETHER_MS = 60; // events of one commit arrive together: ask once

export function keepFragments() {
  const waiting = new Map();
  // `data-every`: seconds; for what no event tells of
  for (const part of document.querySelectorAll("[data-fragment][data-every]")) {
    setInterval(() => document.hidden || redraw(part), part.dataset.every * 1000);
  }
  document.addEventListener("pitwall:again", () => document.querySelectorAll("[data-fragment]").forEach(redraw));
  for (const kind of KINDS) {
    document.addEventListener(`pitwall:${kind}`, ({ detail }) => {
      const run = String(detail.run ?? detail.id);
      for (const part of document.querySelectorAll(`[data-fragment][data-on~="${kind}"]`)) {
        if (part.dataset.run && part.dataset.run !== run) continue;
        if (!waiting.has(part)) waiting.set(part, setTimeout(() => (waiting.delete(part), redraw(part)), TOGETHER_MS));
      }
    });
  }
}

export async function redraw(part) {
  const answer = await ask(part.dataset.fragment);
  if (!answer) return; // the app restarts
  if (answer.status === 404) return part.tagName === "TR" ? part.remove() : null; // deleted meanwhile
  const drawn = document.createElement("template");
  drawn.innerHTML = answer.text.trim();
  localTimes(drawn.content);
  const focused = part.contains(document.activeElement) ? signature(document.activeElement) : null;
  const open = [...part.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent);
  const scrolled = [...part.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  const now = part.tagName === "TR" ? drawn.content.firstElementChild : part;
  if (now === part) part.replaceChildren(drawn.content);
  else part.replaceWith(now);
  for (const summary of now.querySelectorAll("details > summary")) {
    if (open.includes(summary.textContent)) summary.parentElement.open = true;
  }
  document.dispatchEvent(new Event("pitwall:drawn"));
  // the reader stays where they were
  now.querySelectorAll(".scroll").forEach((box, i) => scrolled[i] && box.scrollTo(...scrolled[i]));
  if (focused) [...now.querySelectorAll("a, button, [tabindex]")].find((e) => signature(e) === focused)?.focus();
}

function signature(element) {
  return `${element.tagName} ${element.getAttribute("href") ?? element.closest("form")?.action ?? element.className}`;
}
