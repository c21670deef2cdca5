// Refreshes what is marked data-live every five seconds, and filters the table of pods while one types. The page works
// without it.
"use strict";

const every = 5000;
const filter = document.getElementById("filter");

function applyFilter() {
  if (!filter) return;
  const words = filter.value.trim().toLowerCase().split(/\s+/);
  const rows = document.querySelectorAll("table.pods tbody tr");
  let matches = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const has = words.every((word) => text.includes(word));
    row.hidden = !has;
    matches += has;
  }
  document.getElementById("matches").value = `${matches} of ${rows.length}`;
}

async function refresh() {
  if (document.hidden) return;
  const address = new URL(location.href);
  address.search = "?refresh";
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(part.id);
      const focused = part.contains(document.activeElement) && document.activeElement !== document.body;
      if (now && !focused && now.innerHTML !== part.innerHTML) part.replaceChildren(...now.childNodes);
    }
    applyFilter();
  } catch {
    // The provider is restarting, or the network is away: the next round tries again.
  }
}

if (filter) {
  filter.addEventListener("input", applyFilter);
  filter.form.addEventListener("submit", (event) => {
    event.preventDefault();
    applyFilter();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      filter.focus();
    }
  });
  applyFilter();
}
if (document.querySelector("[data-live]")) setInterval(refresh, every);
