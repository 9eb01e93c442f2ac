"use strict";
// Text goes in as text alone: nothing here makes HTML of it.
const STEP = 30;
const fusions = JSON.parse(document.getElementById("fusions").textContent);
const list = document.getElementById("list");
const said = document.getElementById("said");
const more = document.getElementById("more");
const search = document.getElementById("search");
const order = document.getElementById("order");
const only = document.getElementById("only");
const haystacks = fusions.map((one) =>
  [one.id, one.prompt, one.response, ...one.sources.flatMap((s) => [s.place, s.prompt, s.response])]
    .join("\n").toLowerCase());
const ORDERS = {
  written: (a, b) => a - b,
  best: (a, b) => fusions[b].rating - fusions[a].rating || a - b,
  rarest: (a, b) => fusions[b].rarity - fusions[a].rarity || a - b,
  least: (a, b) => fusions[a].kept - fusions[b].kept || a - b,
};
const WANTED = {
  all: () => true,
  high: (one) => one.rating >= 4,
  finding: (one) => one.lost.length + one.unsupported.length + one.changed.length > 0,
};
let found = [];
let shown = 0;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function marked(parent, text, facts) {
  // Facts are words of the text, or a telling of it: those that stand in it are marked.
  const low = text.toLowerCase();
  const places = [];
  for (const fact of facts) {
    const at = fact ? low.indexOf(fact.toLowerCase()) : -1;
    if (at >= 0) places.push([at, at + fact.length]);
  }
  places.sort((a, b) => a[0] - b[0]);
  let end = 0;
  for (const [from, to] of places) {
    if (from < end) continue;
    parent.append(text.slice(end, from), element("mark", "", text.slice(from, to)));
    end = to;
  }
  parent.append(text.slice(end));
}

function sample(one, facts) {
  const box = element("div", "text");
  box.dir = "auto";
  box.append(element("span", "ask", one.prompt), "\n\n");
  marked(box, one.response, facts);
  if (one.more) box.append(element("span", "quiet", `\n… ${one.more} more characters in the data`));
  return box;
}

function line(box, label, facts) {
  if (facts.length) box.append(element("p", "quiet lost", `${label}: ${facts.join("; ")}`));
}

function card(one) {
  const box = element("article", "card");
  box.id = one.id;
  const percent = (share) => `${Math.round(100 * share)} %`;
  const head = element("h3", "quiet", `${one.id} · rated ${one.rating.toFixed(2)} · rarity ` +
    `${one.rarity.toFixed(2)} · keeps ${percent(one.kept)} of the facts · ` +
    `${percent(one.supported)} of its own have a source · ${percent(one.copied)} copied`);
  const pair = element("div", "pair");
  const left = element("div");
  left.append(element("strong", "", "Fusion"), sample(one, [...one.unsupported, ...one.changed]));
  line(left, "Lost", one.lost);
  line(left, "Without a source", one.unsupported);
  line(left, "Changed", one.changed);
  if (!WANTED.finding(one)) {
    left.append(element("p", "quiet fine", "The audit found nothing lost, added or changed."));
  }
  if (one.mended) left.append(element("p", "quiet", "A rule put right what the model wrote."));
  const right = element("div");
  right.append(element("strong", "", "Sources"));
  for (const source of one.sources) {
    right.append(element("div", "quiet", `${source.place} · rated ${source.rating.toFixed(2)}`));
    right.append(sample(source, one.lost));
  }
  pair.append(left, right);
  box.append(head, pair);
  return box;
}

function show() {
  const part = document.createDocumentFragment();
  for (const row of found.slice(shown, shown + STEP)) part.append(card(fusions[row]));
  shown = Math.min(found.length, shown + STEP);
  list.append(part);
  more.hidden = shown >= found.length;
  said.textContent = `${found.length.toLocaleString("en")} of ` +
    `${fusions.length.toLocaleString("en")} fusions, ${shown.toLocaleString("en")} shown`;
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = WANTED[only.value];
  found = [];
  for (let row = 0; row < fusions.length; row += 1) {
    if (wanted(fusions[row]) && words.every((word) => haystacks[row].includes(word))) found.push(row);
  }
  found.sort(ORDERS[order.value]);
  shown = 0;
  list.replaceChildren();
  show();
}

search.addEventListener("input", filter);
order.addEventListener("change", filter);
only.addEventListener("change", filter);
more.addEventListener("click", show);
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
document.getElementById("tools").hidden = false;
filter();
