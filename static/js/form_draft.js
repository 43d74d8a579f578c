// Keeps the recipe form as a draft in this browser, over a closed tab, until it is launched or discarded.

const STORAGE_KEY = "pitwall.draft"; // in localStorage
const PAUSE_MS = 400; // of typing

export function enableFormDraft() {
  const fields = () => new URLSearchParams(new FormData(document.getElementById("recipe"))).toString();
  const initial = fields();
  const draft = localStorage.getItem(STORAGE_KEY);
  let timer = null;
  const saveSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => fields() !== initial && localStorage.setItem(STORAGE_KEY, fields()), PAUSE_MS);
  };
  document.addEventListener("input", ({ target }) => target.form?.id === "recipe" && saveSoon());
  document.addEventListener("pitwall:form-updated", saveSoon);
  document.addEventListener("submit", ({ target, submitter }) => {
    if (target.id !== "recipe" || submitter?.hasAttribute("formaction")) return;
    clearTimeout(timer); // a pending save must not bring the draft back while the run is launched
    localStorage.removeItem(STORAGE_KEY);
  });
  // refused, or the confirmation page of a sweep: not launched yet
  if (document.querySelector("[data-problem]")) return localStorage.setItem(STORAGE_KEY, initial);

  const bar = document.querySelector("[data-draft]");
  if (!bar || !draft || draft === initial) return;
  bar.hidden = false;
  bar.querySelector("[data-restore]").addEventListener("click", () => restore(draft));
  bar.querySelector("[data-discard]").addEventListener("click", () => {
    localStorage.removeItem(STORAGE_KEY);
    bar.hidden = true;
  });
}

// Posts the draft: only the server knows which fields a form has, as each schedule has its own settings.
function restore(draft) {
  const form = Object.assign(document.createElement("form"), { method: "post", action: "/runs/new" });
  for (const [name, value] of new URLSearchParams(draft)) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  document.body.append(form);
  form.submit();
}
