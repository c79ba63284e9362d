// The page: read the data, then let each part draw itself.

function showMasthead(data) {
  document.title = `${data.text} – attnscope inspect`;
  document.getElementById("title").textContent = data.text;
  document.getElementById("summary").textContent =
    [data.model, many(data.count, "token"), many(data.layers.length, "layer"), many(data.heads.length, "head")].join(" · ");
  document.getElementById("note").textContent = data.note;
  for (const [name, value] of Object.entries(data.facts)) {
    document.getElementById("facts").append(element("dt", { textContent: name }), element("dd", { textContent: value }));
  }
}

async function start() {
  const trouble = document.getElementById("trouble");
  if (typeof DecompressionStream === "undefined") {
    trouble.textContent = "This browser is too old for this page: it has no DecompressionStream, which all have had since 2023.";
    trouble.hidden = false;
    return;
  }
  const data = await readData();
  const state = makeState(data);
  document.getElementById("page").hidden = false;
  showMasthead(data);
  let ready = false;
  followSystemTheme(document.getElementById("theme"), () => ready && state.redraw());
  for (const show of [showHeads, showText, showToken, showMap, showEntropy, showSegments]) show(data, state);
  ready = true;
  state.redraw();
  document.documentElement.dataset.ready = "true";
}

start();
