// Page 1: a query is dragged in the plane of the keys; weights as bars; the output inside the hull of the values.

import { dot, mix, range, softmax } from "./attention.js";
import { choice, draggable, slider } from "./controls.js";
import { num, shade } from "./draw.js";
import { figure } from "./figure.js";

const REACH = 3; // the plane of keys and queries, from -REACH to REACH
const [SIZE, TOP] = [280, 30];
const toX = (x) => SIZE / 2 + (x / REACH) * (SIZE / 2 - 12);
const toY = (y) => TOP + SIZE / 2 - (y / REACH) * (SIZE / 2 - 12);
const back = (px, py) => {
  const inside = (number) => Math.min(REACH, Math.max(-REACH, Math.round(number * 20) / 20));
  return [inside(((px - SIZE / 2) / (SIZE / 2 - 12)) * REACH), inside((-(py - TOP - SIZE / 2) / (SIZE / 2 - 12)) * REACH)];
};

export const retrieval = (host, data) => figure(host, {
  name: "retrieval",
  label: "Soft retrieval: a query in the plane of six keys, the weights of the keys, and the mixture of their values",
  state: { query: data.queries.big, beta: 0.5 },
  controls: [
    choice("query", "it is too", [[data.queries.big, "big"], [data.queries.small, "small"], [data.queries.nothing, "(no question)"]]),
    slider("beta", "\u03b2", { min: 0, max: 8, step: 0.1, show: (beta) => beta.toFixed(1) }),
  ],
  compute: ({ query, beta }) => {
    const scores = data.keys.map((key) => beta * dot(query, key));
    const weights = softmax(scores);
    return { scores, weights, output: mix(weights, data.values), best: weights.indexOf(Math.max(...weights)) };
  },
  panels: [
    [{ width: SIZE, height: TOP + SIZE, label: "The plane of keys and the query" }, (p, state, now, change) => {
      p.title("Keys, and the query of \u201cit\u201d");
      p.line("x axis", 0, toY(0), SIZE, toY(0), { class: "axis" });
      p.line("y axis", toX(0), TOP, toX(0), TOP + SIZE, { class: "axis" });
      p.text("x words", SIZE, toY(0) - 6, "a thing \u2192", { class: "small end" });
      p.text("y words", toX(0) + 6, TOP + 9, "\u2191 what was put in", { class: "small" });
      data.keys.forEach(([x, y], j) => {
        p.circle(`key ${j}`, toX(x), toY(y), 4 + 8 * now.weights[j], { class: "key" });
        p.text(`word ${j}`, toX(x) + 10 + 4 * now.weights[j], toY(y) + (y < 0 ? 15 : -7), data.words[j], { class: j === now.best ? "strong" : "" });
      });
      const [x, y] = [toX(state.query[0]), toY(state.query[1])];
      p.arrow("query", toX(0), toY(0), x, y, { class: "query" });
      const words = { label: "The query", value: `${state.query[0]} and ${state.query[1]}` };
      p.circle("handle", x, y, 9, { ...draggable(p, x, y, words, (px, py) => change({ query: back(px, py) })), class: "handle query" });
    }],
    [{ width: 270, height: TOP + SIZE, label: "The weights" }, (p, state, now) => {
      p.title("Weights");
      p.text("head", 270, 14, "\u03b2 q \u00b7 k", { class: "small end" });
      data.words.forEach((word, j) => {
        const y = TOP + 14 + 45 * j;
        p.text(`word ${j}`, 0, y + 4, word, { class: j === now.best ? "strong" : "" });
        p.text(`score ${j}`, 270, y + 4, [num(`score ${j}`, now.scores[j], 2)], { class: "small end" });
        p.rect(`track ${j}`, 0, y + 11, 210, 10, { class: "track" });
        p.rect(`bar ${j}`, 0, y + 11, 210 * now.weights[j], 10, { class: shade(0.35 + 0.65 * now.weights[j]) });
        p.text(`weight ${j}`, 270, y + 21, [num(`weight ${j}`, now.weights[j])], { class: "end" });
      });
    }],
    [{ width: 250, height: TOP + SIZE, label: "The values and their mixture" }, (p, state, now) => {
      const at = ([a, b]) => [20 + a * 21, TOP + 250 - b * 23];
      p.title("Values, and the output");
      p.path("hull", data.hull.map((j) => at(data.values[j])), { class: "hull", closed: true });
      const [ox, oy] = at(now.output);
      for (const j of range(data.words.length)) {
        const [x, y] = at(data.values[j]);
        p.line(`pull ${j}`, ox, oy, x, y, { class: "line output", style: `stroke-width:${(0.4 + 5 * now.weights[j]).toFixed(2)};opacity:${(0.15 + 0.6 * now.weights[j]).toFixed(2)}` });
        p.circle(`value ${j}`, x, y, 5, { class: "value" });
        p.text(`word ${j}`, x + (data.left.includes(j) ? -9 : 9), y + 4, data.words[j], { class: data.left.includes(j) ? "end label" : "label" });
      }
      p.circle("output", ox, oy, 8, { class: "output" });
      p.text("numbers", 0, TOP + 278, ["output (", num("output 0", now.output[0], 2), ", ", num("output 1", now.output[1], 2), ")"], { class: "strong" });
    }],
  ],
  caption: ({ query, beta }, now) => beta === 0 || (query[0] === 0 && query[1] === 0)
    ? ["All scores are equal: the output is the average of the values."]
    : ["\u201c", data.words[now.best], "\u201d fits best, with weight ", num("best", now.weights[now.best]), ". The output stays inside the hull of the values."],
});
