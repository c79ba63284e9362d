// A drawing: self-attention beside cross-attention.

import { figure } from "./figure.js";

const ENGLISH = ["it", "is", "too", "big"], GERMAN = ["er", "ist", "zu"];

function attention(p, title, queries, keys, sees) {
  p.title(title);
  const y = (i, count) => 60 + (i + 0.5) * (180 / count);
  p.text("queries", 60, 44, ["queries from"], { class: "small middle" });
  p.text("keys", 260, 44, ["keys and values from"], { class: "small middle" });
  queries.forEach((q, i) => keys.forEach((k, j) => {
    if (sees(i, j)) p.line(`reads ${i} ${j}`, 98, y(i, queries.length), 212, y(j, keys.length), { class: `line ${i === queries.length - 1 ? "query thick" : "faint"}` });
  }));
  queries.forEach((q, i) => {
    p.rect(`query ${i}`, 22, y(i, queries.length) - 15, 76, 30, { class: "query pale", rx: 8 });
    p.text(`query word ${i}`, 60, y(i, queries.length) + 5, [q], { class: "middle" });
  });
  keys.forEach((k, j) => {
    p.rect(`key ${j}`, 212, y(j, keys.length) - 15, 48, 30, { class: "key pale", rx: 8 });
    p.rect(`value ${j}`, 262, y(j, keys.length) - 15, 48, 30, { class: "value pale", rx: 8 });
    p.text(`key word ${j}`, 261, y(j, keys.length) + 5, [k], { class: "middle" });
  });
}

export const cross = (host) => figure(host, {
  name: "cross",
  label: "Self-attention reads its own sequence; cross-attention reads another one, which needs no causal mask",
  state: {},
  panels: [
    [{ width: 320, height: 250, label: "Self-attention" }, (p) => attention(p, "Self-attention, causal", ENGLISH, ENGLISH, (i, j) => j <= i)],
    [{ width: 320, height: 250, label: "Cross-attention" }, (p) => attention(p, "Cross-attention, to another text", GERMAN, ENGLISH, () => true)],
  ],
});
