// A drawing: the data flow of one head, from top to bottom.

import { figure } from "./figure.js";

const STEPS = [["q \u00b7 k", "a score for each pair"], ["times 1/\u221ad", "keeps the spread near one"], ["mask", "hidden scores become \u2212\u221e"], ["softmax", "each row becomes weights"]];

export const flow = (host) => figure(host, {
  name: "flow",
  label: "The data flow of one head: queries and keys make scores, scale, mask and softmax make weights, weights mix values",
  state: {},
  panels: [
    [{ width: 372, height: 436, label: "One head" }, (p) => {
      const to = (key, ...points) => p.arrow(key, ...points, { class: "soft" });
      const role = (name, key, x, y) => {
        p.rect(`${key} box`, x, y, 74, 34, { class: `${name} pale`, rx: 8 });
        p.rect(`${key} edge`, x, y, 5, 34, { class: name });
      };
      p.title("One head");
      p.rect("x", 140, 32, 92, 34, { class: "track", rx: 8 });
      p.text("x words", 186, 54, ["tokens X"], { class: "strong middle" });
      [["query", "Q = X Wq", 24], ["key", "K = X Wk", 124], ["value", "V = X Wv", 274]].forEach(([name, words, x]) => {
        role(name, name, x, 98);
        p.text(`${name} words`, x + 39, 120, [words], { class: "middle" });
        to(`x ${name}`, 186, 66, x + 37, 96);
      });
      STEPS.forEach(([words, sub], i) => {
        const y = 164 + 48 * i;
        p.rect(`step ${i}`, 24, y, 174, 36, { class: "track", rx: 8 });
        p.text(`words ${i}`, 111, y + 16, [words], { class: "strong middle given" });
        p.text(`sub ${i}`, 111, y + 30, [sub], { class: "small middle" });
        if (i) to(`down ${i}`, 111, y - 12, 111, y - 1);
      });
      to("q dot", 61, 132, 90, 163);
      to("k dot", 161, 132, 132, 163);
      p.rect("mix", 224, 340, 124, 36, { class: "track", rx: 8 });
      p.text("mix words", 286, 363, ["mix the values"], { class: "strong middle" });
      to("weights in", 198, 326, 226, 344);
      p.text("weights", 206, 318, ["weights"], { class: "label" });
      to("v mix", 311, 132, 304, 338);
      role("output", "o", 249, 396);
      p.text("o words", 288, 418, ["output"], { class: "middle" });
      to("mix o", 286, 376, 286, 395);
    }],
  ],
});
