// Elements, numbers as text, and sharp canvases, for all parts of the page.

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function percent(share) {
  if (share === 0) return "0 %";
  if (share < 0.001) return "<0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

function number(value, unit = "") {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const text = value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "negative" });
  return unit ? `${text} ${unit}` : text;
}

function many(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

function headName(data, head) {
  const { layer, column, name } = data.heads[head];
  return `layer ${layer}, ${name === String(column) ? `head ${column}` : name}`;
}

function tokenRange(first, last) {
  const [from, to] = [first, last].map((token) => token.toLocaleString("en"));
  return first === last ? `token ${from}` : `tokens ${from}–${to}`;
}

// A cleared canvas that is drawn in CSS pixels on any screen; null while it has no size.
function fresh(canvas, width, height) {
  if (width < 1 || height < 1) return null;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px ui-sans-serif, system-ui, sans-serif";
  return pen;
}

// Squares of the palette, one pixel each: enlarged, they have no seams between them.
function squares(columns, rows, shareAt) {
  const small = element("canvas", { width: columns, height: rows });
  const smallPen = small.getContext("2d");
  const image = smallPen.createImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      image.data.set([...rampColour(shareAt(row, column)), 255], 4 * (row * columns + column));
    }
  }
  smallPen.putImageData(image, 0, 0);
  return small;
}

function drawSquares(pen, small, left, top, width, height) {
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, left, top, width, height);
}

// A function that keeps its last result, and returns it while the arguments stay the same.
function remembering(make) {
  let key = null;
  let made = null;
  return (...given) => {
    const asked = given.join(" ");
    if (asked !== key) [key, made] = [asked, make(...given)];
    return made;
  };
}

// Report the width of an element whenever it changes. Reading it while drawing would force a layout.
function onNewWidth(watched, report) {
  let width = -1;
  new ResizeObserver(() => {
    if (watched.clientWidth === width) return;
    width = watched.clientWidth;
    report(width);
  }).observe(watched);
}
