// The pages work without this script. It asks for the parts of a page that have changed, once a second and never while
// the page is hidden, and sends forms without leaving the page. An element that has the focus, or a field that was
// typed in, is never replaced.
"use strict";

// Milliseconds between requests, also after errors, and the time limits of a request and of a change: a worker answers within 5 minutes.
const every = 1000, slowest = 5000, patience = 15000, longest = 300000;
document.documentElement.classList.add("scripted");
const main = document.getElementById("main");
const link = document.getElementById("link");
const said = document.getElementById("said");

let underway = null; // the form that was sent, while its response is shown

// isDirty reports whether somebody typed into a field, or chose something else.
function isDirty(field) {
  switch (field.type) {
  case "checkbox": case "radio":
    return field.checked !== field.defaultChecked;
  case "select-one":
    return field.selectedIndex !== Math.max(0, [...field.options].findIndex(o => o.defaultSelected));
  case "hidden": case "submit": case "button":
    return false;
  }
  return field.value !== field.defaultValue;
}

// isHeld reports whether a node is not to be replaced, moved or removed.
function isHeld(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return false;
  if (node.contains(document.activeElement) && document.activeElement !== document.body) return true;
  if (node.matches("input, select, textarea")) return isDirty(node);
  return [...node.querySelectorAll("input, select, textarea")].some(isDirty);
}

// showAges shows times as "7 min ago"; UTC and the local time are shown on hover.
function showAges(root) {
  for (const one of root.querySelectorAll("time:not(.exact)")) {
    const at = new Date(one.dateTime), seconds = Math.round((Date.now() - at) / 1000), distance = Math.abs(seconds);
    const [n, unit] = distance < 90 ? [distance, "s"] : distance < 5400 ? [Math.round(distance / 60), "min"] :
      distance < 129600 ? [Math.round(distance / 3600), "h"] : [Math.round(distance / 86400), "d"];
    const text = distance < 3 ? "now" : seconds > 0 ? `${n} ${unit} ago` : `in ${n} ${unit}`;
    if (!one.title) one.title = `${one.textContent} · ${at.toLocaleString()}`;
    if (one.textContent !== text) one.textContent = text;
  }
}

// morph updates an element to match a fresh copy. Unchanged nodes keep their place and focus; fields keep what was typed
// or ticked.
function morph(old, fresh) {
  const kept = field => isDirty(field) || field === document.activeElement ||
    // A field that is as it was at first may have been set back since it was sent.
    underway && field.name && field.name.startsWith("f.") && underway.has(field.name) && underway.get(field.name) !== field.value;
  const focused = document.activeElement;
  Idiomorph.morph(old, fresh.childNodes, {morphStyle: "innerHTML", callbacks: {
    beforeNodeMorphed(node, next) {
      if (node.nodeType !== Node.ELEMENT_NODE || !node.matches("input, select, textarea") || node.type === "hidden" || !kept(node)) return true;
      if (node.matches("select")) {
        if (node.value === next.value) for (const o of node.options) o.defaultSelected = o.value === node.value;
        return false;
      }
      if (node.value === next.defaultValue && node.type !== "checkbox") node.defaultValue = next.defaultValue;
      return !node.matches("textarea");
    },
    beforeAttributeUpdated(name, node, what) {
      if (name === "open" && what === "remove") return false; // somebody has opened it
      if (name !== "value" && name !== "checked" || !node.matches("input")) return true;
      return node.type === "hidden" || !kept(node);
    },
    beforeNodeRemoved: node => !isHeld(node),
  }});
  const fold = focused.closest("details:not([open]):not(:has(> summary:focus))");
  if (fold) fold.open = true; // a field that was emptied
  if (fold) focused.focus();
}

// say has a screen reader say a text once.
function say(text) {
  if (text) said.textContent = text;
}

