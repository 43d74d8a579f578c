// The queue by hand: a waiting run is dragged to its place. The buttons beside it do the same without a mouse.

import { ask } from "./ask.js";

export function keepQueue() {
  let dragged = null;
  const item = (target) => target.closest?.("[data-queue] > li[data-status=queued]");
  document.addEventListener("pointerdown", ({ target }) => {
    const row = item(target);
    if (row) row.draggable = !target.closest("button, a"); // these are pressed, not dragged
  });
  document.addEventListener("dragstart", (event) => {
    dragged = item(event.target);
    if (dragged) event.dataTransfer.effectAllowed = "move";
  });
  document.addEventListener("dragover", (event) => {
    const over = item(event.target);
    if (!dragged || !over || over === dragged) return;
    event.preventDefault();
    const { top, height } = over.getBoundingClientRect();
    over[event.clientY < top + height / 2 ? "before" : "after"](dragged);
  });
  document.addEventListener("drop", (event) => dragged && event.preventDefault());
  document.addEventListener("dragend", async () => {
    if (!dragged) return;
    const next = dragged.nextElementSibling;
    const before = next?.dataset.status === "queued" ? next.dataset.run : "";
    await ask(`/runs/${dragged.dataset.run}/move`, { method: "POST", redirect: "manual", body: new URLSearchParams({ before }) });
    dragged = null;
  });
}
