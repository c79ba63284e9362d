// Page 4: one row of weights. Its temperature, its entropy; and what each key does beside what it weighs.

import { difference, entropy, influence, mix, norm, range, softmax } from "./attention.js";
import { choice, pressable, slider } from "./controls.js";
import { num, shade } from "./draw.js";
import { figure } from "./figure.js";

const [TOP, STEP] = [46, 19];
const COLDEST = 0.1, HOTTEST = 10;

export const weights = (host, data) => {
  const n = Math.max(...Object.values(data.rows).map(({ words }) => words.length)), focus = { at: [1, 0] };
  const row = (name) => data.rows[name];
  const at = (name, temperature) => softmax(row(name).scores.map((s) => s / temperature));

  return figure(host, {
    name: "weights",
    label: "A row of weights from a trained model: temperature, entropy, and the influence of each key beside its weight",
    state: { row: Object.keys(data.rows)[0], temperature: 1, removed: null },
    controls: [
      choice("row", "row of", Object.keys(data.rows).map((name) => [name, name])),
      slider("temperature", "temperature", { min: -1, max: 1, step: 0.02, show: (t) => t.toFixed(2), of: (place) => 10 ** place, to: Math.log10 }),
    ],
    compute: ({ row: name, temperature, removed }) => {
      const { words, values } = row(name), weights = at(name, temperature), moved = influence(weights, values);
      const rest = weights.map((w, j) => (j === removed ? 0 : w / (removed === null ? 1 : 1 - weights[removed])));
      return { words, weights, moved, rest, entropy: entropy(weights), heaviest: weights.indexOf(Math.max(...weights)), strongest: moved.indexOf(Math.max(...moved)) };
    },
    panels: [
      [{ width: 430, height: TOP + n * STEP + 8, label: "Weight and influence of each key" }, (p, state, now, change) => {
        const keys = now.words.length, most = Math.max(...now.moved, 1e-12);
        const press = (j) => change({ removed: state.removed === j ? null : j });
        const cell = pressable(keys, 1, focus, press, (j) => `${state.removed === j ? "put back" : "remove"} ${now.words[j]}`);
        p.title(row(state.row).model, "given");
        p.text("weight", 74, 36, ["weight"], { class: "small" });
        p.text("influence", 260, 36, ["move without the key"], { class: "small" });
        now.words.forEach((word, j) => {
          const y = TOP + STEP * j, gone = state.removed === j;
          p.text(`word ${j}`, 66, y + 12, word, { class: `end ${gone ? "label" : j === now.heaviest || j === now.strongest ? "strong" : ""}`, "text-decoration": gone ? "line-through" : "none" });
          p.rect(`track ${j}`, 74, y + 2, 124, 12, { class: "track" });
          p.rect(`ghost ${j}`, 74, y + 2, 124 * now.weights[j], 12, { class: "query pale" });
          p.rect(`bar ${j}`, 74, y + 2, 124 * now.rest[j], 12, { class: "query" });
          p.text(`weight ${j}`, 244, y + 12, [num(`weight ${j}`, now.rest[j])], { class: j === now.heaviest ? "strong end" : "end" });
          p.rect(`track 2 ${j}`, 260, y + 2, 124, 12, { class: "track" });
          p.rect(`moved ${j}`, 260, y + 2, 124 * (now.moved[j] / most), 12, { class: "output" });
          p.text(`moved is ${j}`, 430, y + 12, [num(`influence ${j}`, now.moved[j])], { class: j === now.strongest ? "strong end" : "end" });
          p.rect(`press ${j}`, 0, y - 1, 430, STEP - 1, { fill: "transparent", ...cell(j, 0) });
        });
      }],
      [{ width: 300, height: TOP + 13 * STEP + 8, label: "Entropy over the temperature" }, (p, state, now) => {
        const most = Math.log(now.words.length), toX = (t) => 4 + 292 * ((Math.log10(t) + 1) / 2), toY = (h) => TOP + 150 * (1 - h / most);
        p.title("Entropy over the temperature");
        p.line("axis", 0, toY(0), 300, toY(0), { class: "axis" });
        p.line("most", 0, toY(most), 300, toY(most), { class: "axis dashed" });
        p.text("most is", 300, toY(most) - 6, ["ln of ", num("keys", now.words.length, 0), " keys: ", num("most", most)], { class: "small end" });
        p.path("curve", range(81).map((i) => 10 ** (-1 + i / 40)).map((t) => [toX(t), toY(entropy(at(state.row, t)))]), { class: "curve thick query" });
        p.circle("here", toX(state.temperature), toY(now.entropy), 7, { class: "query" });
        p.text("cold", 0, toY(0) + 15, ["cold, one key"], { class: "small" });
        p.text("hot", 300, toY(0) + 15, ["hot, uniform"], { class: "small end" });
        p.text("entropy", 0, TOP + 200, ["entropy ", num("entropy", now.entropy), " nats"], { class: "strong" });
        p.text("effective", 300, TOP + 200, [num("effective keys", Math.exp(now.entropy), 2), " effective keys"], { class: "strong end" });
      }],
    ],
    caption: (state, now) => state.removed === null
      ? now.heaviest === now.strongest ? ["Press a key to remove it. In this row the heaviest key is also the one whose removal moves the output most."]
        : ["\u201c", now.words[now.heaviest], "\u201d weighs most; \u201c", now.words[now.strongest], "\u201d moves the output most when it is removed. Press a key to try."]
      : ["Without \u201c", now.words[state.removed], "\u201d, weight ", num("removed weight", now.weights[state.removed]), ", the other weights grow and the output moves by ", num("removed influence", now.moved[state.removed]), "."],
  });
};
