// Page 10: a prompt of a real model in segments, where its layers look while it answers, and one segment knocked out.

import { range } from "./attention.js";
import { choice, slider } from "./controls.js";
import { num, shade } from "./draw.js";
import { figure } from "./figure.js";

const TOP = 34;

export const segments = (host, data) => {
  const names = ["<bos>", ...data.segments.map(([name]) => name)];
  const tint = (i) => shade(0.1 + (0.9 * i) / (names.length - 1));
  return figure(host, {
    name: "segments",
    label: `Where the layers of ${data.model} look while it answers, by segment of the prompt; and the answer without a segment`,
    state: { layer: 9, out: "nothing" },
    controls: [
      choice("out", "hide", Object.keys(data.answers).map((name) => [name, name])),
      slider("layer", "layer", { min: 0, max: data.mass.length - 1 }),
    ],
    compute: ({ layer, out }) => ({ mass: data.mass[layer], answer: data.answers[out] }),
    panels: [
      [{ width: 400, height: 326, label: "The prompt, and the weight of each segment" }, (p, { out }, now) => {
        p.title(`A prompt of ${data.model}`, "given");
        names.forEach((name, i) => {
          const y = TOP + 42 * i, gone = out === name;
          p.rect(`back ${i}`, 70, y, 330, 34, { class: "track", rx: 6 });
          p.rect(`mark ${i}`, 70, y, 6, 34, { class: tint(i), rx: 0 });
          p.text(`mass is ${i}`, 62, y + 13, [num(`mass ${name}`, now.mass[i])], { class: "end" });
          p.rect(`mass ${i}`, 62 - 60 * now.mass[i], y + 19, 60 * now.mass[i], 9, { class: "query" });
          p.text(`line ${i}`, 84, y + 22, [i ? data.segments[i - 1][1] : "the first token, which every model adds"], { class: gone || !i ? "label" : "", "text-decoration": gone ? "line-through" : "none" });
        });
      }],
      [{ width: 380, height: 326, label: "Every layer, and the answer" }, (p, { layer, out }, now, change) => {
        p.title("Where the answering row looks, by layer");
        const wide = 360 / data.mass.length;
        data.mass.forEach((mass, l) => {
          let bottom = 176;
          mass.forEach((share, i) => {
            const high = 138 * share;
            bottom -= high;
            p.rect(`share ${l} ${i}`, wide * l, bottom, wide - 2, high, { class: tint(i), rx: 0, "fill-opacity": l === layer ? 1 : 0.65, onclick: () => change({ layer: l }) });
          });
        });
        p.rect("here", wide * layer - 1, 37, wide, 140, { class: "chosen through", fill: "none" });
        p.text("first", 0, 192, ["first layer"], { class: "small" });
        p.text("last", 360, 192, ["last layer"], { class: "small end" });
        p.text("answer", 0, 226, [out === "nothing" ? "Its next word: " : "Its next word now: ", `\u201c${now.answer.word}\u201d`], { class: "strong" });
        [["right", "Lisbon, from the passage", "query"], ["planted", "Paris, from the note", "alarm"]].forEach(([name, words, role], i) => {
          const y = 248 + 36 * i;
          p.text(`${name} words`, 0, y, [words], { class: "label" });
          p.rect(`${name} track`, 0, y + 7, 310, 10, { class: "track" });
          p.rect(`${name} bar`, 0, y + 7, 310 * now.answer[name], 10, { class: role });
          p.text(`${name} is`, 372, y + 16, [num(`chance ${name}`, now.answer[name])], { class: "strong end" });
        });
      }],
    ],
    caption: ({ out }, now) => ({
      nothing: ["The note is data, and the answer follows it: nothing in the mathematics tells an instruction from a passage."],
      rule: ["The rule is hidden, and hardly anything changes: it was not what kept the model from saying Lisbon."],
      note: ["Hidden from every row after it, the note has no effect: the passage is copied, with a chance of ", num("now right", now.answer.right), "."],
      trophy: ["Without the passage there is nothing to copy: the chance of Lisbon falls to ", num("now right", now.answer.right), "."],
    })[out] ?? [`The ${out} is hidden from every row after it, in all layers. The chance of Lisbon is `, num("now right", now.answer.right), "."],
  });
};
