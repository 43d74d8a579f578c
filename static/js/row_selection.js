// Selection of rows by checkbox: one checkbox for the whole page, the number selected, and bulk actions that are
// disabled while nothing is selected. Elements are looked up each time, because a fragment may have replaced them.

const boxes = () => [...document.querySelectorAll("tbody input[type=checkbox][form]")];

export function enableRowSelection() {
  document.addEventListener("change", ({ target }) => {
    if (target.matches("[data-all-boxes]")) for (const box of boxes()) box.checked = target.checked;
    if (target.matches("[data-all-boxes], tbody [form]")) count();
  });
  for (const kind of ["rows-updated", "fragment-updated", "deleted"]) document.addEventListener(`pitwall:${kind}`, () => setTimeout(count));
  addEventListener("pageshow", count); // the browser restores checkboxes of a page that it cached
  count();
}

function count() {
  const bar = document.querySelector("[data-bulk]");
  const all = document.querySelector("[data-all-boxes]");
  if (!bar || !all) return;
  const selected = boxes().filter((box) => box.checked).length;
  const label = bar.querySelector("[data-selected-count]");
  label.textContent = selected ? `${selected} selected` : label.dataset.selectedCount;
  for (const button of bar.querySelectorAll("button")) button.disabled = !selected;
  all.hidden = false;
  all.checked = selected > 0 && selected === boxes().length;
  all.indeterminate = selected > 0 && !all.checked;
}
