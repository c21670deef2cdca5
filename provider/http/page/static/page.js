// Refreshes what is marked data-live (every five seconds, or as many as it says), filters the table of pods while one
// types, and marks tables that scroll. The page works without it.
"use strict";

const filter = document.getElementById("filter");
const live = document.querySelector("[data-live]");
const every = Number(live?.dataset.live || 5) * 1000;

function applyFilter() {
  const rows = document.querySelectorAll("table.pods tbody tr");
  const matches = document.getElementById("matches");
  if (!filter || !matches || !filter.value.trim()) {
    for (const row of rows) row.hidden = false;
    return;
  }
  const words = filter.value.trim().toLowerCase().split(/\s+/);
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    count += !row.hidden;
  }
  matches.value = `${count} of ${rows.length}`;
}

function markScrolling() {
  for (const part of document.querySelectorAll(".scroll")) {
    part.classList.toggle("scrolls", part.scrollWidth > part.clientWidth + 1);
  }
}

async function refresh() {
  if (document.hidden) return;
  const address = new URL(location.href);
  address.searchParams.set("refresh", "");
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(part.id);
      const focused = part.contains(document.activeElement) && document.activeElement !== document.body;
      const opened = part.querySelector("details[open]");
      if (now && !focused && !opened && now.innerHTML !== part.innerHTML) part.replaceChildren(...now.childNodes);
    }
    applyFilter();
    markScrolling();
  } catch {
    // The provider is restarting, or the network is away: the next round tries again.
  }
}

if (filter) {
  filter.addEventListener("input", applyFilter);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      filter.focus();
    }
  });
}
markScrolling();
addEventListener("resize", markScrolling);
if (live) setInterval(refresh, every);
