// Everything on this page works without this file; it adds freshness, keys and copying.
"use strict";

const FRESH = 15_000;
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const toast = one("#toast");
let quietly = 0;

function say(text, stays = false) {
  if (!toast) return;
  toast.textContent = text;
  clearTimeout(quietly);
  if (!stays) quietly = setTimeout(() => { toast.textContent = ""; }, 4000);
}

// Time that passes

const skew = new Date(document.body.dataset.now) - Date.now();

function span(seconds) {
  const left = Math.max(Math.floor(seconds), 0);
  const days = Math.floor(left / 86400), hours = Math.floor(left / 3600) % 24, minutes = Math.floor(left / 60) % 60;
  if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
  if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  return minutes ? `${minutes} min` : `${left} s`;
}

function tick() {
  const now = Date.now() + skew;
  for (const due of all("[data-due]")) {
    const left = (new Date(due.dataset.due) - now) / 1000;
    const text = left >= 0 ? `${span(left)} left` : `over by ${span(-left)}`;
    const words = one(".left", due);
    if (words.textContent !== text) words.textContent = text;
    due.classList.toggle("over", left < 0);
    due.classList.toggle("soon", left >= 0 && left < 7200);
  }
}

// What has changed since: regions are replaced in place, and the focus stays where it was

async function freshen() {
  if (document.hidden) return;
  const regions = all("[data-fresh]");
  const answer = await fetch(location.href, { headers: { "X-Fresh": "1" }, redirect: "manual", cache: "no-store" });
  if (answer.type === "opaqueredirect") { over = true; say("The session is over: reload to log in", true); return; }
  if (!answer.ok) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of regions) {
    const made = one(`[data-fresh="${old.dataset.fresh}"]`, page);
    if (!made || made.outerHTML === old.outerHTML) continue;
    const held = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const before = new Set(all(".row[id]", old).map((row) => row.id));
    old.replaceWith(made);
    if (held) one(`[href="${CSS.escape(held)}"]`, made)?.focus({ preventScroll: true });
    const added = all(".row[id]", made).filter((row) => !before.has(row.id)).length;
    if (made.dataset.fresh === "list" && added) say(added === 1 ? "A new case" : `${added} new cases`);
  }
  const proof = one("[name=csrf]", page)?.value; // a new one after a restart: what somebody is writing can still be sent
  if (proof) for (const field of all("[name=csrf]")) field.value = proof;
  const mine = one("[data-updated]"), theirs = one("[data-updated]", page);
  if (mine && theirs && mine.dataset.updated !== theirs.dataset.updated) {
    mine.dataset.updated = theirs.dataset.updated;
    say("This case has changed. Reload to see how.");
  }
  tick();
}

let missed = 0, over = false;

async function keepFresh() {
  try {
    await freshen();
    if (missed > 1) say("Connected again");
    missed = 0;
  } catch {
    missed += 1;
    if (missed === 2) say("No answer from nigrani: what you see is getting old");
  }
  if (!over) setTimeout(keepFresh, FRESH);
}

// Keys: off at will, and never while somebody writes

const keysOn = () => localStorage.getItem("keys") !== "off";

function open(details) {
  details.open = true;
  const field = one("input:not([type=hidden]), textarea, select", details);
  (field || details).focus();
  details.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const marks = all(".row .title").length ? all(".row .title") : all("details.finding > summary");
  if (!marks.length) return;
  const at = marks.indexOf(document.activeElement);
  const next = marks[Math.min(Math.max(at < 0 ? (step > 0 ? 0 : marks.length - 1) : at + step, 0), marks.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

const keys = {
  j: () => move(1),
  k: () => move(-1),
  u: () => one("[data-back]")?.click(),
  a: () => one('button[data-key="a"]')?.click(),
  n: () => { const found = one('details[data-key="n"]'); if (found) open(found); },
  c: () => { const found = one('details[data-key="c"]'); if (found) open(found); },
  "/": () => one("#search")?.focus(),
  "?": () => one("#keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && event.target.matches("input, textarea, select")) { event.target.blur(); return; }
  if (event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, dialog")) return;
  const act = keys[event.key];
  if (!act || (event.key !== "?" && !keysOn())) return;
  event.preventDefault();
  act();
});

// A link to a folded part unfolds it

function unfold() {
  const target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    if (!target.classList.contains("finding")) open(target);
  } else target?.focus();
}

// Copying, and the plot's words

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    say("Copied");
  } catch {
    say(button.dataset.copy);
  }
});

for (const kind of ["mouseover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const mark = event.target.closest?.(".mark");
    const readout = mark?.closest(".timeline").querySelector("[data-readout]");
    if (readout) readout.textContent = mark.getAttribute("aria-label");
  });
}

for (const button of all("[data-copy]")) button.hidden = !navigator.clipboard;
if (one("#keys")) {
  one(".keys").hidden = false;
  const on = one("#keys-on");
  on.checked = keysOn();
  on.addEventListener("change", () => localStorage.setItem("keys", on.checked ? "on" : "off"));
}
addEventListener("hashchange", unfold);
document.addEventListener("click", (event) => { if (event.target.closest("a[href^='#']")?.hash === location.hash) unfold(); });
unfold();
tick();
setInterval(tick, 10_000);
if ("live" in document.body.dataset) setTimeout(keepFresh, FRESH);