function parse(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

// show puts fragments that have changed in their places.
function show(fragments) {
  for (const [name, fragment] of Object.entries(fragments)) {
    const old = document.getElementById("fragment-" + name);
    if (old && fragment.rows) showRows(old, fragment);
    if (!old || fragment.rows || old.querySelector("[data-still]") && old.querySelector(".pick :checked")) continue;
    const before = spokenText(old);
    const fresh = old.cloneNode(false);
    fresh.append(...parse(fragment.html).childNodes);
    showAges(fresh);
    // An element that was not updated because it has the focus is requested again until it is current.
    const whole = isHeld(old) && !old.closest("form[data-step]") ? fresh.cloneNode(true) : null;
    morph(old, fresh);
    updateCounts();
    old.dataset.version = !whole || old.isEqualNode(whole) ? fragment.version : "";
    const now = spokenText(old);
    if (now !== before) say(now);
  }
}

// showRows puts rows of tables that have changed in their places.
function showRows(old, fragment) {
  let complete = true;
  for (const [id, html] of Object.entries(fragment.rows)) {
    const row = document.getElementById(id), fresh = parse("<table>" + html + "</table>").querySelector("tr");
    if (!row || !fresh) complete = false;
    if (!row || !fresh) continue;
    showAges(fresh);
    const whole = isHeld(row) ? fresh.cloneNode(true) : null;
    morph(row, fresh);
    if (whole && !row.isEqualNode(whole)) complete = false;
  }
  updateCounts();
  old.dataset.version = complete ? fragment.version : ""; // the worker then sends all of it
}

function spokenText(node) {
  const one = node.querySelector("[data-say]");
  return one ? one.dataset.say : "";
}

function versions() {
  return [...document.querySelectorAll("[data-fragment]")].map(f => f.dataset.fragment + "." + f.dataset.version).join(",");
}

// isUnanswered reports whether the worker did not answer.
function isUnanswered(e) {
  return e.name === "TypeError" || e.name === "TimeoutError";
}

// ask sends a request and gives its JSON. Nobody waits for longer than a worker takes to say that it is busy.
async function ask(url, options, within = patience) {
  const answer = await fetch(url, {...options, headers: {Accept: "application/json"}, signal: AbortSignal.timeout(within)});
  const kind = answer.headers.get("Content-Type") || "";
  if (!kind.startsWith("application/json")) throw new Error(answer.status === 401 ? "Log on again: load the page once more." :
    "The worker answered " + answer.status + ".");
  const body = await answer.json();
  if (typeof body.error === "string") {
    const e = new Error(body.error);
    if (answer.status === 409 || answer.status === 503) e.name = "Conflict"; // only for the moment, as while a worker starts
    throw e;
  }
  return body;
}

function fragmentsOf(url) {
  return url + (url.includes("?") ? "&" : "?") + "fragments=" + encodeURIComponent(versions());
}

// Questions for what has changed, one at a time, so that no answer comes after a later one.
let paused = false, asking = false, wait = every, timer = 0;

async function poll() {
  clearTimeout(timer);
  if (main.querySelector("[data-still]")) { // nothing of the page changes any more by itself
    document.getElementById("pause").hidden = true;
    return;
  }
  if (!asking && !paused && !document.hidden) {
    asking = true;
    try {
      show(await ask(fragmentsOf(main.dataset.poll)));
      wait = every;
      showConnectionError("");
    } catch (e) {
      wait = Math.min(2 * wait, slowest);
      showConnectionError(isUnanswered(e) ? "The worker does not answer. What is shown may be old; this page asks again by itself." :
        e.message);
    }
    asking = false;
  }
  clearTimeout(timer);
  timer = setTimeout(poll, wait);
}

function showConnectionError(text) {
  const line = document.getElementById("link-text");
  if (line.textContent !== text) line.textContent = text;
  link.hidden = text === "";
}

if (main.dataset.poll && main.querySelector("[data-fragment]") && !main.querySelector("form[data-step]")) {
  const buttons = document.querySelectorAll("button.pause");
  for (const button of buttons) {
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      for (const b of buttons) b.setAttribute("aria-pressed", String(paused));
      if (!paused) poll();
    });
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
  timer = setTimeout(poll, every);
}

