// Page 10: a prompt of a real model in segments, where its layers look while it answers, and one segment knocked out.

import { range } from "./attention.js";
import { choice, slider } from "./controls.js";
import { num, shade } from "./draw.js";
import { figure } from "./figure.js";

const TOP = 34;

export const segments = (host, data) => {
  const names = data.segments.map(([name]) => name);
  return figure(host, {
    name: "segments",
    label: `Where the layers of ${data.model} look while it answers, by segment of the prompt; and the answer without a segment`,
    state: { layer: data.layer, out: "nothing" },
    controls: [
      slider("layer", "layer", { min: 0, max: data.mass.length - 1 }),
      choice("out", "knock out", Object.keys(data.answers).map((name) => [name, name])),
    ],
    compute: ({ layer, out }) => ({ mass: data.mass[layer], answer: data.answers[out] }),
    panels: [
      [{ width: 420, height: 330, label: "The prompt" }, (p, { out }, now) => {
        p.title(`A prompt for ${data.model}`);
        let y = TOP;
        data.segments.forEach(([name, lines], i) => {
          const gone = out === name, tall = 17 * lines.length + 8;
          p.rect(`back ${i}`, 84, y, 336, tall, { class: "track" });
          p.rect(`mass ${i}`, 0, y + tall / 2 - 7, 76 * now.mass[i], 14, { class: gone ? "soft" : "query" });
          p.text(`mass is ${i}`, 0, y + tall / 2 - 11, [num(`mass ${name}`, now.mass[i])], { class: "small" });
          p.text(`name ${i}`, 414, y + 16, [name], { class: "small end" });
          lines.forEach((line, k) => p.text(`line ${i} ${k}`, 92, y + 18 + 17 * k, line, { class: gone ? "label" : "", "text-decoration": gone ? "line-through" : "none" }));
          y += tall + 8;
        });
      }],
      [{ width: 380, height: 330, label: "Every layer, and the answer" }, (p, { layer, out }, now, change) => {
        p.title("Weight of the answering row, by layer");
        const [left, wide] = [30, 330 / data.mass.length];
        data.mass.forEach((mass, l) => {
          let bottom = 180;
          mass.forEach((share, i) => {
            const high = 140 * share;
            bottom -= high;
            p.rect(`share ${l} ${i}`, left + wide * l, bottom, wide - 2, high, { class: shade(0.12 + (0.88 * i) / (names.length - 1)), "fill-opacity": l === layer ? 1 : 0.6, onclick: () => change({ layer: l }) });
          });
        });
        p.rect("here", left + wide * layer - 1, 39, wide, 142, { class: "chosen through", fill: "none" });
        p.text("first", left, 196, ["first layer"], { class: "small" });
        p.text("last", 360, 196, ["last layer"], { class: "small end" });
        names.forEach((name, i) => {
          const [x, y] = [130 * (i % 3), 214 + 18 * Math.floor(i / 3)];
          p.rect(`key ${i}`, x, y - 9, 11, 11, { class: shade(0.12 + (0.88 * i) / (names.length - 1)) });
          p.text(`key word ${i}`, x + 17, y, [name], { class: "label" });
        });
        p.text("answers", 0, 268, [out === "nothing" ? "The model answers:" : `Without the ${out}, it answers:`], { class: "label" });
        p.text("answer", 0, 288, [`\u201c${now.answer.text}\u201d`], { class: "strong" });
        p.text("chance", 0, 312, [`chance of \u201c${data.expected}\u201d: `, num("chance", now.answer.chance)], {});
      }],
    ],
    says: ({ layer, out }, now) => [
      out === "nothing" ? "The bars show on which segment the answering row lies, averaged over the heads of a layer." : `The ${out} is hidden from every row behind it, in all layers. `,
      ...(out === "nothing" ? [] : ["The chance of the right answer is ", num("chance now", now.answer.chance), ", and was ", num("chance before", data.answers.nothing.chance), "."]),
    ],
  });
};
