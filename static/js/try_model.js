// Tries a run's model on an image that is chosen, dropped or pasted, and shows the result without leaving the page.

const MAX_BYTES = 8 * 2 ** 20; // the server's limit, checked before the upload

const formOf = ({ target }) => target.closest?.("[data-try]");

export function enableTryModel() {
  document.addEventListener("dragover", (event) => {
    const form = formOf(event);
    if (!form) return;
    event.preventDefault();
    form.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => formOf(event)?.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    const form = formOf(event);
    if (!form) return;
    event.preventDefault();
    form.classList.remove("over");
    submitFile(form, event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    const form = document.querySelector("details[open] [data-try]");
    if (form && submitFile(form, event.clipboardData.files)) event.preventDefault();
  });
  document.addEventListener("change", (event) => event.target.type === "file" && formOf(event)?.requestSubmit());
  document.addEventListener("submit", (event) => {
    const form = formOf(event);
    if (!form) return;
    event.preventDefault();
    showResult(form);
  });
}

function submitFile(form, files) {
  const image = [...files].find((file) => file.type.startsWith("image/")) ?? files[0];
  if (!image) return false;
  const transfer = new DataTransfer();
  transfer.items.add(image);
  form.querySelector("[type=file]").files = transfer.files;
  form.requestSubmit();
  return true;
}

async function showResult(form) {
  const number = (form.dataset.request = String(Number(form.dataset.request ?? 0) + 1));
  form.setAttribute("aria-busy", "true");
  const result = await fetchResult(form);
  if (form.dataset.request !== number) return; // another image was submitted in the meantime
  form.removeAttribute("aria-busy");
  form.querySelector("#tried").replaceChildren(...result);
}

async function fetchResult(form) {
  const [image] = form.querySelector("[type=file]").files;
  if (image?.size > MAX_BYTES) return errorMessage("The image is larger than 8 MiB: choose a smaller copy.");
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const result = page.querySelector("#tried");
    return result ? [...result.childNodes] : errorMessage(page.querySelector("main p")?.textContent ?? "The image could not be classified.");
  } catch {
    return errorMessage("The app could not be reached: try again in a moment.");
  }
}

function errorMessage(text) {
  const message = document.createElement("p");
  message.className = "error";
  message.textContent = text;
  return [message];
}
