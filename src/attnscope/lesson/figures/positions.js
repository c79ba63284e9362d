// Page 6: five ways to tell tokens where they stand, and the score of the same two tokens at all positions.

import { alibiSlope, dot, range, rotary } from "./attention.js";
import { choice, slider, when } from "./controls.js";
import { num, shade } from "./draw.js";
import { figure } from "./figure.js";

const [TOKENS, TOP] = [16, 30];
const plus = (a, b) => a.map((each, i) => each + b[i]);
// Sines of even dims, cosines of odd ones: Vaswani et al. 2017, section 3.5
const sinusoid = (position, dim) => range(dim).map((c) => (c % 2 ? Math.cos : Math.sin)(position / 10000 ** ((c - (c % 2)) / dim)));

// The score of the query at position p and the key at j
function score({ scheme, head }, data, p, j) {
  const { query, key } = data, scale = query.length ** -0.5;
  if (scheme === "rotary") return scale * dot(rotary(query, p), rotary(key, j));
  if (scheme === "alibi") return scale * dot(query, key) - alibiSlope(head, 8) * Math.abs(p - j);
  const table = { sinusoids: (i) => sinusoid(i, query.length), learned: (i) => data.table[i], none: () => query.map(() => 0) }[scheme];
  return scale * dot(plus(query, table(p)), plus(key, table(j)));
}

function dials(p, state, data) {
  const pairs = data.query.length / 2;
  p.title("Two of the pairs, turned");
  [0, 1].forEach((r) => {
    const [cx, cy, radius] = [78 + 156 * r, TOP + 92, 72], rate = 10000 ** (-r / pairs);
    p.circle(`dial ${r}`, cx, cy, radius, { class: "card" });
    p.text(`rate ${r}`, cx, TOP + 184, [num(`rate ${r}`, rate, 1), " rad per token"], { class: "label middle" });
    for (const [role, vector, position] of [["key", data.key, state.key], ["query", data.query, state.query]]) {
      const turned = rotary(vector, position), [x, y] = [turned[r], turned[r + pairs]], length = Math.hypot(x, y);
      p.arrow(`${role} ${r}`, cx, cy, cx + (x / length) * (radius - 8), cy - (y / length) * (radius - 8), { class: role });
    }
  });
  p.circle("query dot", 12, TOP + 208, 5, { class: "query" });
  p.text("query word", 24, TOP + 212, ["query"], { class: "label" });
  p.circle("key dot", 82, TOP + 208, 5, { class: "key" });
  p.text("key word", 94, TOP + 212, ["key"], { class: "label" });
  p.text("same", 0, TOP + 232, ["The angle between them depends on the distance only."], { class: "small" });
}

function penalties(p, state) {
  const toX = (j) => 4 + (j / (TOKENS - 1)) * 300, toY = (factor) => TOP + 180 * (1 - factor);
  p.title("The factor that distance costs");
  p.line("axis", 0, toY(0), 310, toY(0), { class: "axis" });
  for (const head of range(8)) {
    const points = range(TOKENS).map((j) => [toX(j), toY(Math.exp(-alibiSlope(head, 8) * Math.abs(state.query - j)))]);
    p.path(`head ${head}`, points, { class: `curve ${head === state.head ? "thick query" : "faint"}` });
  }
  const factor = Math.exp(-alibiSlope(state.head, 8) * Math.abs(state.query - state.key));
  p.circle("here", toX(state.key), toY(factor), 6, { class: "key" });
  p.text("slope", 0, TOP + 208, ["slope ", num("slope", alibiSlope(state.head, 8), 4)], { class: "strong" });
  p.text("factor", 310, TOP + 208, ["weight times ", num("factor", factor)], { class: "end label" });
  p.text("keys", 310, toY(0) + 14, ["position of the key \u2192"], { class: "small end" });
}

