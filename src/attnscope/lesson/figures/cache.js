// Page 7: prefill, then decode, token by token: what is read, what is kept; and where both stand on the roofline.

import { range } from "./attention.js";
import { slider, steps } from "./controls.js";
import { grouped, num, whole } from "./draw.js";
import { figure } from "./figure.js";

const [TOP, SIZE, PAGE] = [80, 15, 4];

export const cache = (host, data) => {
  const n = data.words.length, { model, hardware } = data;

  // Operations and bytes of a pass, as at.roofline counts them
  function pass(tokens, pairs, read, predicting, batch) {
    const attention = { flops: batch * model.layers * pairs * model.flopsPerPair, bytes: batch * read * model.bytesPerToken };
    const weights = { flops: 2 * batch * (tokens * model.parameters + predicting * model.unembedding), bytes: 2 * (model.parameters + model.unembedding) };
    const written = batch * tokens * model.bytesPerToken;
    const [flops, bytes] = [attention.flops + weights.flops, attention.bytes + weights.bytes + written];
    const seconds = Math.max(flops / hardware.flops, bytes / hardware.bytes);
    return { attention, weights, flops, bytes, seconds, bound: flops / hardware.flops > bytes / hardware.bytes ? "compute" : "memory" };
  }

  return figure(host, {
    name: "cache",
    label: "A sentence is prefilled and decoded with a cache; and both phases on the roofline of a GPU",
    state: { step: 2, batch: 1, context: 8192 },
    controls: [
      steps("step", "prefill and decode", () => n - data.prompt + 1),
      slider("batch", "batch", { min: 0, max: 10, of: (place) => 2 ** place, to: Math.log2, show: grouped }),
      slider("context", "context", { min: 7, max: 17, of: (place) => 2 ** place, to: Math.log2, show: grouped }),
    ],
    compute: ({ step, batch, context }) => ({
      kept: data.prompt + step,
      bytes: (data.prompt + step) * model.bytesPerToken,
      prefill: pass(context, (context * (context + 1)) / 2, context, 1, batch),
      decode: pass(1, context, context, 1, batch),
      all: batch * context * model.bytesPerToken,
    }),
    panels: [
      [{ width: 400, height: TOP + n * SIZE + 88, label: "Which keys each row reads" }, (p, { step }, now) => {
        const last = data.prompt + step - 1;
        p.title(step === 0 ? "Prefill: all rows of the prompt at once" : "Decode: one row, which reads the cache");
        p.grid("reads", 70, TOP, SIZE, n, n, (i, j) => ({
          class: j > i || i > last ? "track" : i === last || step === 0 ? "query" : "query", "fill-opacity": j > i || i > last ? 1 : (step === 0 ? i < data.prompt : i === last) ? 1 : 0.22,
        }), { columns: data.words, rows: data.words });
        const y = TOP + n * SIZE + 30;
        p.text("cache", 62, y + 10, ["cache"], { class: "label end" });
        p.text("pages", 62, y + 30, ["pages"], { class: "label end" });
        for (const j of range(n)) {
          const x = 70 + SIZE * j, kept = j < now.kept;
          p.rect(`k ${j}`, x, y - 4, SIZE - 1, 8, { class: kept ? "key" : "track" });
          p.rect(`v ${j}`, x, y + 5, SIZE - 1, 8, { class: kept ? "value" : "track" });
        }
        for (const page of range(Math.ceil(n / PAGE))) {
          const wide = Math.min(PAGE, n - page * PAGE) * SIZE;
          p.rect(`page ${page}`, 70 + page * PAGE * SIZE, y + 20, wide - 2, 12, { class: "track" });
          p.rect(`used ${page}`, 70 + page * PAGE * SIZE, y + 20, Math.min(wide - 2, (now.kept - page * PAGE) * SIZE), 12, { class: "soft" });
        }
        p.text("bytes", 70, y + 52, [whole("cached tokens", now.kept), " tokens kept: ", whole("cached bytes", now.bytes), " bytes"], { class: "strong" });
        p.circle("k dot", 282, TOP + 8, 5, { class: "key" });
        p.text("k word", 292, TOP + 12, ["keys"], { class: "label" });
        p.circle("v dot", 282, TOP + 28, 5, { class: "value" });
        p.text("v word", 292, TOP + 32, ["values"], { class: "label" });
        p.text("all", 278, TOP + 58, ["read now"], { class: "label" });
        p.text("all are", 278, TOP + 76, [whole("read", step === 0 ? (data.prompt * (data.prompt + 1)) / 2 : now.kept), " pairs"], { class: "strong" });
      }],
      [{ width: 380, height: TOP + n * SIZE + 88, label: "The roofline" }, (p, { batch, context }, now) => {
        const [left, bottom] = [40, TOP + 158], ridge = hardware.flops / hardware.bytes;
        const toX = (intensity) => left + (Math.log10(intensity) + 0.5) * 76, toY = (rate) => bottom - (Math.log10(rate) - 11.5) * 50;
        const roof = (intensity) => Math.min(hardware.flops, intensity * hardware.bytes);
        const most = 10 ** 3.9;
        p.title(`${model.name} on one ${hardware.name}`, "given");
        p.line("x axis", left, bottom, 380, bottom, { class: "axis" });
        p.line("y axis", left, 40, left, bottom, { class: "axis" });
        p.text("y words", 0, 34, ["operations per second"], { class: "small" });
        p.text("x words", 380, bottom + 30, ["operations per byte"], { class: "small end" });
        for (const [tick, place] of [["1", 1], ["10", 10], ["100", 100], ["1,000", 1000]]) p.text(`tick ${tick}`, toX(place), bottom + 14, [tick], { class: "small middle given" });
        for (const [tick, place] of [["1 T", 1e12], ["10 T", 1e13], ["100 T", 1e14]]) p.text(`tick ${tick}`, left - 5, toY(place) + 4, [tick], { class: "small end given" });
        p.path("roof", [0.4, ridge, most].map((i) => [toX(i), toY(roof(i))]), { class: "curve thick" });
        p.line("ridge", toX(ridge), toY(hardware.flops), toX(ridge), bottom, { class: "line dashed faint" });
        p.text("ridge is", toX(ridge), toY(hardware.flops) - 8, ["ridge ", num("ridge", ridge, 0)], { class: "small middle" });
        const spots = [
          ["attention, decode", now.decode.attention, "key"], ["weights, decode", now.decode.weights, "value"],
          ["decode step", now.decode, "output"], ["prefill", now.prefill, "query"],
        ];
        spots.forEach(([name, part, role], i) => {
          const intensity = part.flops / part.bytes, y = bottom + 50 + 19 * i;
          p.circle(name, toX(Math.min(intensity, most)), toY(roof(intensity)), i === 2 || i === 3 ? 7 : 5, { class: role });
          p.circle(`${name} dot`, 6, y - 4, 5, { class: role });
          p.text(`${name} words`, 18, y, [name], { class: "label" });
          p.text(`${name} is`, 178, y, [num(`intensity ${name}`, intensity, intensity < 100 ? 1 : 0)], { class: "end" });
          if (part.seconds) p.text(`${name} takes`, 272, y, [num(`ms ${name}`, part.seconds * 1e3, 2), " ms"], { class: "strong end" });
          if (part.seconds) p.text(`${name} bound`, 380, y, [`${part.bound}-bound`], { class: "end label" });
        });
      }],
    ],
    caption: ({ step, batch, context }, now) => [
      "With ", whole("context", context), " tokens of context and a batch of ", whole("batch", batch), ", the caches take ", num("GiB", now.all / 2 ** 30, 2), " GiB, and a decode step at least ", num("ms", now.decode.seconds * 1e3, 2), " ms: ", num("tokens per second", batch / now.decode.seconds, 0), " tokens per second.",
    ],
  });
};
