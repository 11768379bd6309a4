// Shows /openapi.json: operations with a form to try them, schemas, problems.
"use strict";

let doc;
let token = "";

// el makes an element: el("p.soft", {id: "x"}, "text", child, …).
function el(what, attrs, ...children) {
  const [tag, ...classes] = what.split(".");
  const e = document.createElement(tag);
  if (classes.length) e.className = classes.join(" ");
  Object.entries(attrs || {}).forEach(([k, v]) => { if (v !== undefined && v !== false) e.setAttribute(k, v === true ? "" : v); });
  e.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== ""));
  return e;
}

// text splits `code` out of a line of prose; prose makes paragraphs of it.
const text = (s) => (s || "").split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
const prose = (s) => (s || "").split("\n\n").filter(Boolean).map((p) => el("p", {}, text(p)));
const pretty = (v) => (typeof v === "string" ? v : JSON.stringify(v, null, 2));

// follow resolves a reference; nameOf is what it is called.
const follow = (o) => (o && o.$ref ? follow(o.$ref.slice(2).split("/").reduce((at, key) => at[key], doc)) : o);
const nameOf = (o) => (o && o.$ref ? o.$ref.split("/").pop() : "");

const link = (name) => el("a", { href: "#schema-" + name }, name);

// typeOf says in one line what a schema wants.
function typeOf(s) {
  const name = nameOf(s);
  if (name) return [link(name)];
  if (s.const !== undefined) return [el("code", {}, String(s.const))];
  if (s.enum) return s.enum.flatMap((v, i) => [i ? " | " : "", el("code", {}, String(v))]);
  if (s.oneOf) return s.oneOf.flatMap((o, i) => [i ? " or " : "", ...typeOf(o)]);
  if (s.allOf) return typeOf(s.allOf[0]);
  if (s.type === "array") return ["list of ", ...typeOf(s.items)];
  const range = [["minimum", "from "], ["maximum", "to "], ["default", "default "]].filter(([k]) => s[k] !== undefined).map(([k, word]) => word + s[k]);
  return [[[].concat(s.type || "any").join(" or "), s.format].filter(Boolean).join(", "), range.length ? ", " + range.join(" ") : "", s.pattern ? [", ", el("code", {}, s.pattern)] : ""].flat();
}

function table(rows, heads) {
  return el("div.scroll", {}, el(heads ? "table" : "table.pairs", {}, heads ? el("thead", {}, el("tr", {}, heads.map((h) => el("th", {}, h)))) : "", el("tbody", {}, rows)));
}

// fields lists the properties of an object, and of objects in it.
function fields(s, prefix = "") {
  s = follow(s);
  return Object.entries(s.properties || {}).flatMap(([name, p]) => {
    const needed = (s.required || []).includes(name);
    const about = p.description || (follow(p) || {}).description;
    const row = el("tr", {}, el("td", {}, el("span.path", {}, prefix + name), needed ? el("span.need", {}, " required") : ""), el("td", {}, el("div.type", {}, typeOf(p)), text(about)));
    const inner = p.type === "array" ? p.items : p;
    return [row, ...(inner.$ref || !inner.properties ? [] : fields(inner, prefix + name + (p.type === "array" ? "[]." : ".")))];
  });
}

function schemaOf(s) {
  if (!s) return "";
  if (nameOf(s)) return el("p", {}, link(nameOf(s)));
  const codes = (s.allOf || []).map((part) => part.properties && part.properties.code).find(Boolean);
  if (codes) return el("p", {}, link("Problem"), ": ", [].concat(codes.enum || codes.const).flatMap((c, i) => [i ? ", " : "", el("a", { href: "#problem-" + c }, el("code", {}, c))]));
  return s.properties ? table(fields(s)) : el("p", {}, typeOf(s));
}

function content(c) {
  return Object.entries(c || {}).map(([kind, media]) => {
    const shown = media.examples ? Object.values(media.examples) : media.example !== undefined ? [{ value: media.example }] : [];
    return el("div", {}, el("p.soft", {}, el("code", {}, kind)), schemaOf(media.schema),
      shown.map((x) => el("div", {}, x.summary ? el("p.soft", {}, x.summary) : "", el("pre", {}, pretty(x.value)))));
  });
}

function response(status, r) {
  r = follow(r);
  const heads = Object.entries(r.headers || {}).map(([name, h]) => [name, follow(h)]);
  return el("details", {}, el("summary", {}, el("span.code.s" + status[0], {}, status), " ", text(r.description)),
    content(r.content),
    heads.length ? table(heads.map(([name, h]) => el("tr", {}, el("td", {}, el("span.path", {}, name)), el("td", {}, el("div.type", {}, typeOf(h.schema)), text(h.description))))) : "");
}

function parameters(list) {
  if (!list.length) return "";
  return [el("h4", {}, "Parameters"), table(list.map((p) => el("tr", {},
    el("td", {}, el("span.path", {}, p.name), p.required ? el("span.need", {}, " required") : "", el("div.type", {}, p.in)),
    el("td", {}, el("div.type", {}, typeOf(p.schema)), text(p.description)))))];
}

