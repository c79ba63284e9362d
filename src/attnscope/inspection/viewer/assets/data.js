// Unpack the arrays that attnscope/inspection/viewer/packing.py packed.

async function readData() {
  const facts = JSON.parse(document.getElementById("data").textContent);
  const text = atob(document.getElementById("arrays").textContent);
  const packed = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const blob = new Uint8Array(await new Response(stream).arrayBuffer());
  const arrays = {};
  for (const [name, place] of Object.entries(facts.arrays)) {
    arrays[name] = unpacked(blob.subarray(place.at, place.at + place.bytes), place);
  }
  return withHeads(facts, arrays);
}

function unpacked(bytes, place) {
  if (place.kind === "share8") return Float32Array.from(bytes, (step) => (step / 255) ** 2);
  if (place.kind === "uint8") return bytes;
  const size = place.kind === "uint32" ? 4 : 2;
  const count = bytes.length / size;
  const whole = new (size === 4 ? Uint32Array : Uint16Array)(count);
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0; i < count; i++) whole[i] |= bytes[plane * count + i] << (8 * plane);
  }
  return place.kind === "scaled16" ? Float32Array.from(whole, (step) => (step / 65535) * place.most) : whole;
}

function withHeads(facts, arrays) {
  const heads = [];
  facts.layers.forEach((layer, row) => {
    layer.heads.forEach((name, column) => {
      heads.push({ row, column, name, layer: layer.number, means: means(layer, column) });
    });
  });
  return { ...facts, ...arrays, heads, count: facts.tokens.length, visible: visibleKeys(facts, arrays) };
}

function means(layer, column) {
  return Object.fromEntries(Object.entries(layer.means).map(([name, values]) => [name, values[column]]));
}

// The number of keys that each token sees, per layer. They are packed as differences from token to token.
function visibleKeys(facts, arrays) {
  const count = facts.tokens.length;
  return facts.layers.map((_layer, row) => {
    const visible = new Int32Array(count);
    let keys = 0;
    for (let token = 0; token < count; token++) {
      visible[token] = keys = (keys + arrays.visibleSteps[row * count + token]) | 0;
    }
    return visible;
  });
}

// The strongest keys of one token: [{token, weight}], strongest first.
function readsOf(data, head, token) {
  const found = [];
  const first = (head * data.count + token) * data.topKeys;
  for (let place = first; place < first + data.topKeys; place++) {
    if (data.topWeights[place] > 0) found.push({ token: keyAt(data, token, place), weight: data.topWeights[place] });
  }
  return found;
}

// The tokens that have this one among their strongest keys: [{token, weight}], strongest first.
function readersOf(data, head, token) {
  const found = [];
  const first = head * data.count * data.topKeys;
  for (let reader = 0; reader < data.count; reader++) {
    for (let place = first + reader * data.topKeys, end = place + data.topKeys; place < end; place++) {
      const weight = data.topWeights[place];
      if (weight > 0 && keyAt(data, reader, place) === token) found.push({ token: reader, weight });
    }
  }
  return found.sort((one, other) => other.weight - one.weight);
}

// Keys are packed as distances, modulo 2^16 or 2^32: an encoder also reads later tokens.
function keyAt(data, reader, place) {
  const wraps = data.topDistances.BYTES_PER_ELEMENT === 2 ? 65536 : 4294967296;
  return (reader - data.topDistances[place] + wraps) % wraps;
}
