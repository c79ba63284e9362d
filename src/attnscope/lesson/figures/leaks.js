// Page 9: change one token, and see which rows move. Some functions that claim to be causal have a bug.

import { both, causal, difference, maskedLate, mix, norm, range, scores, softmax, sum } from "./attention.js";
import { choice, pressable, slider } from "./controls.js";
import { num, whole } from "./draw.js";
import { figure } from "./figure.js";

const [TOP, SIZE] = [80, 17];
const FUNCTIONS = {
  honest: "right",
  ahead: "one key too many",
  forgets: "a mask replaces causal",
  late: "mask after the softmax",
  padding: "padding is not hidden",
};
const CAPTIONS = {
  honest: "A row moves only with tokens that it may see.",
  ahead: "Each row sees the token after it: the first diagonal above leaks.",
  forgets: "Given a padding mask, the function forgets the causal one. Without padding it looks right.",
  late: "Every hidden token still sits in the sum that each row was divided by.",
  padding: "The causal mask is right, but padded tokens are read like all others.",
};

export const leaks = (host, data) => {
  const n = data.words.length, focus = { at: [5, 5] };
  const real = (state, j) => ({ none: true, right: j < n - data.padded, left: j >= data.padded })[state.padding];
  const allowed = (state) => (i, j) => causal(i, j) && real(state, j);
  const visible = (state) => ({
    honest: allowed(state), late: allowed(state),
    ahead: (i, j) => j <= i + 1 && real(state, j),
    forgets: state.padding === "none" ? causal : (_, j) => real(state, j),
    padding: causal,
  })[state.bug];
  const run = (state, key, value) => scores(data.query, key).map((row, i) => {
    const seen = row.map((_, j) => visible(state)(i, j));
    return mix(state.bug === "late" ? maskedLate(row, seen) : softmax(row, seen), value);
  });

  return figure(host, {
    name: "leaks",
    label: "The perturbation test: which rows of a causal function move when one token is changed",
    state: { bug: "ahead", padding: "none", token: 5 },
    controls: [
      choice("bug", "function", Object.entries(FUNCTIONS)),
      choice("padding", "padding", [["none", "none"], ["right", "right"], ["left", "left"]]),
      slider("token", "change", { min: 0, max: n - 1, show: (j) => data.words[j] }),
    ],
    compute: (state) => {
      const before = run(state, data.key, data.value);
      const moved = range(n).map((j) => {
        const change = (rows) => rows.map((row, each) => (each === j ? row.map((x) => x + 1) : row));
        return run(state, change(data.key), change(data.value)).map((row, i) => norm(difference(row, before[i])));
      });
      const counts = (i) => real(state, i); // what a padded row returns is not read
      const leak = (i, j) => counts(i) && !allowed(state)(i, j) && moved[j][i] > 1e-9;
      return { moved, leak, counts, all: sum(range(n).map((i) => range(n).filter((j) => leak(i, j)).length)) };
    },
    panels: [
      [{ width: 350, height: TOP + n * SIZE + 8, label: "Which row moves with which token" }, (p, state, now, change) => {
        const words = data.words.map((word, j) => (real(state, j) ? word : "(pad)"));
        const cell = pressable(n, n, focus, (i, j) => change({ token: j }), (i, j) => `row ${words[i]}, token ${words[j]} ${now.moved[j][i] > 1e-9 ? "moves it" : "does not move it"}`);
        p.title("Rows that move, for each changed token");
        p.grid("moved", 78, TOP, SIZE, n, n, (i, j) => ({
          class: now.leak(i, j) ? "alarm" : now.moved[j][i] > 1e-9 && now.counts(i) ? "query" : "track",
          "fill-opacity": j === state.token ? 1 : 0.45, ...cell(i, j),
        }), { columns: words, rows: words });
        p.rect("column", 77 + SIZE * state.token, TOP - 1, SIZE, SIZE * n + 1, { class: "chosen through", fill: "none" });
      }],
      [{ width: 330, height: TOP + n * SIZE + 8, label: "How far each row moves" }, (p, state, now) => {
        const mine = now.moved[state.token], most = Math.max(...mine.filter((_, i) => now.counts(i)), 1e-12);
        p.title(`Token \u201c${real(state, state.token) ? data.words[state.token] : "(pad)"}\u201d was changed`);
        p.text("head", 330, 66, ["the row moves by"], { class: "small end" });
        mine.forEach((each, i) => {
          const y = TOP + SIZE * i, leak = now.leak(i, state.token);
          p.text(`word ${i}`, 66, y + 12, [real(state, i) ? data.words[i] : "(pad)"], { class: `end ${leak ? "alarm" : "label"}` });
          p.rect(`track ${i}`, 76, y + 2, 190, 12, { class: "track" });
          if (!now.counts(i)) return;
          p.rect(`bar ${i}`, 76, y + 2, 190 * Math.min(1, each / most), 12, { class: leak ? "alarm" : "query" });
          p.text(`moved ${i}`, 330, y + 12, [num(`moved ${i}`, each)], { class: leak ? "alarm end" : "end label" });
        });
      }],
    ],
    caption: (state, now) => [`${CAPTIONS[state.bug]} `, whole("leaks", now.all), now.all === 1 ? " leak" : " leaks", " in all."],
  });
};
