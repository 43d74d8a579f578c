// The recipe form without reloads: buttons and options that change its fields fetch the new form and swap it in.

import { fetchText } from "./fetch_text.js";
import { enableFormDraft } from "./form_draft.js";
import { enablePreview } from "./recipe_preview.js";

document.documentElement.classList.add("js");
document.querySelector("[data-problem]")?.focus();

document.addEventListener("change", ({ target }) => {
  if ("reshapes" in target.dataset) refreshForm(target.form, "shape");
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[name=do]");
  if (!button) return;
  if (button.getAttribute("formaction") !== button.form.dataset.recipe) return; // to another page
  event.preventDefault();
  refreshForm(button.form, button.value);
});

document.addEventListener("submit", ({ target, submitter }) => {
  if ("recipe" in target.dataset && !submitter?.hasAttribute("formaction")) target.querySelector(".launch button").disabled = true; // a double click must not launch two runs
});

addEventListener("pageshow", () => {
  const button = document.querySelector(".launch button");
  if (button) button.disabled = false; // back from the page of the run
});

const panel = document.querySelector("[data-preview]");
if (panel) enablePreview(panel);
enableFormDraft();

async function refreshForm(form, action) {
  const fields = new URLSearchParams(new FormData(form));
  fields.set("do", action);
  const response = await fetchText(form.dataset.recipe, { method: "POST", body: fields });
  if (!response) return; // the form stays: nothing that was typed is lost
  const page = new DOMParser().parseFromString(response.text, "text/html");
  const fresh = page.querySelector("form[data-recipe]");
  const focus = document.activeElement?.name;
  const value = document.activeElement?.value;
  form.replaceWith(document.adoptNode(fresh));
  const sameName = [...fresh.elements].filter((element) => element.name === focus);
  (sameName.find((element) => element.value === value) ?? sameName[0])?.focus();
  document.dispatchEvent(new CustomEvent("pitwall:form-updated"));
}
