// Asks this replica every two seconds and shows what changed. Every text goes in as text, never as
// markup; rows are kept while they say the same, so that neither focus nor selection is lost.
"use strict";

const EVERY = 2000;
const LIMIT = 300;
const STATES = {
  ready: ["good", "√ ready"],
  draining: ["warn", "· draining"],
  ejected: ["bad", "× ejected"],
  halfOpen: ["warn", "‼ being tried"],
  down: ["bad", "× down by its probe"],
};

const byId = (id) => document.getElementById(id);
let paused = false;
let before = null;

/** An element with a class and children, which are elements or text. */
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function cell(label, name, ...children) {
  const element = make("td", name, ...children);
  element.dataset.label = label;
  return element;
}

/** Makes the children of a list those of the entries, each made anew only if its text changed. */
function put(parent, entries) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = new Set(entries.map(({ key }) => key));
  for (const [key, child] of known) if (!wanted.has(key) && !child.contains(document.activeElement)) child.remove();
  let place = parent.firstElementChild;
  for (const { key, says, build } of entries) {
    let child = known.get(key);
    if (!child || child.says !== says) {
      const next = build();
      next.dataset.key = key;
      next.says = says;
      if (child) {
        const open = child.querySelector("details")?.open;
        if (open && next.querySelector("details")) next.querySelector("details").open = true;
        if (place === child) place = next;
        child.replaceWith(next);
      } else {
        parent.insertBefore(next, place);
      }
      child = next;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);
const percent = (part, whole) => (whole === 0 ? "" : `${((100 * part) / whole).toFixed(part && part < whole / 100 ? 2 : 0)} %`);

/** How long from one moment to another, in words. */
function span(from, to) {
  const seconds = Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}

/** Bars of the last ten minutes: all requests, and in front those that failed. */
function spark(traffic, step) {
  const space = "http://www.w3.org/2000/svg";
  const steps = 600 / step;
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${steps} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const all = sum(traffic.requests);
  svg.setAttribute("aria-label", `${all} requests, ${sum(traffic.failed)} failed`);
  const most = Math.max(1, ...traffic.requests);
  const bars = (numbers, name) => {
    const from = steps - numbers.length;
    let path = "";
    numbers.forEach((number, index) => {
      if (number === 0) return;
      const height = Math.max(1.2, (19 * number) / most);
      path += `M${from + index} 20v${-height}h.9v${height}z`;
    });
    const element = document.createElementNS(space, "path");
    element.setAttribute("d", path);
    element.setAttribute("class", name);
    svg.append(element);
  };
  bars(traffic.requests, "all");
  bars(traffic.failed, "failed");
  const base = document.createElementNS(space, "path");
  base.setAttribute("d", `M0 19.9h${steps}`);
  base.setAttribute("class", "base");
  svg.append(base);
  return svg;
}

function routeRow(route, step) {
  const { traffic } = route;
  const recent = traffic.requests.slice(-12);
  const failed = sum(traffic.failed);
  const scheme = route.tls ? "https" : "http";
  const what = make("th", "", make("span", "quiet", `${scheme}://`), route.host, route.path ?? " (anything else)",
    route.pathType === "Exact" ? make("span", "quiet", " exactly") : null);
  what.scope = "row";
  if (route.policy) what.title = route.policy;
  const upstream = cell("Upstream", "", route.upstream ?? "");
  if (route.unavailable) {
    upstream.append(make("span", "state bad", "× nowhere"), make("div", "quiet", route.unavailable.sentence));
  }
  if (route.fallback) upstream.append(make("div", "quiet", `else ${route.fallback}`));
  const causes = traffic.causes.slice(0, 3).map((cause) => make("div", "", make("code", "", cause.cause), ` ${cause.count}`));
  return make("tr", "", what, cell("Ingress", "", route.ingress), upstream,
    cell("", "", spark(traffic, step)),
    cell("Requests/s", "number", (sum(recent) / (12 * step)).toFixed(1)),
    cell("Failed", failed ? "number bad" : "number", failed ? `${failed} (${percent(failed, sum(traffic.requests))})` : "0"),
    cell("Causes", "", ...causes));
}

function upstreamRow(upstream) {
  const name = make("th", "", upstream.name);
  name.colSpan = 7;
  name.scope = "rowgroup";
  if (upstream.resolves) name.append(make("span", "quiet", ` resolves ${upstream.resolves}`));
  if (upstream.unresolved) name.append(" ", make("span", "state bad", `× ${upstream.unresolved.sentence}`));
  for (const limit of upstream.limits) name.append(" ", make("span", "state bad", `× ${limit} reached`));
  if (upstream.endpoints.length === 0 && !upstream.unresolved) name.append(" ", make("span", "state bad", "× no endpoint"));
  return make("tr", "", name);
}

function endpointRow(endpoint, time) {
  const [level, words] = STATES[endpoint.state] ?? ["warn", endpoint.state];
  const address = make("th", "mono", endpoint.address);
  address.scope = "row";
  const state = cell("State", "", make("span", `state ${level}`, words));
  if (endpoint.until && endpoint.until > time) state.append(make("span", "quiet", ` for ${span(time, endpoint.until)}`));
  const latency = endpoint.latencyMilliseconds;
  const failure = endpoint.lastFailure;
  return make("tr", "", address, cell("Pod", "", endpoint.pod ?? ""), state,
    cell("In flight", "number", String(endpoint.inFlight)), cell("Idle", "number", String(endpoint.idle)),
    cell("Rated at", "number", latency === null ? "" : `${latency < 10 ? latency.toFixed(1) : Math.round(latency)} ms`),
    cell("Last failure", "", failure ? make("code", "", failure.cause) : "",
      failure?.at ? make("span", "quiet", ` ${span(failure.at, time)} ago`) : null));
}

function attempt(it) {
  const parts = [make("span", "mono", it.endpoint ?? "no endpoint"), it.pod ? ` ${it.pod}` : null,
    `: ${it.cause ?? it.status ?? "answered"}, after ${it.duration_ms} ms`,
    it.next ? make("span", "quiet", ` → ${it.next}${it.reason ? ` (${it.reason})` : ""}`) : null,
    it.detail ? make("div", "quiet", it.detail) : null];
  return make("li", "", ...parts);
}

function failureItem(it) {
  const healed = !it.cause;
  const head = make("summary", "", make("span", "quiet", `${it.time.slice(11, 19)} UTC `),
    make("span", `state ${healed ? "warn" : "bad"}`, healed ? `‼ ${it.status}, healed` : `× ${it.status}`), " ",
    it.cause ? make("code", "", it.cause) : null, ` ${it.method} ${it.host}${it.path}`);
  const details = make("details", "", head, make("p", "", "Request id ", make("code", "", it.id),
    ` after ${it.duration_ms} ms, ${it.attempts?.length ?? 0} attempts`), make("ol", "", ...(it.attempts ?? []).map(attempt)));
  return make("li", "", details);
}

function showRoutes(state) {
  put(byId("route-rows"), state.routes.map((route) => {
    const key = [route.host, route.path, route.pathType].join(" ");
    return { key, says: JSON.stringify(route), build: () => routeRow(route, state.stepSeconds) };
  }));
  byId("route-more").hidden = state.moreRoutes === 0;
  byId("route-more").textContent = `${state.moreRoutes} more; those in trouble are shown first. A filter shows others.`;
  const rows = [];
  for (const upstream of state.upstreams) {
    const { endpoints, ...rest } = upstream;
    rows.push({ key: upstream.name, says: JSON.stringify([rest, endpoints.length]), build: () => upstreamRow(upstream) });
    for (const endpoint of endpoints) {
      const ages = [endpoint.until, endpoint.lastFailure?.at].map((at) => at && span(...[at, state.time].sort()));
      rows.push({ key: `${upstream.name} ${endpoint.address}`, says: JSON.stringify([endpoint, ages]),
        build: () => endpointRow(endpoint, state.time) });
    }
  }
  put(byId("endpoint-rows"), rows);
}

function showFailures(answer, filter) {
  const all = answer.routes.flatMap((route) => [...route.failed, ...route.healed]);
  const text = filter.toLowerCase();
  const shown = all.filter((it) => !text || JSON.stringify(it).toLowerCase().includes(text));
  shown.sort((a, b) => (a.time < b.time ? 1 : -1));
  const none = all.length === 0 ? "Nothing has failed since this replica began." : "Nothing that failed matches the filter.";
  put(byId("failure-rows"), shown.length === 0
    ? [{ key: "none", says: none, build: () => make("li", "quiet", none) }]
    : shown.slice(0, 100).map((it) => ({ key: it.id + it.time, says: it.id, build: () => failureItem(it) })));
}

function showFindings(findings) {
  put(byId("finding-rows"), findings.length === 0
    ? [{ key: "none", says: "none", build: () => make("li", "quiet", "No object has a defect.") }]
    : findings.map((it) => {
      const object = it.name ? `${it.kind} ${it.namespace ? `${it.namespace}/` : ""}${it.name}` : it.position ?? "";
      const bad = it.severity === "error";
      return { key: JSON.stringify(it), says: "same", build: () => make("li", "",
        make("span", `state ${bad ? "bad" : "warn"}`, `${bad ? "×" : "‼"} ${it.code}`), ` ${object}: ${it.message}`) };
    }));
}

/** Says in the summary how it is, and to those who do not look what changed. */
function tell(state, findings) {
  const endpoints = state.upstreams.flatMap((upstream) => upstream.endpoints.map((it) => [`${upstream.name} ${it.address}`, it.state]));
  const bad = endpoints.filter(([, it]) => it === "ejected" || it === "down").length;
  const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  byId("summary").textContent = [count(state.routes.length + state.moreRoutes, "route"), count(endpoints.length, "endpoint"),
    bad ? `${bad} out of use` : "all in use", count(findings.length, "finding")].join(" · ");
  document.title = bad ? `(${bad}) Bywash` : "Bywash";
  if (before) {
    const changed = endpoints.filter(([name, it]) => before.has(name) && before.get(name) !== it);
    if (changed.length > 3) byId("changes").textContent = `${changed.length} endpoints changed; ${bad} out of use`;
    else if (changed.length > 0) {
      byId("changes").textContent = changed.map(([name, it]) => `${name} is ${(STATES[it]?.[1] ?? it).slice(2)}`).join("; ");
    }
  }
  before = new Map(endpoints);
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", credentials: "omit" });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

async function look() {
  const filter = byId("filter").value.trim();
  try {
    const query = new URLSearchParams({ filter, limit: LIMIT });
    const [state, failures, findings] = await Promise.all([ask(`/debug/state?${query}`), ask("/debug/failures"), ask("/debug/findings")]);
    showRoutes(state);
    showFailures(failures, filter);
    showFindings(findings);
    tell(state, findings);
    document.body.classList.remove("stale");
  } catch (error) {
    document.body.classList.add("stale");
    byId("summary").textContent = `Not up to date: this replica does not answer (${error.message}).`;
  }
}

async function follow() {
  if (!paused && !document.hidden) await look();
  setTimeout(follow, EVERY);
}

let typed;
byId("filter").addEventListener("input", () => {
  clearTimeout(typed);
  before = null;
  typed = setTimeout(look, 150);
});
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  look();
});
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  if (!paused) look();
});
document.addEventListener("visibilitychange", () => !document.hidden && !paused && look());
follow();
