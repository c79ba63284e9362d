// Page 2: what 1 / sqrt(d) is for. One row of sixteen scores, its weights, and the slope that is left.

import { entropy, range, softmax, sum } from "./attention.js";
import { choice, slider } from "./controls.js";
import { num, shade } from "./draw.js";
import { figure } from "./figure.js";

const [WIDTH, TOP, HEIGHT] = [270, 30, 190];
const spread = (row) => {
  const mean = sum(row) / row.length;
  return Math.sqrt(sum(row.map((each) => (each - mean) ** 2)) / row.length);
};

export const scale = (host, data) => figure(host, {
  name: "scale",
  label: "Scores, weights and slopes of one row of sixteen keys, for heads of 1 to 1,024 numbers, with and without the scale",
  state: { d: 64, scaled: "plain" },
  controls: [
    slider("d", "numbers in a head, d", { min: 0, max: 10, of: (place) => 2 ** place, to: (d) => Math.log2(d) }),
    choice("scaled", "scale", [["plain", "1"], ["root", "1/\u221ad"], ["width", "1/d"]]),
  ],
  compute: ({ d, scaled }) => {
    const factor = { plain: 1, root: d ** -0.5, width: 1 / d }[scaled];
    const scores = data.dots[Math.log2(d)].map((each) => factor * each);
    const weights = softmax(scores);
    const slopes = weights.map((w) => w * (1 - w));
    return { scores, weights, slopes, spread: spread(scores), steepest: Math.max(...slopes), effective: Math.exp(entropy(weights)) };
  },
  panels: [
    [{ width: WIDTH, height: TOP + HEIGHT + 34, label: "The scores" }, (p, state, now) => {
      const toX = (score) => WIDTH / 2 + (Math.max(-90, Math.min(90, score)) / 90) * (WIDTH / 2 - 8);
      p.title("Scores");
      p.rect("spread", toX(-now.spread), TOP, toX(now.spread) - toX(-now.spread), HEIGHT, { class: "area" });
      p.line("axis", 0, TOP + HEIGHT, WIDTH, TOP + HEIGHT, { class: "axis" });
      p.line("zero", toX(0), TOP, toX(0), TOP + HEIGHT, { class: "axis" });
      for (const tick of [-80, -40, 0, 40, 80]) p.text(`tick ${tick}`, toX(tick), TOP + HEIGHT + 15, [String(tick).replace("-", "\u2212")], { class: "small middle given" });
      now.scores.forEach((score, j) => p.circle(`score ${j}`, toX(score), TOP + 12 + j * (HEIGHT - 24) / 15, 5, { class: "key" }));
      p.text("spread is", 0, TOP + HEIGHT + 34, ["spread ", num("spread", now.spread, 2)], { class: "strong" });
    }],
    [{ width: WIDTH, height: TOP + HEIGHT + 34, label: "The weights" }, (p, state, now) => {
      p.title("Weights");
      p.line("axis", 0, TOP + HEIGHT, WIDTH, TOP + HEIGHT, { class: "axis" });
      for (const j of range(16)) {
        p.rect(`track ${j}`, j * 17, TOP, 13, HEIGHT, { class: "track" });
        p.rect(`bar ${j}`, j * 17, TOP + HEIGHT * (1 - now.weights[j]), 13, HEIGHT * now.weights[j], { class: shade(0.4 + 0.6 * now.weights[j]) });
      }
      p.text("largest is", 0, TOP + HEIGHT + 34, ["largest ", num("largest", Math.max(...now.weights))], { class: "strong" });
      p.text("effective is", WIDTH, TOP + HEIGHT + 34, [num("effective keys", now.effective, 1), " effective keys"], { class: "end label" });
    }],
    [{ width: WIDTH, height: TOP + HEIGHT + 34, label: "The steepest slope, over the size of the head" }, (p, state, now) => {
      const toX = (d) => 8 + (Math.log2(d) / 10) * (WIDTH - 16), toY = (slope) => TOP + HEIGHT * (1 - slope / 0.25);
      const names = { plain: "alarm", root: "query", width: "value" };
      p.title("Steepest slope w(1 \u2212 w)", "given");
      p.line("axis", 0, TOP + HEIGHT, WIDTH, TOP + HEIGHT, { class: "axis" });
      p.line("top", 0, TOP, WIDTH, TOP, { class: "axis dashed" });
      for (const d of [1, 8, 64, 512]) p.text(`tick ${d}`, toX(d), TOP + HEIGHT + 15, [`d = ${d}`], { class: `small given ${d === 1 ? "" : "middle"}` });
      for (const [name, role] of Object.entries(names)) {
        p.path(name, data.slopes[name].map((slope, i) => [toX(2 ** i), toY(slope)]), { class: `curve thick ${role}`, opacity: name === state.scaled ? 1 : 0.35 });
      }
      p.circle("here", toX(state.d), toY(now.steepest), 7, { class: names[state.scaled] });
      p.text("slope is", 0, TOP + HEIGHT + 34, ["this row ", num("steepest", now.steepest)], { class: "strong" });
      p.text("median", WIDTH, TOP + HEIGHT + 34, ["median row ", num("median", data.slopes[state.scaled][Math.log2(state.d)])], { class: "end label" });
    }],
  ],
  caption: ({ d, scaled }, now) => ({
    plain: ["Unscaled, the spread of the scores grows like \u221ad. ", ...(now.steepest < 0.05 ? ["The softmax is saturated: one key takes ", num("best", Math.max(...now.weights)), ", and hardly any gradient is left."] : ["Move d up and watch the softmax saturate."])],
    root: ["Divided by \u221ad, the spread stays near one for every d, and the slope settles."],
    width: [d < 8 ? "Divided by d: for small heads it makes little difference." : "Divided by d, wide heads see hardly any difference between keys: every weight is nearly the same."],
  })[scaled],
});
