// Parts of the page that the server renders again: `data-fragment` is the address, `data-on` the events that trigger it,
// `data-every` an interval in seconds, for changes that have no event. The page and its updates use the same template.
// A fragment with `data-run` reacts to events of that run only; `data-wait` is the time in ms that it collects events.

import { fetchText } from "./fetch_text.js";
import { EVENT_KINDS } from "./event_stream.js";
import { localizeTimes } from "./local_times.js";

const DEBOUNCE_MS = 60; // events of one commit arrive together: fetch once

export function enableLiveFragments() {
  const timers = new Map();
  for (const part of document.querySelectorAll("[data-fragment][data-every]")) {
    setInterval(() => document.hidden || refreshFragment(part), part.dataset.every * 1000);
  }
  document.addEventListener("pitwall:reconnected", () => document.querySelectorAll("[data-fragment]").forEach(refreshFragment));
  for (const kind of EVENT_KINDS) {
    document.addEventListener(`pitwall:${kind}`, ({ detail }) => {
      const run = String(detail.run ?? detail.id);
      for (const part of document.querySelectorAll(`[data-fragment][data-on~="${kind}"]`)) {
        if (part.dataset.run && part.dataset.run !== run) continue;
        if (!timers.has(part)) timers.set(part, setTimeout(() => (timers.delete(part), refreshFragment(part)), Number(part.dataset.wait ?? DEBOUNCE_MS)));
      }
    });
  }
}

export async function refreshFragment(part) {
  const response = await fetchText(part.dataset.fragment);
  if (!response) return; // the app restarts
  if (response.status === 404) return part.tagName === "TR" ? part.remove() : null; // deleted in the meantime
  const content = document.createElement("template");
  content.innerHTML = response.text.trim();
  localizeTimes(content.content);
  const focused = part.contains(document.activeElement) ? focusKey(document.activeElement) : null;
  const open = [...part.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent);
  const checked = new Set([...part.querySelectorAll("input:checked")].map((box) => box.value));
  const scrolled = [...part.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  const current = part.tagName === "TR" ? content.content.firstElementChild : part;
  if (current === part) part.replaceChildren(content.content);
  else part.replaceWith(current);
  for (const summary of current.querySelectorAll("details > summary")) {
    if (open.includes(summary.textContent)) summary.parentElement.open = true;
  }
  for (const box of current.querySelectorAll("input[type=checkbox]")) box.checked ||= checked.has(box.value);
  document.dispatchEvent(new Event("pitwall:fragment-updated"));
  // keeps the scroll position
  current.querySelectorAll(".scroll").forEach((box, i) => scrolled[i] && box.scrollTo(...scrolled[i]));
  if (focused) [...current.querySelectorAll("a, button, [tabindex]")].find((e) => focusKey(e) === focused)?.focus();
}

function focusKey(element) {
  return `${element.tagName} ${element.getAttribute("href") ?? element.closest("form")?.action ?? element.className}`;
}
