// What is typed into the recipe form outlives a closed tab: kept in this browser until it is launched or forgotten.

const KEPT = "pitwall.draft"; // localStorage
const PAUSE_MS = 400; // of typing

export function keepDraft() {
  const fields = () => new URLSearchParams(new FormData(document.getElementById("recipe"))).toString();
  const first = fields();
  const kept = localStorage.getItem(KEPT);
  let due = null;
  const later = () => {
    clearTimeout(due);
    due = setTimeout(() => fields() !== first && localStorage.setItem(KEPT, fields()), PAUSE_MS);
  };
  document.addEventListener("input", ({ target }) => target.form?.id === "recipe" && later());
  document.addEventListener("pitwall:reshaped", later);
  document.addEventListener("submit", ({ target, submitter }) => {
    if (target.id !== "recipe" || submitter?.hasAttribute("formaction")) return;
    clearTimeout(due); // what was typed last must not come back while the run is launched
    localStorage.removeItem(KEPT);
  });
  // refused, or the list of a sweep: not launched yet
  if (document.querySelector("[data-problem]")) return localStorage.setItem(KEPT, first);

  const bar = document.querySelector("[data-draft]");
  if (!bar || !kept || kept === first) return;
  bar.hidden = false;
  bar.querySelector("[data-take]").addEventListener("click", () => take(kept));
  bar.querySelector("[data-forget]").addEventListener("click", () => {
    localStorage.removeItem(KEPT);
    bar.hidden = true;
  });
}

// By the server, which alone knows the shape of a form: the knobs of a schedule are not those of another.
function take(kept) {
  const form = Object.assign(document.createElement("form"), { method: "post", action: "/runs/new" });
  for (const [name, value] of new URLSearchParams(kept)) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  document.body.append(form);
  form.submit();
}
