/**
 * The script of the status page: replaces parts of the page as they change. The browser gets it as it stands here, so it
 * is plain JavaScript. It shows only markup that this program has made and escaped.
 *
 * @module
 */

/** The content of `status.js`. */
export const SCRIPT = `"use strict";
const live = document.getElementById("live");
const pause = document.getElementById("pause");
let source;
let retry;

// What is open and what has the focus stays so.
function replace(element, markup) {
  if (element.innerHTML === markup) return;
  const open = [...element.querySelectorAll("details[open]")].map(({ id }) => id);
  const at = [...element.querySelectorAll("a, button, summary, [tabindex]")].indexOf(document.activeElement);
  const scrolled = [...element.querySelectorAll(".scroll")].map(({ scrollLeft }) => scrollLeft);
  element.innerHTML = markup;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const [index, box] of element.querySelectorAll(".scroll").entries()) box.scrollLeft = scrolled[index] ?? 0;
  if (at >= 0) element.querySelectorAll("a, button, summary, [tabindex]")[at]?.focus({ preventScroll: true });
}

function isSelected(element) {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(element, true);
}

// A part with selected text waits: it would be deselected.
const waiting = new Map();
function show(parts) {
  for (const [id, markup] of Object.entries(parts)) waiting.set(id, markup);
  for (const [id, markup] of waiting) {
    const element = document.getElementById(id);
    if (element !== null && isSelected(element)) continue;
    waiting.delete(id);
    if (element !== null) replace(element, markup);
  }
}

function connect() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource(document.body.dataset.live);
  source.addEventListener("open", () => say("Live"));
  source.addEventListener("parts", ({ data }) => show(JSON.parse(data)));
  source.addEventListener("error", () => {
    say("No connection, trying again");
    if (source.readyState === EventSource.CLOSED) retry = setTimeout(connect, 10000);
  });
}

function say(text) {
  live.textContent = text;
  live.classList.toggle("on", text === "Live");
}

pause.hidden = false;
pause.addEventListener("click", () => {
  const isPaused = pause.textContent === "Resume";
  pause.textContent = isPaused ? "Pause" : "Resume";
  if (isPaused) return connect();
  clearTimeout(retry);
  source.close();
  say("Paused");
});
connect();
`;