const failures = ".problem, .bad, .warn";

// Buttons: the result is shown in a toast, or in the dialog that it belongs to while something is left to do there.
async function act(form, button) {
  const sent = new URLSearchParams(new FormData(form, button));
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  const result = document.createElement("div"), dialog = form.closest("dialog"), label = button ? [...button.childNodes] : [];
  result.className = "result";
  const running = setInterval(async () => { // what takes longer shows how far it is
    const {progress} = await ask(fragmentsOf(main.dataset.poll)).catch(() => ({}));
    if (form.ariaBusy === "true") button?.replaceChildren(progress && parse(progress.html).querySelector(".done")?.textContent || "Running …");
  }, every);
  try {
    const answer = await ask("act?fragments=", {method: "POST", body: sent}, longest);
    result.append(...parse(answer.outcome.html).childNodes);
    const letter = dialog && result.querySelector("[data-letter]")?.dataset.letter;
    if (letter) await showLetter(form, letter);
    if (!sent.has("dry") && !result.querySelector(".problem, .question")) for (const box of (form.matches(".question") ? main.querySelector("form.scope") : form).elements) if (box.type === "checkbox") box.checked = false;
    updateCounts();
  } catch (e) {
    const p = document.createElement("p");
    p.className = "problem";
    p.textContent = isUnanswered(e) ? "The worker did not respond: check whether the change was made." : e.message;
    result.append(p);
  }
  form.ariaBusy = "false";
  clearInterval(running);
  button?.replaceChildren(...label);
  const failed = result.querySelector(failures) !== null, question = result.querySelector(".question");
  say([...result.querySelectorAll("p, li")].map(e => [...e.childNodes].filter(n => n.nodeName !== "DETAILS")
    .map(n => n.textContent).join("")).join(" ").trim());
  document.querySelector(":popover-open:not(#toast)")?.hidePopover();
  if (question) {
    const asked = document.createElement("dialog");
    asked.append(result);
    document.body.append(asked);
    asked.addEventListener("close", () => asked.remove());
    asked.showModal();
    return;
  }
  if (dialog && failed) {
    dialog.querySelector(".result")?.remove();
    dialog.querySelector(".top, h2").after(result);
    for (const stored of dialog.querySelectorAll(".stored")) stored.open = true;
  } else {
    dialog?.close();
    notify(result, failed);
  }
  if (sent.get("do") === "delete" && !failed) location.assign("./");
  // Also where nothing else changes. The page of a configuration is being edited: only its head, as the page of offsets has it.
  const seen = main.dataset.poll, editing = main.querySelector("form[data-step]");
  if (seen) ask(editing ? "offsets" + seen + "&fragments=" : fragmentsOf(seen)).then(show, () => {});
}

// showLetter replaces the form of a refused retry by the form of its new letter, which has the value that was sent. The
// caller shows the result afterwards: a text typed into the earlier form would be lost.
async function showLetter(form, letter) {
  const at = new URL(location.href);
  at.searchParams.set("letter", letter);
  const next = await fetch(at, {signal: AbortSignal.timeout(patience)}).then(page => page.text())
    .then(page => parse(page).querySelector("form.retry"), () => null);
  const raw = next?.querySelector("details");
  if (raw && form.querySelector("details")?.open) raw.open = true;
  if (next) form.replaceWith(next);
}

let toasting = 0;

// notify shows the toast: a failure until it is closed, all else for 8 seconds.
function notify(result, stays) {
  const toast = document.getElementById("toast"), close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => toast.hidePopover());
  toast.replaceChildren(result, close);
  toast.classList.toggle("problem", stays);
  if (!toast.matches(":popover-open")) toast.showPopover();
  clearTimeout(toasting);
  if (!stays) toasting = setTimeout(() => toast.hidePopover(), 8000);
}

