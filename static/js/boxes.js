// Runs that are ticked: one box for all of a page, how many there are, and a question before what cannot be undone.

export function keepBoxes() {
  const bar = document.querySelector("[data-bulk]");
  const all = document.querySelector("[data-all-boxes]");
  if (!bar || !all) return;
  const boxes = () => [...document.querySelectorAll("[name=runs]")];
  const count = () => {
    const ticked = boxes().filter((box) => box.checked).length;
    bar.querySelector("[data-chosen]").textContent = ticked ? `${ticked} chosen` : "Choose runs by their boxes";
    for (const button of bar.querySelectorAll("button")) button.disabled = !ticked;
    all.checked = ticked > 0 && ticked === boxes().length;
    all.indeterminate = ticked > 0 && !all.checked;
  };
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    count();
  });
  document.addEventListener("change", ({ target }) => target.name === "runs" && count());
  bar.closest("form").addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });
  for (const kind of ["rows", "deleted"]) document.addEventListener(`pitwall:${kind}`, () => setTimeout(count));
  addEventListener("pageshow", count); // a page that the browser kept still has its ticks
  count();
}
