// A picture of one's own for a run's net: chosen, dropped or pasted. Only the answer of the answer's page is taken.

export function keepTry() {
  const form = document.querySelector("[data-try]");
  if (!form) return;
  const input = form.querySelector("[type=file]");
  const give = (files) => {
    const picture = [...files].find((file) => file.type.startsWith("image/")) ?? files[0];
    if (!picture) return false;
    const given = new DataTransfer();
    given.items.add(picture);
    input.files = given.files;
    form.requestSubmit();
    return true;
  };
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  for (const kind of ["dragleave", "drop"]) form.addEventListener(kind, () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    give(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    const isOpen = form.closest("details")?.open ?? true;
    if (isOpen && event.clipboardData.files.length && give(event.clipboardData.files)) event.preventDefault();
  });
  input.addEventListener("change", () => input.files.length && form.requestSubmit());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const shown = form.querySelector("#tried");
    const number = (form.dataset.asked = String(Number(form.dataset.asked ?? 0) + 1));
    form.setAttribute("aria-busy", "true");
    const answer = await sent(form);
    if (form.dataset.asked !== number) return; // another picture was given meanwhile
    form.removeAttribute("aria-busy");
    shown.replaceChildren(...answer);
  });
}

async function sent(form) {
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector("#tried") ?? page.querySelector("main");
    return [...found.childNodes];
  } catch {
    const words = document.createElement("p");
    words.className = "error";
    words.textContent = "The app could not be reached: try again in a moment.";
    return [words];
  }
}
