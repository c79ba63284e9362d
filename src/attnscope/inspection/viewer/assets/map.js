// The block map of the chosen head: the weight that blocks of tokens give to blocks of tokens.

function mapMargin(data) {
  return { left: 10 + 6 * (data.count - 1).toLocaleString("en").length, top: 18 };
}

function showMap(data, state) {
  const canvas = document.getElementById("map");
  const [rows, columns] = data.map;
  const margin = mapMargin(data);
  let block = null; // {row, column} under the pointer or the arrow keys
  const squaresOf = remembering((head, _theme) => mapSquares(data, head));
  let width = 0;
  const draw = () => drawMap(canvas, width, data, state, block, squaresOf(state.head, themeNow()));
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const across = (event.clientX - box.left - margin.left) / (box.width - margin.left);
    const down = (event.clientY - box.top - margin.top) / (box.height - margin.top);
    if (across < 0 || down < 0 || across >= 1 || down >= 1) return null;
    return { row: Math.floor(down * rows), column: Math.floor(across * columns) };
  };
  const move = (to) => {
    block = to;
    draw();
  };
  canvas.addEventListener("pointermove", (event) => move(place(event)));
  canvas.addEventListener("pointerleave", () => move(null));
  canvas.addEventListener("click", (event) => {
    const hit = place(event);
    if (hit) state.pin(blockRange(data, rows, hit.row)[1]);
  });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key === "Enter" && block) state.pin(blockRange(data, rows, block.row)[1]);
    if (!(event.key in steps)) return;
    event.preventDefault();
    const from = block || { row: blockOf(data, rows, state.token), column: 0 };
    const [down, across] = steps[event.key];
    move({ row: clamp(from.row + down, rows), column: clamp(from.column + across, columns) });
  });
  onNewWidth(canvas, (found) => {
    width = found;
    canvas.style.height = `${mapHeight(width)}px`;
    draw();
  });
  state.listen((changed) => ["head", "token", "theme"].some((name) => changed.has(name)) && draw());
}

function clamp(place, count) {
  return Math.min(Math.max(place, 0), count - 1);
}

function blockOf(data, blocks, token) {
  return Math.floor((token * blocks) / data.count);
}

// The first and the last token of a block. Token i is in block floor(i blocks / count).
function blockRange(data, blocks, block) {
  return [Math.ceil((block * data.count) / blocks), Math.ceil(((block + 1) * data.count) / blocks) - 1];
}

function mapSquares(data, head) {
  const [rows, columns] = data.map;
  const values = data.mapWeights.subarray(head * rows * columns, (head + 1) * rows * columns);
  const most = values.reduce((one, other) => Math.max(one, other), 1e-9);
  return squares(columns, rows, (row, column) => Math.sqrt(values[row * columns + column] / most));
}

function mapHeight(width) {
  return Math.min(width, 520);
}

function drawMap(canvas, width, data, state, block, drawn) {
  const [rows, columns] = data.map;
  const height = mapHeight(width);
  const pen = fresh(canvas, width, height);
  if (!pen) return;
  const { left, top } = mapMargin(data);
  const [across, down] = [(width - left) / columns, (height - top) / rows];
  const first = state.head * rows * columns;
  drawSquares(pen, drawn, left, top, width - left, height - top);
  drawMapAxes(pen, data, width, height);
  const own = blockOf(data, rows, state.token);
  pen.lineWidth = 1.5;
  pen.strokeStyle = themed("by");
  pen.strokeRect(left + 1, top + own * down, width - left - 2, Math.max(down, 2));
  if (block) {
    pen.strokeStyle = themed("ink");
    pen.lineWidth = 2;
    pen.strokeRect(left + block.column * across, top + block.row * down, across, down);
  }
  describeBlock(data, rows, columns, block, own, (row, column) => data.mapWeights[first + row * columns + column]);
}

function drawMapAxes(pen, data, width, height) {
  const { left, top } = mapMargin(data);
  pen.fillStyle = themed("soft");
  for (const share of [0, 0.5, 1]) {
    const label = Math.round(share * (data.count - 1)).toLocaleString("en");
    pen.textBaseline = "alphabetic";
    pen.textAlign = share === 0 ? "left" : share === 1 ? "right" : "center";
    pen.fillText(label, left + share * (width - left), top - 6);
    pen.textAlign = "right";
    pen.textBaseline = share === 0 ? "top" : share === 1 ? "bottom" : "middle";
    pen.fillText(label, left - 6, top + share * (height - top));
  }
}

function describeBlock(data, rows, columns, block, own, valueAt) {
  const value = document.getElementById("map-value");
  if (!block) {
    value.textContent = `Outlined: the row of the chosen token, with ${tokenRange(...blockRange(data, rows, own))}.`;
    return;
  }
  const reader = tokenRange(...blockRange(data, rows, block.row));
  const read = tokenRange(...blockRange(data, columns, block.column));
  value.textContent = `${reader} → ${read}: ${percent(valueAt(block.row, block.column))}`;
}