// updateCounts shows how many rows of a table are selected.
function updateCounts() {
  for (const scope of document.querySelectorAll(".scope")) {
    const n = scope.querySelectorAll("td .pick :checked").length, text = scope.querySelector(".selected .count");
    if (text && text.textContent !== String(n)) text.textContent = n;
  }
}

// A configuration: each edit is sent to the worker, which synchronizes fields and text. One request at a time; later edits
// are in the next one.
let stepping = false, next = null, retry = 0, typing = 0;

// settle has text and fields change together or not at all: an edit is known by what the text was before it. Text that
// was typed since it was sent goes with the next step.
function settle(answer, sent) {
  const text = document.getElementById("text");
  if (!text || !answer.text) return;
  const made = !answer.fields || answer.fields.html.includes("<fieldset"); // else they could not be made of this text
  if (!made || text.value !== sent.replaceAll("\r\n", "\n")) {
    delete answer.text;
    delete answer.fields;
    return;
  }
  const fresh = parse(answer.text.html).querySelector("#text");
  if (fresh && fresh.value !== text.value) {
    const {selectionStart, selectionEnd} = text;
    text.value = fresh.value;
    text.setSelectionRange(selectionStart, selectionEnd);
  }
  text.defaultValue = text.value;
}

async function step(form, what, focus) {
  clearTimeout(typing); // all that was typed is sent
  if (stepping) {
    if (!next || next.what === "update") next = {what, focus};
    return;
  }
  stepping = true;
  clearTimeout(retry);
  let away = false;
  const sent = new FormData(form);
  sent.set("step", what);
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await ask(fragmentsOf("form"), {method: "POST", body: new URLSearchParams(sent)}, what === "apply" ? longest : patience);
    if (answer.to) {
      location.assign(answer.to);
      return;
    }
    settle(answer, sent.get("text"));
    underway = sent;
    show(answer);
    showConnectionError("");
    const section = document.getElementById("compared");
    if (focus && section) {
      location.hash = "step-review"; // its part of the form is shown
      section.focus();
    }
    if (what !== "update") form.querySelector("#fragment-notice .bad, #checked, .peeked")?.scrollIntoView({block: "center"});
    if (what !== "update") say([...form.querySelectorAll("#fragment-notice .notice, .peeked caption, #compared .effect, #compared .problem")].map(p => p.textContent).join(" "));
  } catch (e) {
    away = isUnanswered(e) || e.name === "Conflict";
    showConnectionError(isUnanswered(e) ? "The worker does not answer. What was typed is still here." : e.message);
  }
  underway = null;
  form.removeAttribute("aria-busy");
  stepping = false;
  if (next) {
    const {what, focus} = next;
    next = null;
    step(form, what, focus);
  } else if (away) {
    retryStep(form);
  }
}

// retryStep synchronizes fields and text when the worker answers again; this page sends no other requests.
function retryStep(form) {
  clearTimeout(retry);
  retry = setTimeout(() => document.hidden ? retryStep(form) : step(form, "update"), 2 * every);
}

document.addEventListener("submit", e => {
  const form = e.target, button = e.submitter;
  if (form.method !== "post" || form.hasAttribute("data-plain")) return;
  if (form.hasAttribute("data-step")) {
    if (!button || button.value === "download") return;
    e.preventDefault();
    step(form, button.value, button.value === "review");
    return;
  }
  e.preventDefault();
  act(form, button);
});

document.addEventListener("change", e => {
  if (e.target.id === "all") for (const box of e.target.closest(".scope").querySelectorAll("td .pick input")) box.checked = e.target.checked;
  updateCounts();
});

document.addEventListener("keydown", e => {
  if (e.key === "Escape") document.getElementById("toast").matches(":popover-open") && document.getElementById("toast").hidePopover();
  const search = document.querySelector("form[role=search] input[type=search]");
  if (e.key !== "/" || !search || e.target.matches("input, select, textarea") || e.ctrlKey || e.metaKey || e.altKey) return;
  e.preventDefault();
  search.focus();
});

