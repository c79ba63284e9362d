// The grid of layers by heads, coloured by a measure, and all measures of the chosen head.

const READS_FROM = "reads:"; // prefix of a measure: the weight that the chosen reader gives to a segment

function showHeads(data, state) {
  const grid = document.getElementById("grid");
  const select = document.getElementById("measure");
  const columns = Math.max(...data.layers.map((layer) => layer.heads.length));
  const cells = makeGrid(data, state, grid, columns);
  fillMeasures(data, select);
  select.addEventListener("change", () => state.set({ measure: select.value }));
  grid.addEventListener("keydown", (event) => moveInGrid(event, data, state, cells));
  let legendWidth = 0;
  onNewWidth(document.getElementById("legend"), (width) => drawLegend((legendWidth = width)));
  state.listen((changed) => {
    if (["measure", "theme", "reader"].some((name) => changed.has(name))) {
      colourCells(data, state, cells, columns <= 10);
      drawLegend(legendWidth);
    }
    if (changed.has("head")) {
      cells.forEach((cell, head) => {
        cell.setAttribute("aria-selected", head === state.head);
        cell.tabIndex = head === state.head ? 0 : -1;
      });
      showHead(data, state.head);
    }
  });
}

function makeGrid(data, state, grid, columns) {
  grid.style.gridTemplateColumns = `max-content repeat(${columns}, minmax(0, 1fr))`;
  const height = data.layers.length > 40 ? 10 : data.layers.length > 24 ? 14 : data.layers.length > 8 ? 20 : 30;
  const axis = element("div", { className: "row" }, element("span", { className: "axis" }));
  axis.setAttribute("role", "row");
  axis.setAttribute("aria-hidden", "true");
  const every = Math.ceil(columns / 10);
  for (let column = 0; column < columns; column++) {
    axis.append(element("span", { className: "axis", textContent: column % every ? "" : column }));
  }
  grid.append(axis);
  const cells = [];
  data.layers.forEach((layer, row) => {
    const line = element("div");
    line.setAttribute("role", "row");
    const label = row % Math.ceil(data.layers.length / 30) ? "" : layer.number;
    line.append(element("span", { className: "axis layer", textContent: label }));
    line.firstChild.setAttribute("aria-hidden", "true");
    layer.heads.forEach((_name, column) => {
      const head = cells.length;
      const cell = element("button", { type: "button", className: "cell" });
      cell.setAttribute("role", "gridcell");
      cell.style.height = `${height}px`;
      cell.style.gridColumn = column + 2;
      cell.addEventListener("click", () => state.set({ head }));
      line.append(cell);
      cells.push(cell);
    });
    grid.append(line);
  });
  return cells;
}

function fillMeasures(data, select) {
  select.append(...data.measures.map(({ key, label }) => element("option", { value: key, textContent: label })));
  if (!data.segments) return;
  const group = element("optgroup", { label: "weight on the segment" });
  group.append(...data.segments.names.map((name, segment) => {
    return element("option", { value: READS_FROM + segment, textContent: name });
  }));
  select.append(group);
}

// The chosen measure: one number per head, with label, unit and meaning.
function measured(data, state) {
  if (!state.measure.startsWith(READS_FROM)) {
    const measure = data.measures.find(({ key }) => key === state.measure);
    return { ...measure, values: data.heads.map(({ means }) => means[measure.key]) };
  }
  const segment = Number(state.measure.slice(READS_FROM.length));
  const names = data.segments.names;
  return {
    label: `weight on ${names[segment]}`, unit: "", low: "none", high: "all", scale: "share",
    meaning: `the weight that the tokens of ${names[state.reader]} give to ${names[segment]}`,
    values: data.heads.map((_head, head) => bySegment(data, head, state.reader, segment)),
  };
}

function shareOfScale(scale, values) {
  if (scale === "share") return (value) => value;
  const bend = scale === "log" ? (value) => Math.log(Math.max(value, 1e-3)) : (value) => value;
  const [least, most] = [Math.min(...values), Math.max(...values)].map(bend);
  return (value) => (most > least ? (bend(value) - least) / (most - least) : 0);
}

function colourCells(data, state, cells, withNumbers) {
  const measure = measured(data, state);
  const share = shareOfScale(measure.scale, measure.values);
  cells.forEach((cell, head) => {
    const value = measure.values[head];
    const colour = rampColour(share(value));
    cell.style.background = css(colour);
    cell.style.color = inkOn(colour);
    cell.textContent = withNumbers ? shortly(value, measure.scale) : "";
    const label = `${headName(data, head)}: ${measure.label} ${number(value, measure.unit)}`;
    cell.title = label;
    cell.setAttribute("aria-label", label);
  });
  document.getElementById("measure-meaning").textContent = `${measure.meaning}: mean over the tokens`;
  const ofHeads = [Math.min(...measure.values), Math.max(...measure.values)];
  const [least, most] = measure.scale === "share" ? [0, 1] : ofHeads;
  document.getElementById("legend-low").textContent = `${measure.low} ${shortly(least, measure.scale)}`;
  document.getElementById("legend-high").textContent = `${shortly(most, measure.scale)} ${measure.high}`;
}

function shortly(value, scale) {
  if (scale === "share") return value >= 0.995 ? "1" : value < 0.005 ? "0" : value.toFixed(2).slice(1);
  return value >= 9.95 ? value.toFixed(0) : value.toFixed(1);
}

function drawLegend(width) {
  const pen = fresh(document.getElementById("legend"), width, 10);
  if (!pen) return;
  drawSquares(pen, squares(64, 1, (_row, column) => column / 63), 0, 0, width, 10);
}

function moveInGrid(event, data, state, cells) {
  const { row, column } = data.heads[state.head];
  const rows = { ArrowUp: -1, ArrowDown: 1 };
  const columns = { ArrowLeft: -1, ArrowRight: 1 };
  if (!(event.key in rows) && !(event.key in columns)) return;
  event.preventDefault();
  const newRow = Math.min(Math.max(row + (rows[event.key] || 0), 0), data.layers.length - 1);
  const last = data.layers[newRow].heads.length - 1;
  const newColumn = Math.min(Math.max(column + (columns[event.key] || 0), 0), last);
  state.set({ head: data.heads.findIndex((head) => head.row === newRow && head.column === newColumn) });
  cells[state.head].focus();
}

function showHead(data, head) {
  const { means, row } = data.heads[head];
  const title = headName(data, head);
  document.getElementById("head-title").textContent = title[0].toUpperCase() + title.slice(1);
  document.getElementById("head-mask").textContent = `mask: ${data.layers[row].mask}`;
  const facts = document.getElementById("head-facts");
  facts.replaceChildren();
  for (const measure of data.measures) {
    const value = means[measure.key];
    const strong = data.kinds.includes(measure.key) && value >= 0.4 ? "strong" : "";
    const text = measure.scale === "share" ? percent(value) : number(value, measure.unit);
    facts.append(
      element("dt", { textContent: measure.label, title: measure.meaning, className: strong }),
      element("dd", { textContent: text, className: strong }),
    );
  }
}
