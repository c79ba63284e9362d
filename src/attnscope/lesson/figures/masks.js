// Page 3: scores, mask and weights in sequence. Cells of the mask are pressed, or a kind is chosen.

import { both, causal, difference, inWindow, maskedLate, mix, norm, ofLength, range, sameDocument, softmax, sum, table } from "./attention.js";
import { choice, pressable, slider, toggle } from "./controls.js";
import { num, shade } from "./draw.js";
import { figure } from "./figure.js";

const [TOP, SIZE] = [80, 15];

export const masks = (host, data) => {
  const n = data.words.length;
  const kinds = {
    none: () => true, causal, padding: both(causal, ofLength(data.length)),
    window: inWindow(data.left), documents: both(causal, sameDocument(data.documents)),
  };
  const cells = (kind) => table(n, kinds[kind]);
  const words = (state) => data.words.map((word, j) => (state.mask === "padding" && j >= data.length ? "(pad)" : word));
  const focus = { at: [10, 1] }, right = 8 + SIZE * n; // where the weights end
  const labels = (state, rows) => ({ columns: words(state), rows: rows ? words(state) : undefined });
  const low = Math.min(...data.scores.flat()), high = Math.max(...data.scores.flat());

  return figure(host, {
    name: "masks",
    label: "The scores of a sentence, a mask, and the weights that follow",
    state: { mask: "causal", cells: cells("causal"), late: false, row: 10 },
    controls: [
      (change, current) => choice("mask", "mask", [["none", "none"], ["causal", "causal"], ["padding", "padding"], ["window", `window of ${data.left + 1}`], ["documents", "two documents"], ["own", "your own"]])(
        ({ mask }) => change({ mask, cells: mask === "own" ? current().cells : cells(mask) }), current),
      slider("row", "row", { min: 0, max: n - 1, show: (row) => data.words[row] }),
      toggle("late", "mask after the softmax (wrong)"),
    ],
    compute: (state) => {
      const weigh = (row, visible) => (state.late ? maskedLate(row, visible) : softmax(row, visible));
      const weights = data.scores.map((row, i) => weigh(row, state.cells[i]));
      // The leak: raise the score of every hidden key by one, and see how far each row's output moves
      const moved = data.scores.map((row, i) => {
        const changed = row.map((s, j) => s + (state.cells[i][j] ? 0 : 1));
        return norm(difference(mix(weigh(changed, state.cells[i]), data.values), mix(weights[i], data.values)));
      });
      return { weights, moved, sums: weights.map(sum) };
    },
    panels: [
      [{ width: 290, height: TOP + n * SIZE + 26, label: "The scores" }, (p, state) => {
        p.title("Scores");
        p.grid("scores", 70, TOP, SIZE, n, n, (i, j) => ({ class: shade((data.scores[i][j] - low) / (high - low)), "fill-opacity": i === state.row ? 1 : 0.7 }), labels(state, true));
        p.rect("row", 69, TOP - 1 + SIZE * state.row, SIZE * n + 1, SIZE + 1, { class: "chosen through", fill: "none" });
      }],
      [{ width: 226, height: TOP + n * SIZE + 26, label: "The mask: cells can be pressed" }, (p, state, now, change) => {
        const press = (i, j) => change({ mask: "own", row: i, cells: state.cells.map((row, a) => row.map((v, b) => (a === i && b === j ? !v : v))) });
        const cell = pressable(n, n, focus, press, (i, j) => `${data.words[i]} ${state.cells[i][j] ? "sees" : "does not see"} ${data.words[j]}`);
        p.title("Mask: press a cell");
        p.grid("mask", 8, TOP, SIZE, n, n, (i, j) => ({ class: state.cells[i][j] ? "query" : "track", ...cell(i, j) }), labels(state, false));
        p.rect("row", 7, TOP - 1 + SIZE * state.row, SIZE * n + 1, SIZE + 1, { class: "chosen through", fill: "none" });
      }],
      [{ width: 300, height: TOP + n * SIZE + 26, label: "The weights" }, (p, state, now) => {
        p.title("Weights");
        p.text("sums", right + 72, 66, ["sum"], { class: "small end" });
        p.grid("weights", 8, TOP, SIZE, n, n, (i, j) => ({ class: shade(now.weights[i][j] ** 0.7), "fill-opacity": i === state.row ? 1 : 0.7 }), labels(state, false));
        now.sums.forEach((each, i) => {
          p.rect(`sum ${i}`, right + 6, TOP + 3 + SIZE * i, 26 * each, SIZE - 7, { class: Math.abs(each - 1) < 1e-9 ? "query" : each === 0 ? "track" : "alarm" });
          p.text(`sum is ${i}`, right + 72, TOP + 12 + SIZE * i, [num(`sum ${i}`, each, 2)], { class: i === state.row ? "strong end" : "small end" });
        });
        p.rect("row", 7, TOP - 1 + SIZE * state.row, SIZE * n + 1, SIZE + 1, { class: "chosen through", fill: "none" });
        p.text("move", 8, TOP + n * SIZE + 20, ["output moves by ", num("moved", now.moved[state.row])], { class: now.moved[state.row] > 1e-9 ? "alarm" : "label" });
      }],
    ],
    caption: (state, now) => {
      const [hidden, moved] = [state.cells[state.row].some((v) => !v), now.moved[state.row]];
      if (!hidden) return ["Row \u201c", data.words[state.row], "\u201d sees every key, so nothing is hidden from it."];
      if (now.sums[state.row] === 0) return ["Row \u201c", data.words[state.row], "\u201d sees no key: its weights and its output are 0."];
      return moved > 1e-9 ? ["A leak: change the hidden keys, and the output of \u201c", data.words[state.row], "\u201d moves by ", num("leak", moved), ". Its weights sum to ", num("sum", now.sums[state.row]), " only."]
        : ["Change the hidden keys, and the output of \u201c", data.words[state.row], "\u201d does not move. Its weights sum to ", num("sum", now.sums[state.row]), "."];
    },
  });
};
