// A drawing: the block of a transformer, whose parts read the residual stream and add to it.

import { figure } from "./figure.js";

const COLUMNS = [["trophy", 52], ["because", 172], ["it", 292]];

export const block = (host) => figure(host, {
  name: "block",
  label: "The block of a transformer: attention and an MLP read the residual stream and add to it; only attention moves anything between tokens",
  state: {},
  panels: [
    [{ width: 372, height: 356, label: "Three tokens, one block" }, (p) => {
      p.title("One block of a transformer");
      for (const [word, x] of COLUMNS) p.arrow(`stream ${word}`, x, 322, x, 34, { class: "soft" });
      p.rect("attention", 10, 206, 352, 66, { class: "track", rx: 10 });
      for (const [word, x] of COLUMNS) {
        p.text(`word ${word}`, x, 342, [word], { class: "strong middle" });
        for (const [name, y] of [["add", 180], ["add 2", 78]]) {
          p.circle(`${name} ${word}`, x, y, 9, { class: "card" });
          p.text(`${name} plus ${word}`, x, y + 5, ["+"], { class: "strong middle" });
        }
        p.arrow(`out ${word}`, x + 34, 206, x + 10, 184, { class: "output" });
        p.rect(`mlp ${word}`, x + 14, 108, 54, 32, { class: "track", rx: 8 });
        p.text(`mlp words ${word}`, x + 41, 129, ["MLP"], { class: "strong middle" });
        p.arrow(`mlp out ${word}`, x + 36, 108, x + 10, 83, { class: "output" });
        p.arrow(`mlp in ${word}`, x, 160, x + 30, 143, { class: "soft" });
      }
      p.text("words", 186, 229, ["attention: each row reads others"], { class: "strong middle" });
      p.arrow("read 1", 62, 252, 282, 252, { class: "query" });
      p.arrow("read 2", 182, 262, 282, 262, { class: "query" });
      p.text("stream", 300, 46, ["residual"], { class: "small" });
      p.text("stream 2", 300, 59, ["stream"], { class: "small" });
    }],
  ],
});
