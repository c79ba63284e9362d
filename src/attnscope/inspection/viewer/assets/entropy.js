// The entropy of each token in the chosen head, over its position.

const ENTROPY_HEIGHT = 240;
const ENTROPY_MARGIN = { left: 34, right: 8, top: 10, bottom: 22 };

function showEntropy(data, state) {
  const canvas = document.getElementById("entropy");
  const curveOf = remembering((head, width, height, _theme, _ratio) => entropyCurve(data, head, width, height));
  let width = 0;
  const height = ENTROPY_HEIGHT;
  canvas.style.height = `${height}px`;
  const draw = () => {
    const pen = fresh(canvas, width, height);
    if (!pen) return;
    const curve = curveOf(state.head, width, height, themeNow(), window.devicePixelRatio);
    pen.drawImage(curve.canvas, 0, 0, width, height);
    markToken(pen, data, state.token, height, curve);
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const { left, right } = ENTROPY_MARGIN;
    const share = (event.clientX - box.left - left) / (box.width - left - right);
    return clamp(Math.round(share * (data.count - 1)), data.count);
  };
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") state.set({ token: place(event) });
  });
  canvas.addEventListener("pointerleave", () => state.set({ token: state.pinned }));
  canvas.addEventListener("click", (event) => state.pin(place(event)));
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -50, PageDown: 50, Home: -data.count, End: data.count };
    if (!(event.key in steps)) return;
    event.preventDefault();
    state.pin(clamp(state.token + steps[event.key], data.count));
  });
  onNewWidth(canvas, (found) => {
    width = found;
    draw();
  });
  state.listen((changed) => ["head", "token", "theme"].some((name) => changed.has(name)) && draw());
}

// The part that does not depend on the chosen token, drawn once: {canvas, x, y, values, limit}.
function entropyCurve(data, head, width, height) {
  const canvas = element("canvas");
  const pen = fresh(canvas, width, height);
  const { left, right, top, bottom } = ENTROPY_MARGIN;
  const visible = data.visible[data.heads[head].row];
  const limit = (token) => Math.log(Math.max(visible[token], 1));
  const values = data.entropy.subarray(head * data.count, (head + 1) * data.count);
  const most = Math.max(limit(data.count - 1), limit(data.count >> 1), 1);
  const x = (token) => left + (token / Math.max(data.count - 1, 1)) * (width - left - right);
  const y = (nats) => height - bottom - (nats / most) * (height - top - bottom);
  drawNatAxis(pen, data, { left, right, width, height, most, y });
  line(pen, data.count, x, (token) => y(limit(token)), themed("soft"), [4, 4], 1);
  const buckets = inBuckets(values, width - left - right);
  area(pen, buckets, x, () => y(0), (bucket) => y(bucket.mean), 0.16);
  area(pen, buckets, x, (bucket) => y(bucket.least), (bucket) => y(bucket.most), 0.3);
  const [middle, mean] = [(place) => x(buckets[place].middle), (place) => y(buckets[place].mean)];
  line(pen, buckets.length, middle, mean, themed("accent"), [], 1.5);
  return { canvas, x, y, values, limit };
}

function markToken(pen, data, token, height, { x, y, values, limit }) {
  const { top, bottom } = ENTROPY_MARGIN;
  pen.strokeStyle = pen.fillStyle = themed("by");
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.moveTo(x(token), top);
  pen.lineTo(x(token), height - bottom);
  pen.stroke();
  pen.beginPath();
  pen.arc(x(token), y(values[token]), 4, 0, 2 * Math.PI);
  pen.fill();
  document.getElementById("entropy-value").textContent =
    `token ${token.toLocaleString("en")}: ${number(values[token])} nats of at most ${number(limit(token))}`;
}

function drawNatAxis(pen, data, { left, right, width, height, most, y }) {
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  const step = most > 6 ? 2 : most > 2.5 ? 1 : 0.5;
  for (let nats = 0; nats <= most; nats += step) {
    pen.fillStyle = themed("line");
    pen.fillRect(left, Math.round(y(nats)), width - left - right, 1);
    pen.fillStyle = themed("soft");
    pen.fillText(String(nats), left - 8, y(nats));
  }
  pen.textBaseline = "bottom";
  pen.textAlign = "left";
  pen.fillText("nats over tokens: 0", left, height);
  pen.textAlign = "right";
  pen.fillText((data.count - 1).toLocaleString("en"), width - right, height);
  pen.textAlign = "center";
  pen.fillText(((data.count - 1) >> 1).toLocaleString("en"), left + (width - left - right) / 2, height);
}

// Neighbouring tokens joined if there are more tokens than pixels: their mean and their range.
function inBuckets(values, most) {
  const count = Math.min(values.length, Math.max(Math.floor(most / 2), 1));
  return Array.from({ length: count }, (_none, bucket) => {
    const [first, end] = [bucket, bucket + 1].map((edge) => Math.floor((edge * values.length) / count));
    const within = values.subarray(first, end);
    const sum = within.reduce((one, other) => one + other, 0);
    const [least, most] = [Math.min(...within), Math.max(...within)];
    return { middle: (first + end - 1) / 2, mean: sum / within.length, least, most };
  });
}

function area(pen, buckets, x, low, high, alpha) {
  pen.globalAlpha = alpha;
  pen.fillStyle = themed("accent");
  pen.beginPath();
  buckets.forEach((bucket) => pen.lineTo(x(bucket.middle), high(bucket)));
  [...buckets].reverse().forEach((bucket) => pen.lineTo(x(bucket.middle), low(bucket)));
  pen.fill();
  pen.globalAlpha = 1;
}

function line(pen, count, x, y, colour, dash, thickness) {
  pen.strokeStyle = colour;
  pen.lineWidth = thickness;
  pen.setLineDash(dash);
  pen.beginPath();
  for (let token = 0; token < count; token++) pen.lineTo(x(token), y(token));
  pen.stroke();
  pen.setLineDash([]);
}