// tryIt is the form that sends an operation's request.
function tryIt(verb, path, op, list) {
  const inputs = list.map((p) => ({ p, input: el("input", { name: p.name, autocomplete: "off", spellcheck: "false", placeholder: p.example || "" }) }));
  const bearer = (op.security || []).some((s) => s.shopper) && el("input", { placeholder: "eyJ…", autocomplete: "off", spellcheck: "false", value: token });
  const media = op.requestBody && op.requestBody.content["application/json"];
  const example = media && (media.example || Object.values(media.examples)[0].value);
  const body = media && el("textarea", { spellcheck: "false" });
  if (body) body.value = pretty(example);
  const answer = el("div", { "aria-live": "polite" });
  const button = el("button", {}, "Send");
  const form = el("form", {}, bearer ? el("label", {}, "Bearer token", bearer) : "",
    inputs.map(({ p, input }) => el("label", {}, p.name + (p.required ? " *" : ""), input)),
    body ? el("label", {}, "Body", body) : "", button, answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new URLSearchParams();
    const headers = {};
    let to = path;
    inputs.forEach(({ p, input }) => {
      if (p.in === "path") to = to.replace(`{${p.name}}`, encodeURIComponent(input.value));
      else if (input.value && p.in === "query") query.set(p.name, input.value);
      else if (input.value) headers[p.name] = input.value;
    });
    if (bearer && bearer.value) headers.Authorization = "Bearer " + (token = bearer.value.trim());
    if (body && body.value.trim()) headers["Content-Type"] = "application/json";
    if (query.size) to += "?" + query;
    button.disabled = true;
    const began = performance.now();
    try {
      const r = await fetch(to, { method: verb.toUpperCase(), headers, body: body && body.value.trim() ? body.value : undefined });
      const got = await r.text();
      const head = [...r.headers].map(([k, v]) => `${k}: ${v}`).join("\n");
      answer.replaceChildren(el("p", {}, el("span.code.s" + String(r.status)[0], {}, String(r.status)), ` ${r.statusText} · ${Math.round(performance.now() - began)} ms · `, el("code", {}, to)), el("pre", {}, head), el("pre", {}, indented(got)));
    } catch (e) {
      answer.replaceChildren(el("p", {}, el("span.code.s5", {}, "no answer"), " ", String(e)));
    }
    button.disabled = false;
  });
  return el("details", {}, el("summary", {}, "Try it"), form);
}

function indented(s) {
  try { return pretty(JSON.parse(s)); } catch { return s; }
}

function operation(path, item, verb) {
  const op = item[verb];
  const list = [...(item.parameters || []), ...(op.parameters || [])].map(follow);
  return el("section.card", { id: op.operationId },
    el("h3", {}, el("a", { href: "#" + op.operationId }, op.summary)),
    el("div.line", {}, el("span.verb." + verb, {}, verb.toUpperCase()), el("span.path", {}, path), (op.security || []).flatMap(Object.keys).map((s) => el("a", { href: "#security" }, s))),
    prose(op.description), parameters(list),
    op.requestBody ? [el("h4", {}, "Body"), prose(op.requestBody.description), content(op.requestBody.content)] : "",
    el("h4", {}, "Answers"), Object.entries(op.responses).map(([status, r]) => response(status, r)),
    tryIt(verb, path, op, list));
}

function problem(p) {
  return el("tr", { id: "problem-" + p.code },
    el("td", {}, el("code", {}, p.code), el("div.soft", {}, p.retry_after ? "Retry-After" : "")), el("td", {}, el("span.code.s" + String(p.status)[0], {}, String(p.status))),
    el("td", {}, el("b", {}, p.en.title), el("div", {}, p.en.detail)), el("td", { lang: "zh-CN" }, el("b", {}, p["zh-CN"].title), el("div", {}, p["zh-CN"].detail)));
}

const verbs = ["get", "post", "put", "patch", "delete"];

function show() {
  const all = Object.entries(doc.paths).flatMap(([path, item]) => verbs.filter((v) => item[v]).map((verb) => ({ path, item, verb, op: item[verb] })));
  const nav = [], main = [el("h1", {}, doc.info.title), el("p.soft", {}, doc.info.summary, " ", el("a", { href: "/openapi.json" }, "OpenAPI " + doc.openapi)), ...prose(doc.info.description)];
  doc.tags.forEach((tag) => {
    const mine = all.filter((o) => o.op.tags.includes(tag.name));
    nav.push(el("b", {}, tag.name), ...mine.map((o) => el("a", { href: "#" + o.op.operationId }, el("span.verb." + o.verb, {}, o.verb.toUpperCase()), o.op.summary)));
    main.push(el("h2", {}, tag.name), ...prose(tag.description), ...mine.map((o) => operation(o.path, o.item, o.verb)));
  });
  main.push(el("h2", { id: "security" }, "Who may"), ...Object.entries(doc.components.securitySchemes).map(([name, s]) => el("p", {}, el("b", {}, name), ": ", text(s.description))));
  main.push(el("h2", { id: "schemas" }, "Schemas"), ...Object.entries(doc.components.schemas).map(([name, s]) => el("section.card", { id: "schema-" + name },
    el("h3", {}, name), prose(s.description), s.properties ? table(fields(s)) : el("p.type", {}, typeOf(s)))));
  main.push(el("h2", { id: "problems" }, "Problems"), table(doc["x-problems"].map(problem), ["code", "status", "en", "zh-CN"]));
  nav.push(el("b", {}, "More"), ...[["security", "Who may"], ["schemas", "Schemas"], ["problems", "Problems"]].map(([id, name]) => el("a", { href: "#" + id }, name)));
  document.getElementById("nav").append(...nav);
  document.getElementById("main").replaceChildren(...main);
  if (location.hash) location.replace(location.hash); // it leads somewhere only now
}

fetch("/openapi.json").then((r) => r.json()).then((d) => { doc = d; show(); }).catch((e) => { document.getElementById("note").textContent = "No document: " + e; });
