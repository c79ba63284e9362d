// Page 5: project, split, attend, concatenate, project: shapes that move, with shared or own heads of keys and values.

import { range } from "./attention.js";
import { choice, steps } from "./controls.js";
import { shade, whole } from "./draw.js";
import { figure } from "./figure.js";

const [TOKENS, HEADS, DIM, WIDTH] = [13, 4, 8, 32];
const [H, W] = [4, 2.4]; // pixels of a token, and of a number
const NAMES = ["The tokens", "Project", "Split", "Attend", "Concatenate", "Project again"];

export const heads = (host, data) => figure(host, {
  name: "heads",
  label: "Multi-head attention: one array of tokens becomes queries, keys and values, is split into heads, and comes together again",
  state: { step: 2, kv: 4 },
  controls: [
    steps("step", "steps", () => NAMES.length, 1600),
    choice("kv", "kv heads", [[4, "4: multi-head"], [2, "2: grouped"], [1, "1: multi-query"]]),
  ],
  compute: ({ kv }) => ({
    kv, group: HEADS / kv,
    shapes: [
      ["x", [TOKENS, WIDTH], 0], ["queries", [TOKENS, HEADS * DIM], 1], ["keys", [TOKENS, kv * DIM], 1], ["values", [TOKENS, kv * DIM], 1],
      ["query", [HEADS, TOKENS, DIM], 2], ["key", [kv, TOKENS, DIM], 2], ["value", [kv, TOKENS, DIM], 2],
      ["weights", [HEADS, TOKENS, TOKENS], 3], ["mixed", [HEADS, TOKENS, DIM], 3], ["joined", [TOKENS, HEADS * DIM], 4], ["output", [TOKENS, WIDTH], 5],
    ],
    weights: 2 * WIDTH * HEADS * DIM + 2 * WIDTH * kv * DIM,
    cached: 2 * kv * DIM,
  }),
  panels: [
    [{ width: 430, height: 316, label: "The arrays" }, (p, { step }, now) => {
      const [tall, slice] = [H * TOKENS, W * DIM], lane = (a) => 40 + 68 * a;
      // Where a head's slice lies: in one array before the split, in its own lane after it
      const place = (name, a, heads) => {
        const column = { q: 60, k: 190, v: 320 }[name];
        return step < 2 ? [column + slice * a, 130] : [column - 30, lane(a * (HEADS / heads)) + (HEADS / heads - 1) * 34];
      };
      p.title(NAMES[step]);
      if (step === 0 || step === 5) {
        const at = 215 - (W * WIDTH) / 2;
        p.rect("x", at, 130, W * WIDTH, tall, { class: step ? "output" : "soft" });
        p.text("x words", 215, 205, [step ? "a row per token, added to the residual stream" : "a row per token"], { class: "label middle" });
      }
      for (const [name, role, heads] of [["q", "query", HEADS], ["k", "key", now.kv], ["v", "value", now.kv]]) {
        if (step < 1 || step > 3 || (step === 3 && name !== "v")) continue;
        for (const a of range(heads)) {
          const [x, y] = place(name, a, heads);
          p.rect(`${name} ${a}`, x, y, slice - 1, tall, { class: role });
        }
        const [x] = place(name, 0, heads);
        p.text(`${name} words`, step < 2 ? { q: 60, k: 190, v: 320 }[name] : x, step < 2 ? 122 : 32, [{ q: "queries", k: "keys", v: "values" }[name]], { class: "label" });
      }
      if (step === 3 || step === 4) {
        for (const a of range(HEADS)) {
          if (step === 3) {
            p.grid(`weights ${a}`, 60, lane(a), H, TOKENS, TOKENS, (i, j) => ({ class: shade(data.maps[a][i][j] ** 0.6), width: H, height: H, rx: 0 }));
            p.arrow(`reads ${a}`, 290 + slice + 6, lane(a) + tall / 2, 366, lane(a) + tall / 2, { class: "soft" });
            p.line(`joins ${a}`, 60 + tall + 8, lane(a) + tall / 2, 282, lane(Math.floor(a / now.group) * now.group) + (now.group - 1) * 34 + tall / 2, { class: "line faint" });
          }
          const joined = 215 - (W * WIDTH) / 2 + slice * a;
          p.rect(`o ${a}`, step === 3 ? 374 : joined, step === 3 ? lane(a) : 130, slice - 1, tall, { class: "output" });
        }
        if (step === 3) p.text("weights words", 60, 32, ["weights, times values"], { class: "label" });
        if (step === 3) p.text("o words", 374, 32, ["mixed"], { class: "label" });
      }
    }],
    [{ width: 300, height: 316, label: "The shapes" }, (p, { step }, now) => {
      p.title("Every shape on the way");
      now.shapes.forEach(([name, shape, when], i) => {
        const y = 38 + 19 * i, here = when === step;
        if (here) p.rect(`here ${i}`, 0, y - 14, 300, 19, { class: "track" });
        p.text(`name ${i}`, 8, y, name, { class: here ? "strong" : "label" });
        p.text(`shape ${i}`, 292, y, ["[", ...shape.flatMap((size, axis) => [...(axis ? [", "] : []), whole(`${name} ${axis}`, size)]), "]"], { class: here ? "strong end" : "end label" });
      });
      p.line("rule", 0, 256, 300, 256, { class: "axis" });
      p.text("weights", 8, 278, ["weights of the layer"], { class: "label" });
      p.text("weights are", 292, 278, [whole("layer weights", now.weights)], { class: "strong end" });
      p.text("cached", 8, 300, ["numbers cached per token"], { class: "label" });
      p.text("cached are", 292, 300, [whole("cached", now.cached)], { class: "strong end" });
    }],
  ],
  caption: ({ step }, now) => [[
    "Every token is a row of numbers.",
    "Three matrices make queries, keys and values of every row.",
    now.kv === HEADS ? "The columns are cut into heads: each has its own queries, keys and values." : "The columns are cut into heads. Query heads that are neighbours share a head of keys and values.",
    "Each query head has its own square of weights, however few heads of keys there are, and mixes values by it.",
    "The heads' outputs are put side by side again.",
    "A last matrix mixes the heads. Its result is a sum with one term per head.",
  ][step]],
});
