// The pages work without this script. It asks for the parts of a page that have changed, once a second and never while
// the page is hidden, and sends forms without leaving the page. An element that has the focus, or a field that was
// typed in, is never replaced.
"use strict";

// How often is asked, in milliseconds, and how long a question, and a change, may take: a worker answers within 5 minutes.
const every = 1000, slowest = 5000, patience = 15000, longest = 300000;
document.documentElement.classList.add("scripted");
const main = document.getElementById("main");
const link = document.getElementById("link");
const said = document.getElementById("said");

let underway = null; // what was sent of a configuration, while its answer is taken in

// dirty tells whether somebody typed into a field, or chose something else.
function dirty(field) {
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

// held tells whether a node is not to be replaced, moved or removed.
function held(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return false;
  if (node.contains(document.activeElement) && document.activeElement !== document.body) return true;
  if (node.matches("input, select, textarea")) return dirty(node);
  return [...node.querySelectorAll("input, select, textarea")].some(dirty);
}

// take makes an element look like a fresh one, node by node, so that what is as it was stays where it is.
function take(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  // A field that is as it was at first may have been set back since it was sent.
  const back = underway && old.name && old.name.startsWith("f.") && underway.has(old.name) && underway.get(old.name) !== old.value;
  const typed = old.matches("input, select, textarea") && (dirty(old) || old === document.activeElement || back);
  for (const a of [...old.attributes])
    if (!fresh.hasAttribute(a.name) && !(a.name === "open" && old.matches("details"))) old.removeAttribute(a.name);
  for (const a of fresh.attributes)
    if (old.getAttribute(a.name) !== a.value && !(typed && a.name === "value")) old.setAttribute(a.name, a.value);
  if (old.matches("textarea")) {
    if (!typed) old.value = old.defaultValue = fresh.defaultValue;
    else if (old.value === fresh.defaultValue) old.defaultValue = fresh.defaultValue;
    return;
  }
  if (old.matches("input")) {
    if (!typed && old.type !== "hidden") old.value = fresh.defaultValue;
    else if (typed && old.value === fresh.defaultValue) old.defaultValue = fresh.defaultValue;
    return;
  }
  if (old.matches("select")) {
    const value = old.value;
    if (!typed) old.replaceChildren(...fresh.childNodes);
    else if (value === fresh.value) for (const o of old.options) o.defaultSelected = o.value === value;
    return;
  }
  let at = old.firstChild;
  const removeUntil = end => {
    while (at && at !== end) {
      const gone = at;
      at = at.nextSibling;
      if (!held(gone)) gone.remove();
    }
  };
  for (const one of [...fresh.childNodes]) {
    let same = null;
    if (one.id) same = [...old.children].find(c => c.id === one.id && c.nodeName === one.nodeName);
    else if (at && !at.id && at.nodeName === one.nodeName) same = at;
    if (!same) {
      old.insertBefore(one, at);
      continue;
    }
    if (same !== at && held(same) && at && at.compareDocumentPosition(same) & Node.DOCUMENT_POSITION_FOLLOWING) removeUntil(same);
    if (same === at) at = at.nextSibling;
    else if (!held(same)) old.insertBefore(same, at);
    if (same.nodeType === Node.ELEMENT_NODE) take(same, one);
    else if (same.nodeValue !== one.nodeValue) same.nodeValue = one.nodeValue;
  }
  removeUntil(null);
}

// say has a screen reader say a text once.
function say(text) {
  if (text) said.textContent = text;
}

function parsed(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

// show puts fragments that have changed in their places.
function show(fragments) {
  for (const [name, fragment] of Object.entries(fragments)) {
    const old = document.getElementById("fragment-" + name);
    if (!old || typeof fragment.html !== "string") continue;
    const before = saying(old);
    const fresh = old.cloneNode(false);
    fresh.append(...parsed(fragment.html).childNodes);
    // What was left as it was, for the focus it has, is asked for until it is as it should be.
    const whole = held(old) && !old.closest("form[data-step]") ? fresh.cloneNode(true) : null;
    take(old, fresh);
    old.dataset.version = !whole || old.isEqualNode(whole) ? fragment.version : "";
    const now = saying(old);
    if (now !== before) say(now);
  }
}

function saying(node) {
  const one = node.querySelector("[data-say]");
  return one ? one.dataset.say : "";
}

function versions() {
  return [...document.querySelectorAll("[data-fragment]")].map(f => f.dataset.fragment + "." + f.dataset.version).join(",");
}

// unanswered tells whether it was the worker, or the way to it, that had no answer.
function unanswered(e) {
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
    document.getElementById("pause").parentElement.hidden = true;
    return;
  }
  if (!asking && !paused && !document.hidden) {
    asking = true;
    try {
      show(await ask(fragmentsOf(main.dataset.poll)));
      wait = every;
      lost("");
    } catch (e) {
      wait = Math.min(2 * wait, slowest);
      lost(unanswered(e) ? "The worker does not answer. What is shown may be old; this page asks again by itself." :
        e.message);
    }
    asking = false;
  }
  clearTimeout(timer);
  timer = setTimeout(poll, wait);
}

function lost(text) {
  if (link.textContent !== text) link.textContent = text;
  link.hidden = text === "";
}

if (main.dataset.poll && main.querySelector("[data-fragment]") && !main.querySelector("form[data-step]")) {
  const button = document.getElementById("pause");
  button.parentElement.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    if (!paused) poll();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
  timer = setTimeout(poll, every);
}

// Buttons: what came of them is shown above what they are about, and said.
async function act(form, button) {
  const sent = new URLSearchParams(new FormData(form, button));
  let place = document.getElementById("outcome");
  if (!place) {
    place = document.createElement("div");
    place.id = "outcome";
    place.tabIndex = -1;
    main.querySelector("h1").after(place);
  }
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  try {
    const answer = await ask("act?fragments=", {method: "POST", body: sent}, longest);
    place.replaceChildren(...parsed(answer.outcome.html).childNodes);
    for (const box of form.querySelectorAll("input[name=name], input[name=sure]")) if (box.type === "checkbox") box.checked = false;
  } catch (e) {
    const p = document.createElement("p");
    p.className = "problem";
    p.textContent = unanswered(e) ? "The worker did not respond: check whether the change was made." : e.message;
    place.replaceChildren(p);
  }
  form.ariaBusy = "false";
  say([...place.querySelectorAll("p, li")].map(e => e.firstChild ? [...e.childNodes].filter(n => n.nodeName !== "DETAILS")
    .map(n => n.textContent).join("") : "").join(" ").trim());
  place.scrollIntoView({block: "nearest"});
  if (main.dataset.poll) ask(fragmentsOf(main.dataset.poll)).then(show, () => {}); // also where nothing else changes
}

// A configuration: what is typed goes to the worker, which brings fields and text in step. One question at a time; what
// was typed meanwhile goes with the next.
let stepping = false, next = null, retry = 0;

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
  const fresh = parsed(answer.text.html).querySelector("#text");
  if (fresh && fresh.value !== text.value) {
    const {selectionStart, selectionEnd} = text;
    text.value = fresh.value;
    text.setSelectionRange(selectionStart, selectionEnd);
  }
  text.defaultValue = text.value;
}

async function step(form, what, focus) {
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
    lost("");
    const section = document.getElementById("compared");
    if (focus && section) section.focus();
    if (what !== "update") say([...form.querySelectorAll("#fragment-notice p, #compared .effect, #compared .problem")].map(p => p.textContent).join(" "));
  } catch (e) {
    away = unanswered(e) || e.name === "Conflict";
    lost(unanswered(e) ? "The worker does not answer. What was typed is still here." : e.message);
  }
  underway = null;
  form.removeAttribute("aria-busy");
  stepping = false;
  if (next) {
    const {what, focus} = next;
    next = null;
    step(form, what, focus);
  } else if (away) {
    again(form);
  }
}

// again has fields and text come in step when the worker is back: no other question of this page finds that out.
function again(form) {
  clearTimeout(retry);
  retry = setTimeout(() => document.hidden ? again(form) : step(form, "update"), 2 * every);
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

const configuration = document.querySelector("form[data-step]");
if (configuration) {
  let typing = 0;
  configuration.addEventListener("change", () => step(configuration, "update"));
  configuration.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => step(configuration, "update"), 600);
  });
}