// The drawer is part of the page without this script. Once it is closed, the page is as if it had not been opened.
const drawer = document.querySelector("dialog.drawer");
if (drawer) {
  drawer.removeAttribute("open");
  drawer.showModal();
  drawer.addEventListener("close", () => {
    const back = drawer.dataset.back;
    history.replaceState(null, "", back);
    main.dataset.poll = back.slice(back.indexOf("?"));
    drawer.remove();
  });
  const leaves = () => ![...drawer.querySelectorAll("textarea, .tree input")].some(isDirty) || confirm("Discard the edit?");
  drawer.addEventListener("cancel", e => leaves() || e.preventDefault());
  drawer.querySelector(".top a").addEventListener("click", e => {
    e.preventDefault();
    if (leaves()) drawer.close();
  });
}

// Browsers without commands for dialogs.
if (!("commandForElement" in HTMLButtonElement.prototype)) document.addEventListener("click", e => {
  const opener = e.target.closest("[commandfor]");
  if (opener) document.getElementById(opener.getAttribute("commandfor")).showModal();
});

// The reading line of a chart: the values at the pointer, from the paths that the worker has drawn.
const left = 44, wide = 516, bottom = 130, high = 120;

function reading(e) {
  const chart = e.target.closest?.("svg.chart");
  for (const other of document.querySelectorAll(".chart .reading")) if (other.closest("svg") !== chart || e.type === "pointerout") other.remove();
  if (!chart || e.type === "pointerout") return;
  const box = chart.getBoundingClientRect(), x = (e.clientX - box.left) / box.width * 560;
  if (x < left) return;
  const from = Date.parse(chart.dataset.from), to = Date.parse(chart.dataset.to);
  const values = [...chart.querySelectorAll(".l1, .l2")].map(path => {
    const points = [...path.getAttribute("d").matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(m => [+m[1], +m[2]]);
    if (!points.length) return "–";
    const near = points.reduce((a, b) => Math.abs(a[0] - x) <= Math.abs(b[0] - x) ? a : b);
    return ((bottom - near[1]) / high * chart.dataset.maximum).toLocaleString("en", {maximumSignificantDigits: 3});
  });
  const at = new Date(from + (x - left) / wide * (to - from)).toISOString().slice(11, 16);
  let group = chart.querySelector(".reading");
  if (!group) {
    group = document.createElementNS(chart.namespaceURI, "g");
    group.setAttribute("class", "reading");
    group.append(document.createElementNS(chart.namespaceURI, "line"), document.createElementNS(chart.namespaceURI, "text"));
    chart.append(group);
  }
  const [line, text] = group.children;
  for (const [name, value] of Object.entries({x1: x, x2: x, y1: 10, y2: bottom})) line.setAttribute(name, value);
  text.setAttribute("x", x > 400 ? x - 6 : x + 6);
  text.setAttribute("y", 20);
  text.setAttribute("text-anchor", x > 400 ? "end" : "start");
  text.textContent = `${at}: ${values.join(" / ")} ${chart.dataset.unit}`;
}
for (const type of ["pointermove", "pointerdown", "pointerout"]) document.addEventListener(type, reading, {passive: true});

// The theme is kept by the browser; theme.js sets it before the page is drawn.
const themes = ["system", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme-name").textContent = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch { /* no storage: for this page only */ }
}
setTheme(document.documentElement.dataset.theme || "system");
document.getElementById("theme").addEventListener("click", () =>
  setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]));

showAges(document);
setInterval(() => document.hidden || showAges(document), 1000);

const configuration = document.querySelector("form[data-step]");
if (configuration) {
  configuration.addEventListener("change", () => step(configuration, "update"));
  configuration.addEventListener("click", e => { // Apply takes the place of Review between two quick clicks
    if (e.detail > 1 && e.target.value === "apply") e.preventDefault();
  });
  configuration.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => step(configuration, "update"), 600);
  });
}
