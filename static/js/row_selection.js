// Selection of runs by checkbox: one checkbox for the whole page, the number selected, and bulk actions that are
// disabled while nothing is selected.

export function enableRowSelection() {
  const bar = document.querySelector("[data-bulk]");
  const all = document.querySelector("[data-all-boxes]");
  if (!bar || !all) return;
  const boxes = () => [...document.querySelectorAll("[name=runs]")];
  const count = () => {
    const selected = boxes().filter((box) => box.checked).length;
    bar.querySelector("[data-selected-count]").textContent = selected ? `${selected} selected` : "Select runs to act on them";
    for (const button of bar.querySelectorAll("button")) button.disabled = !selected;
    all.checked = selected > 0 && selected === boxes().length;
    all.indeterminate = selected > 0 && !all.checked;
  };
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    count();
  });
  document.addEventListener("change", ({ target }) => target.name === "runs" && count());
  for (const kind of ["rows-updated", "deleted"]) document.addEventListener(`pitwall:${kind}`, () => setTimeout(count));
  addEventListener("pageshow", count); // the browser restores checkboxes of a page that it cached
  count();
}
