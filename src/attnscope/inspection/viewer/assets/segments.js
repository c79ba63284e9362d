// The weight that the tokens of one segment give to each segment, in the chosen head and in all heads.

function bySegment(data, head, reader, segment) {
  const segments = data.segments.names.length;
  return data.bySegmentShares[(head * segments + reader) * segments + segment];
}

function showSegments(data, state) {
  if (!data.segments) {
    document.getElementById("segments-card").hidden = true;
    document.getElementById("page").classList.add("unsegmented");
    return;
  }
  const select = document.getElementById("reader");
  select.append(...data.segments.names.map((name, segment) => element("option", { value: segment, textContent: name })));
  select.value = state.reader;
  select.addEventListener("change", () => state.set({ reader: Number(select.value) }));
  state.listen((changed) => (changed.has("reader") || changed.has("head")) && fillSegments(data, state));
}

function fillSegments(data, state) {
  const { names, sizes } = data.segments;
  const shareIn = (head, segment) => bySegment(data, head, state.reader, segment);
  const mean = (segment) => data.heads.reduce((sum, _head, head) => sum + shareIn(head, segment), 0) / data.heads.length;
  document.getElementById("segments-meaning").textContent =
    `Mean weight that ${many(sizes[state.reader], "token")} of ${names[state.reader]} give to each segment.` +
    (data.evenlyShares ? " The mark shows uniform weights." : "");
  const head = element("tr", {}, ...["", "this head", "", "all heads"].map((title, column) => {
    return element("th", { textContent: title, scope: "col", className: column === 3 ? "number" : "" });
  }));
  head.children[1].colSpan = 2;
  head.children[2].remove();
  const body = names.map((name, segment) => {
    const share = shareIn(state.head, segment);
    const bar = element("div", { className: "bar" }, element("i"));
    bar.firstChild.style.width = percentWidth(share);
    const even = evenShare(data, state, segment);
    if (even !== null) {
      const mark = element("b", { title: `uniform weights: ${percent(even)}` });
      mark.style.left = percentWidth(even);
      bar.append(mark);
    }
    return element("tr", {},
      element("th", { scope: "row", textContent: name }),
      element("td", {}, bar),
      element("td", { className: "number", textContent: percent(share) }),
      element("td", { className: "number even", textContent: percent(mean(segment)) }));
  });
  document.getElementById("segments").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

function percentWidth(share) {
  return `${100 * Math.min(share, 1)}%`;
}

function evenShare(data, state, segment) {
  if (!data.evenlyShares) return null;
  const segments = data.segments.names.length;
  return data.evenlyShares[(data.heads[state.head].row * segments + state.reader) * segments + segment];
}
