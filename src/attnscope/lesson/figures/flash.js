// Page 8: tiles of keys taken one at a time: running maximum, sum and output; numbers moved and held beside attention written out.

import { logsumexp, mix, online, range, scores, softmax } from "./attention.js";
import { slider, steps } from "./controls.js";
import { num, shade, whole } from "./draw.js";
import { figure } from "./figure.js";

const TOP = 30;
const BLOCKS = [2, 3, 4, 6];

export const flash = (host, data) => {
  const [n, d] = [data.query.length, data.query[0].length];
  const all = scores(data.query, data.key);
  const blocks = (state) => Math.ceil(n / state.block);
  // Tile t is block of queries t / blocks, block of keys t % blocks: queries in the outer loop
  const tile = (state, t) => [Math.floor(t / blocks(state)), t % blocks(state)];
  const rowsOf = (state, b) => range(n).slice(b * state.block, (b + 1) * state.block);

  return figure(host, {
    name: "flash",
    label: "FlashAttention on twelve tokens: tiles of scores taken one at a time, and what is kept of a row",
    state: { step: 4, block: 4, row: 7 },
    controls: [
      steps("step", "tiles taken", (state) => blocks(state) ** 2 + 1),
      slider("block", "keys in a block", { min: 0, max: 3, of: (place) => BLOCKS[place], to: (block) => BLOCKS.indexOf(block) }),
      slider("row", "row", { min: 0, max: n - 1 }),
    ],
    compute: (state) => {
      const count = blocks(state), step = Math.min(state.step, count * count);
      const mine = Math.floor(state.row / state.block), done = Math.min(count, Math.max(0, step - mine * count));
      let kept = { m: -Infinity, z: 0, a: data.value[0].map(() => 0), shrink: 1 };
      for (const b of range(done)) {
        const keys = rowsOf(state, b);
        kept = online(kept, keys.map((j) => all[state.row][j]), keys.map((j) => data.value[j]));
      }
      // Numbers moved so far: each block of queries in, its outputs out; per tile a block of keys and of values
      const finished = Math.floor(step / count), begun = Math.min(count, Math.ceil(step / count));
      const moved = begun * state.block * d + finished * state.block * d + step * 2 * state.block * d;
      return { step, done, count, kept, moved, held: state.block * state.block + 2 * state.block, textbook: 4 * n * d + 4 * n * n,
        right: mix(softmax(all[state.row]), data.value), logsumexp: logsumexp(all[state.row]) };
    },
    panels: [
      [{ width: 270, height: TOP + 262, label: "The scores, tile by tile" }, (p, state, now) => {
        const size = 20, low = Math.min(...all.flat()), high = Math.max(...all.flat());
        p.title("Scores, in tiles");
        p.grid("scores", 16, TOP + 4, size, n, n, (i, j) => {
          const t = Math.floor(i / state.block) * now.count + Math.floor(j / state.block), [taken, here] = [t < now.step, t === now.step - 1];
          return { class: taken ? shade(0.12 + 0.88 * (all[i][j] - low) / (high - low)) : "track", "fill-opacity": here ? 1 : taken ? 0.35 : 1 };
        });
        if (now.step > 0) {
          const [qb, kb] = tile(state, now.step - 1), wide = (b) => size * rowsOf(state, b).length;
          p.rect("tile", 15 + size * state.block * kb, TOP + 3 + size * state.block * qb, wide(kb) + 1, wide(qb) + 1, { class: "chosen through", fill: "none" });
        }
        p.circle("row", 6, TOP + 14 + size * state.row, 5, { class: "query" });
      }],
      [{ width: 300, height: TOP + 262, label: "What is kept of the chosen row" }, (p, state, now) => {
        const { m, z, a, shrink } = now.kept, x = 178;
        p.title("Kept of the row");
        const lines = [
          ["running maximum m", now.done ? [num("m", m)] : ["\u2212\u221e"]],
          ["old sums times e^(m \u2212 m new)", now.done ? [num("shrink", shrink)] : ["\u2013"]],
          ["running sum z", [num("z", z)]],
        ];
        lines.forEach(([words, parts], i) => {
          p.text(`words ${i}`, 0, TOP + 18 + 24 * i, [words], { class: "label" });
          p.text(`number ${i}`, 300, TOP + 18 + 24 * i, parts, { class: "strong end" });
        });
        p.text("output", 0, TOP + 102, ["output so far, a / z"], { class: "label" });
        p.text("final", 300, TOP + 102, ["line: all keys at once"], { class: "small end" });
        a.forEach((each, c) => {
          const y = TOP + 116 + 26 * c, now_ = now.done ? each / z : 0, wide = (v) => Math.abs(v) * 62, left = (v) => x - (v < 0 ? wide(v) : 0);
          p.rect(`track ${c}`, x - 100, y, 200, 16, { class: "track" });
          p.rect(`so far ${c}`, left(now_), y, wide(now_), 16, { class: "output" });
          p.line(`right ${c}`, x + now.right[c] * 62, y - 3, x + now.right[c] * 62, y + 19, { class: "line thick" });
          p.text(`so far is ${c}`, 66, y + 13, now.done ? [num(`output ${c}`, now_, 2)] : ["\u2013"], { class: "end" });
        });
        const all = now.done === now.count;
        p.text("lse", 0, TOP + 244, all ? ["done: m + ln z = ", num("logsumexp", m + Math.log(z)), ", as all at once"]
          : [whole("seen", now.done), " of ", whole("blocks", now.count), " blocks of keys seen"], { class: all ? "strong" : "label" });
      }],
      [{ width: 230, height: TOP + 262, label: "Numbers moved and held" }, (p, state, now) => {
        const high = (v) => 150 * Math.min(1, v / 1500);
        p.title("Moved, and held");
        const bars = [["tiles", now.moved, "query", 0], ["written out", now.textbook, "alarm", 62], ["tiles", now.held, "query", 140], ["written out", n * n, "alarm", 186]];
        bars.forEach(([words, value, role, x], i) => {
          p.rect(`bar ${i}`, x, TOP + 178 - high(value), 34, high(value), { class: role });
          p.text(`value ${i}`, x + 17, TOP + 170 - high(value), [whole(`${i < 2 ? "moved" : "held"} ${words}`, value)], { class: "middle" });
          p.text(`words ${i}`, x + 17, TOP + 195, [words], { class: "small middle" });
        });
        p.text("moved", 48, TOP + 216, ["numbers moved"], { class: "label middle" });
        p.text("held", 180, TOP + 216, ["scores held"], { class: "label middle" });
        p.line("axis", 0, TOP + 178, 230, TOP + 178, { class: "axis" });
      }],
    ],
    caption: (state, now) => [
      now.done === 0 ? "The chosen row has seen no key yet." : now.done < now.count ? "The output so far is exact attention over the keys that were seen." : "All keys were seen: the output is that of attention written out, though no row of scores was ever whole.",
    ],
  });
};
