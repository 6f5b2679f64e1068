// The page's only script: live parts, checking a form while the user types, the sliders of "Try it".
// Without it every section and every form works; only live updates are missing.
"use strict";

// Live parts: the server sends the HTML of changed parts. A hidden tab has no connection.
const live = document.body.dataset.live;
const notice = document.getElementById("notice");
let stream = null;

function show(part) {
  const place = document.getElementById(part.id);
  if (!place) return;
  const open = new Set([...place.querySelectorAll("details[open][id]")].map((each) => each.id));
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const parsed = new DOMParser().parseFromString(part.html, "text/html");
  place.replaceChildren(...parsed.body.childNodes);
  for (const each of place.querySelectorAll("details[id]")) each.open = each.open || open.has(each.id);
  if (focused) document.getElementById(focused)?.focus();
}

function connect() {
  if (!live || stream || document.hidden) return;
  stream = new EventSource(live);
  stream.addEventListener("open", () => { notice.textContent = ""; });
  stream.addEventListener("part", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("error", (event) => {
    if (event.data) return disconnect(JSON.parse(event.data).error);
    notice.textContent = "The connection to the server is lost. This page is trying to connect again.";
    if (stream && stream.readyState === EventSource.CLOSED) {
      disconnect(notice.textContent);
      setTimeout(again, 2000);
    }
  });
}

function disconnect(text) {
  stream?.close();
  stream = null;
  if (text !== undefined) notice.textContent = text;
}

// The stream was refused: the server restarts, or the token is not valid any more. This finds out which.
async function again() {
  try {
    const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" });
    if (answer.type === "opaqueredirect") return location.reload();
  } catch { /* it is still away */ }
  connect();
}

document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
window.addEventListener("pagehide", () => disconnect());
connect();

// One request at a time, and only after a pause in typing. The newest state always gets its response.
function paced(run, pause) {
  let timer = 0, busy = false, more = false;
  const go = async () => {
    if (busy) { more = true; return; }
    busy = true;
    try { await run(); } finally { busy = false; }
    if (more) { more = false; go(); }
  };
  return () => { clearTimeout(timer); timer = setTimeout(go, pause); };
}

async function post(path, fields) {
  return fetch(path, { method: "POST", body: new URLSearchParams(fields), credentials: "same-origin" });
}

// The server checks a form with the attribute data-check while the user types.
for (const form of document.querySelectorAll("form[data-check]")) {
  const touched = new Set();
  const check = paced(async () => {
    const answer = await post(form.dataset.check, new FormData(form));
    if (!answer.ok) return;
    const { problems, settings } = await answer.json();
    for (const place of form.querySelectorAll("[data-problem]")) {
      const name = place.dataset.problem;
      const field = name ? form.elements[name] : null;
      const text = !name || touched.has(name) || field?.value ? problems[name] ?? "" : "";
      if (place.textContent !== text) place.textContent = text;
      field?.setAttribute?.("aria-invalid", text ? "true" : "false");
    }
    const known = document.getElementById("known-settings");
    if (known && settings.length) {
      known.replaceChildren(...settings.map(([name, value]) => {
        const line = document.createElement("li");
        line.textContent = `${name}=${value}`;
        return line;
      }));
    }
  }, 300);
  form.addEventListener("input", (event) => { touched.add(event.target.name); check(); });
  check();
}

// Try it: the sliders and the JSON text show the same state. Each change sends a new request.
const trying = document.getElementById("trying");
if (trying) {
  const text = trying.elements.observation;
  const sliders = [...trying.querySelectorAll("input[type=range]")];
  const outputs = sliders.map((slider) => document.getElementById(`${slider.id}-value`));
  const ask = paced(async () => {
    const answer = await post(trying.action, new FormData(trying));
    if (answer.ok) show({ id: "answer", html: await answer.text() });
  }, 60);
  trying.addEventListener("input", (event) => {
    if (event.target.type === "range") {
      text.value = JSON.stringify(sliders.map((slider) => Number(slider.value)));
    } else if (event.target === text) {
      let numbers = null;
      try { numbers = JSON.parse(text.value).flat(Infinity); } catch { /* not yet JSON */ }
      if (numbers?.length === sliders.length) sliders.forEach((slider, k) => { slider.value = numbers[k]; });
    }
    outputs.forEach((output, k) => { output.textContent = sliders[k].value; });
    ask();
  });
  trying.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  document.getElementById("answer").addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await post(event.target.action, new FormData(event.target));
    if (answer.ok) show({ id: "verified", html: await answer.text() });
  });
}