function tables(p, state, data) {
  const dim = data.query.length, rows = state.scheme === "sinusoids" ? range(TOKENS).map((i) => sinusoid(i, dim)) : data.table;
  p.title(state.scheme === "sinusoids" ? "Sines and cosines, added" : "A learned table, added");
  p.grid("table", 44, TOP + 8, 13, TOKENS, dim, (i, c) => ({
    class: `${shade(0.5 + rows[i][c] / 4)} ${i === state.query || i === state.key ? "" : "pale"}`, "fill-opacity": i === state.query || i === state.key ? 1 : 0.45,
  }), {});
  for (const [role, i] of [["key", state.key], ["query", state.query]]) {
    p.text(`${role} word`, 38, TOP + 19 + 13 * i, [role], { class: "small end" });
    p.rect(`${role} row`, 42, TOP + 7 + 13 * i, 13 * dim + 3, 14, { class: `line ${role}`, fill: "none" });
  }
  p.text("rows", 165, TOP + 20, ["a row for each position,"], { class: "label" });
  p.text("rows 2", 165, TOP + 37, ["added to the token\u2019s vector"], { class: "label" });
}

function nothing(p) {
  p.title("No positions at all");
  ["Without a mask every order of the tokens", "is the same to attention.", "", "A causal mask alone gives a row its place:", "row i sees i + 1 keys. Decoders can learn", "order from that."].forEach((words, i) =>
    p.text(`line ${i}`, 0, TOP + 24 + 20 * i, [words], { class: "label" }));
}

export const positions = (host, data) => figure(host, {
  name: "positions",
  label: "Ways to tell a token where it stands, and the score of two tokens over both of their positions",
  state: { scheme: "rotary", query: 9, key: 5, head: 1 },
  controls: [
    choice("scheme", "positions", [["rotary", "rotary"], ["alibi", "ALiBi"], ["sinusoids", "sinusoids"], ["learned", "learned table"], ["none", "none"]]),
    slider("query", "query at", { min: 0, max: TOKENS - 1 }),
    slider("key", "key at", { min: 0, max: TOKENS - 1 }),
    when((state) => state.scheme === "alibi", slider("head", "head", { min: 0, max: 7 })),
  ],
  compute: (state) => {
    const all = range(TOKENS).map((p) => range(TOKENS).map((j) => score(state, data, p, j)));
    const flat = all.flat(), here = all[state.query][state.key];
    const alike = all.flatMap((row, p) => (p + state.key - state.query in row ? [row[p + state.key - state.query]] : []));
    return { all, here, low: Math.min(...flat), high: Math.max(...flat), apart: Math.max(...alike) - Math.min(...alike) };
  },
  panels: [
    [{ width: 312, height: TOP + 240, label: "How positions are encoded" }, (p, state) =>
      ({ rotary: dials, alibi: penalties, sinusoids: tables, learned: tables, none: nothing })[state.scheme](p, state, data)],
    [{ width: 330, height: TOP + 240, label: "The score at all pairs of positions" }, (p, state, now, change) => {
      const size = 14, share = (s) => (now.high - now.low < 1e-9 ? 0.5 : (s - now.low) / (now.high - now.low));
      p.title("The score, at all positions");
      p.text("keys", 44 + size * TOKENS, TOP + 8, ["position of the key \u2192"], { class: "small end" });
      p.text("queries", 30, TOP + 20, ["\u2193"], { class: "small end" });
      p.grid("scores", 44, TOP + 14, size, TOKENS, TOKENS, (i, j) => ({
        class: shade(0.08 + 0.9 * share(now.all[i][j])), onclick: () => change({ query: i, key: j }),
        "fill-opacity": i - j === state.query - state.key ? 1 : 0.62,
      }));
      p.rect("here", 43 + size * state.key, TOP + 13 + size * state.query, size + 1, size + 1, { class: "chosen through", fill: "none" });
      p.text("score", 280, TOP + 40, ["score"], { class: "label" });
      p.text("score is", 280, TOP + 58, [num("score", now.here)], { class: "strong" });
      p.text("far", 280, TOP + 86, ["distance"], { class: "label" });
      p.text("far is", 280, TOP + 104, [num("distance", state.query - state.key, 0)], { class: "strong" });
    }],
  ],
  caption: ({ scheme }, now) => [
    now.apart < 1e-9 ? "The diagonal has one colour: at the same distance the score is the same, wherever both tokens stand."
      : "The diagonal has many colours: at the same distance the score differs, by up to ",
    ...(now.apart < 1e-9 ? [] : [num("apart", now.apart), "."]),
    ...(scheme === "alibi" ? [" ALiBi does not tell left from right."] : []),
  ],
});
