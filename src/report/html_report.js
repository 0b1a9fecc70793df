"use strict";
// Without this the page shows all it holds; with it, it can be searched.
const search = document.getElementById("q"), outcome = document.getElementById("o");
const rows = Array.from(document.querySelectorAll("tbody tr"));
let texts = null;

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(w => w);
  texts = texts || rows.map(row => row.textContent.toLowerCase());
  let shown = 0;
  rows.forEach((row, i) => {
    const fits = (!outcome.value || row.dataset.o === outcome.value) && words.every(w => texts[i].includes(w));
    row.hidden = !fits;
    shown += fits;
  });
  document.getElementById("n").textContent = shown + " of " + rows.length;
}

// #q=web07 and #o=failed search at once; a link to a row shows it.
function go() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (wanted.has("q") || wanted.has("o")) {
    search.value = wanted.get("q") || "";
    outcome.value = wanted.get("o") || "";
    filter();
    return;
  }
  const at = document.getElementById(location.hash.slice(1));
  if (!at) return;
  for (let up = at; up; up = up.parentElement) {
    up.hidden = false;
    if (up.tagName === "DETAILS") up.open = true;
  }
  at.scrollIntoView();
}

if (search) {
  document.getElementById("search").hidden = false;
  search.oninput = outcome.onchange = filter;
  addEventListener("hashchange", go);
  if (location.hash) go();
}
for (const command of document.querySelectorAll("header .command")) {
  const button = document.createElement("button"), text = command.textContent;
  button.textContent = "Copy";
  button.onclick = () => navigator.clipboard.writeText(text).then(() => button.textContent = "Copied");
  command.append(button);
}
// What failed is printed with its output.
addEventListener("beforeprint", () => document.querySelectorAll("tr[data-o=failed] details, tr[data-o=timeout] details")
  .forEach(d => d.open = true));
