// A picture of one's own for a run's net: chosen, dropped or pasted. Only the answer of the answer's page is taken.

const MOST_BYTES = 8 * 2 ** 20; // as the server says, which need not be asked

const formOf = ({ target }) => target.closest?.("[data-try]");

export function keepTry() {
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
    give(form, event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    const form = document.querySelector("details[open] [data-try]");
    if (form && give(form, event.clipboardData.files)) event.preventDefault();
  });
  document.addEventListener("change", (event) => event.target.type === "file" && formOf(event)?.requestSubmit());
  document.addEventListener("submit", (event) => {
    const form = formOf(event);
    if (!form) return;
    event.preventDefault();
    show(form);
  });
}

function give(form, files) {
  const picture = [...files].find((file) => file.type.startsWith("image/")) ?? files[0];
  if (!picture) return false;
  const given = new DataTransfer();
  given.items.add(picture);
  form.querySelector("[type=file]").files = given.files;
  form.requestSubmit();
  return true;
}

async function show(form) {
  const number = (form.dataset.asked = String(Number(form.dataset.asked ?? 0) + 1));
  form.setAttribute("aria-busy", "true");
  const answer = await answered(form);
  if (form.dataset.asked !== number) return; // another picture was given meanwhile
  form.removeAttribute("aria-busy");
  form.querySelector("#tried").replaceChildren(...answer);
}

async function answered(form) {
  const [picture] = form.querySelector("[type=file]").files;
  if (picture?.size > MOST_BYTES) return said("The picture is larger than 8 MiB: choose a smaller copy.");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector("#tried");
    return found ? [...found.childNodes] : said(page.querySelector("main p")?.textContent ?? "It could not be tried.");
  } catch {
    return said("The app could not be reached: try again in a moment.");
  }
}

function said(words) {
  const shown = document.createElement("p");
  shown.className = "error";
  shown.textContent = words;
  return [shown];
}
