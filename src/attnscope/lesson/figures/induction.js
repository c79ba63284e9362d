// Page 10: the two heads of induction, step by step, in a model that was trained; and what is lost without them.

import { range } from "./attention.js";
import { choice, steps } from "./controls.js";
import { num, whole } from "./draw.js";
import { figure } from "./figure.js";

const [TOP, STEP] = [36, 17];
const TITLES = [
  "The text, as the model reads it",
  "Layer 0, row of [B]: the previous-token head",
  "Layer 1, row of the second [A]: an induction head",
  "The prediction",
];

export const induction = (host, data) => {
  const n = data.words.length, { a, b, last } = data;
  return figure(host, {
    name: "induction",
    label: "An induction head in a trained model: which row reads which, and the prediction with and without each head",
    state: { step: 2, ablate: "none" },
    controls: [
      steps("step", "the story", () => TITLES.length, 2200),
      choice("ablate", "take out", Object.keys(data.predictions).map((name) => [name, name === "none" ? "nothing" : name])),
    ],
    compute: ({ ablate }) => ({ top: data.predictions[ablate] }),
    panels: [
      [{ width: 400, height: TOP + n * STEP + 28, label: "The tokens, and which of them a row reads" }, (p, { step, ablate }) => {
        const y = (i) => TOP + STEP * (i + 0.5), heads = step === 1 ? ["previous word"] : ["one induction head", "all induction heads"];
        const row = step === 1 ? b : last, weights = step === 1 ? data.previous : data.induction;
        p.title(TITLES[step], "given");
        data.words.forEach((word, i) => {
          const role = { [a]: "[A]", [b]: "[B]", [last]: "[A]" }[i];
          const known = role && (step > 0 || i === last);
          p.text(`word ${i}`, 178, y(i) + 4, word, { class: known ? "strong" : "label" });
          if (known) p.text(`role ${i}`, 168, y(i) + 4, [role], { class: "end small" });
        });
        if (step === 1 || step === 2) {
          const out = heads.includes(ablate);
          weights.forEach((w, j) => {
            const [x1, far] = [step === 1 ? 140 : 262, 16 + 5.2 * Math.abs(row - j)];
            const side = step === 1 ? -1 : 1, bend = x1 + side * Math.min(far, 118);
            if (w < 0.02) return;
            p.mark("path", `reads ${j}`, { d: `M${x1} ${y(row)}C${bend} ${y(row)} ${bend} ${y(j)} ${x1} ${y(j)}`, class: `curve ${out ? "dashed" : "query"}`, style: `stroke-width:${(0.5 + 6 * w).toFixed(2)}` });
            p.text(`weight ${j}`, step === 1 ? 4 : 392, y(j) + 4, [num(`weight ${j}`, w, 2)], { class: step === 1 ? "small" : "small end" });
          });
          p.circle("row", step === 1 ? 140 : 262, y(row), 5, { class: out ? "soft" : "query" });
        }
        if (step === 3) p.text("next", 262, y(last) + 4, ["\u2192 ", now_word(data, ablate)], { class: "strong" });
      }],
      [{ width: 320, height: TOP + n * STEP + 28, label: "The next word" }, (p, { ablate }, now) => {
        p.title(`Next word after \u201c${data.words.slice(-2).join(" ")}\u201d`);
        now.top.forEach(([word, chance], i) => {
          const y = 32 + 29 * i;
          p.text(`word ${i}`, 0, y + 12, [word], { class: word === data.words[b] ? "strong" : "" });
          p.rect(`track ${i}`, 96, y + 1, 160, 13, { class: "track" });
          p.rect(`bar ${i}`, 96, y + 1, 160 * chance, 13, { class: word === data.words[b] ? "output" : "w8" });
          p.text(`chance ${i}`, 320, y + 12, [num(`chance ${word}`, chance)], { class: "end" });
        });
        p.text("loss", 0, 192, ["second reading of ", whole("texts", data.texts), " shuffled texts"], { class: "small" });
        Object.entries(data.losses).forEach(([name, loss], i) => {
          const y = 206 + 25 * i, wide = (200 * loss) / Math.max(...Object.values(data.losses));
          p.text(`name ${i}`, 0, y + 10, [name === "none" ? "with all heads" : `without ${name}`], { class: name === ablate ? "strong" : "label" });
          p.rect(`loss ${i}`, 0, y + 14, wide, 6, { class: name === ablate ? "output" : "soft" });
          p.text(`loss is ${i}`, 320, y + 14, ["loss ", num(`loss ${name}`, loss, 2)], { class: name === ablate ? "strong end" : "end label" });
        });
      }],
    ],
    caption: ({ step, ablate }, now) => [[
      "The last word stood in this text before. What came after it then?",
      "Long before the second [A], the row of [B] looks one back and notes which word stood before it.",
      "The row of the second [A] looks for rows which note that they stood after an [A]. It finds the row of [B].",
      "What it finds there is copied.",
    ][step], ablate === "none" ? "" : ` Without ${ablate === "previous word" ? "the previous-token head" : ablate}, the chance of \u201c${data.words[b]}\u201d is `, ...(ablate === "none" ? [] : [num("without", now.top.find(([word]) => word === data.words[b])?.[1] ?? 0), "."])],
  });
};

const now_word = (data, ablate) => data.predictions[ablate][0][0];
