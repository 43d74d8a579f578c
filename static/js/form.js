// The recipe form without reloads: buttons and choices that change its shape fetch the new form and swap it in.

import { ask } from "./ask.js";
import { keepDraft } from "./draft.js";
import { keepPreviews } from "./previews.js";

document.documentElement.classList.add("js");
document.querySelector("[data-problem]")?.focus();

document.addEventListener("change", ({ target }) => {
  if ("reshapes" in target.dataset) reshape(target.form, "shape");
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[name=do]");
  if (!button) return;
  if (button.getAttribute("formaction") !== button.form.dataset.recipe) return; // to another page
  event.preventDefault();
  reshape(button.form, button.value);
});

document.addEventListener("submit", ({ target, submitter }) => {
  if ("recipe" in target.dataset && !submitter?.hasAttribute("formaction")) target.querySelector(".launch button").disabled = true; // one press, one run
});

addEventListener("pageshow", () => {
  const button = document.querySelector(".launch button");
  if (button) button.disabled = false; // back from the run's page
});

const panel = document.querySelector("[data-preview]");
if (panel) keepPreviews(panel);
keepDraft();

async function reshape(form, action) {
  const fields = new URLSearchParams(new FormData(form));
  fields.set("do", action);
  const answer = await ask(form.dataset.recipe, { method: "POST", body: fields });
  if (!answer) return; // the form stays as it is: nothing that was typed is lost
  const page = new DOMParser().parseFromString(answer.text, "text/html");
  const drawn = page.querySelector("form[data-recipe]");
  const focus = document.activeElement?.name;
  const value = document.activeElement?.value;
  form.replaceWith(document.adoptNode(drawn));
  const again = [...drawn.elements].filter((element) => element.name === focus);
  (again.find((element) => element.value === value) ?? again[0])?.focus();
  document.dispatchEvent(new CustomEvent("pitwall:reshaped"));
}
