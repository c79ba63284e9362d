// Attention in plain JavaScript, in float64, as the library's reference computes it. Arrays are lists of rows.

export const dot = (a, b) => a.reduce((sum, each, i) => sum + each * b[i], 0);
export const range = (n) => Array.from({ length: n }, (_, i) => i);
export const sum = (list) => list.reduce((total, each) => total + each, 0);
export const norm = (a) => Math.sqrt(dot(a, a));
export const difference = (a, b) => a.map((each, i) => each - b[i]);

// Scores scale * q.k, a row per query. The default scale is 1 / sqrt(key_dim).
export function scores(query, key, scale = 1 / Math.sqrt(key[0].length)) {
  return query.map((q) => key.map((k) => scale * dot(q, k)));
}

// Weights of one row over its visible keys; a fully masked row has only zeros.
export function softmax(row, visible = row.map(() => true)) {
  const top = Math.max(...row.filter((_, j) => visible[j]));
  const parts = row.map((s, j) => (visible[j] ? Math.exp(s - top) : 0));
  const total = sum(parts);
  return parts.map((e) => (total > 0 ? e / total : 0));
}

// Zeros after an ordinary softmax: the mistake of page 3.
export function maskedLate(row, visible) {
  return softmax(row).map((w, j) => (visible[j] ? w : 0));
}

export function mix(weights, value) {
  return value[0].map((_, c) => sum(value.map((v, j) => weights[j] * v[c])));
}

export function logsumexp(row) {
  const top = Math.max(...row);
  return Number.isFinite(top) ? top + Math.log(sum(row.map((s) => Math.exp(s - top)))) : top;
}

// In nats; a key without weight adds nothing.
export const entropy = (weights) => sum(weights.map((w) => (w > 0 ? -w * Math.log(w) : 0)));

// How far the output moves without key j: |w / (1 - w) (o - v_j)|; 0 is left if the key was the only one.
export function influence(weights, value) {
  const output = mix(weights, value);
  return weights.map((w, j) => {
    if (w === 0) return 0;
    const rest = weights.map((each, i) => (i === j ? 0 : each));
    const total = sum(rest);
    const without = total > 0 ? mix(rest.map((each) => each / total), value) : output.map(() => 0);
    return norm(difference(output, without));
  });
}

// Masks: (query, key) => visible. Positions are aligned bottom-right.
export const causal = (i, j) => j <= i;
export const inWindow = (left) => (i, j) => j <= i && j >= i - left;
export const ofLength = (length) => (_, j) => j < length;
export const sameDocument = (ids) => (i, j) => ids[i] === ids[j];
export const both = (...masks) => (i, j) => masks.every((mask) => mask(i, j));
export const table = (n, mask) => range(n).map((i) => range(n).map((j) => mask(i, j)));

// A vector's pairs (x_r, x_{r + d/2}) turned by position * base^(-2 r / d).
export function rotary(x, position, base = 10000) {
  const pairs = x.length / 2, turned = [...x];
  for (const r of range(pairs)) {
    const angle = position * base ** (-r / pairs), [c, s] = [Math.cos(angle), Math.sin(angle)];
    turned[r] = x[r] * c - x[r + pairs] * s;
    turned[r + pairs] = x[r] * s + x[r + pairs] * c;
  }
  return turned;
}

export const alibiSlope = (head, heads) => 2 ** ((-8 * (head + 1)) / heads);

// The online softmax: the state (m, z, a) of one row after one more block of keys.
export function online({ m, z, a }, block, value) {
  const top = Math.max(m, ...block), shrink = m === top ? 1 : Math.exp(m - top);
  const parts = block.map((s) => Math.exp(s - top));
  return { m: top, z: shrink * z + sum(parts), a: a.map((each, c) => shrink * each + sum(parts.map((e, j) => e * value[j][c]))), shrink };
}
