// What is chosen: a head, a token, a reader, a measure, a shading. Whoever draws it is told what has changed.

function makeState(data) {
  const listeners = [];
  const state = {
    head: data.start.head,
    token: data.start.token, // shown: the hovered one, or else the pinned one
    pinned: data.start.token,
    reader: data.segments ? data.segments.names.length - 1 : 0,
    measure: data.measures[0].key,
    shading: "reads",
    listen: (listener) => listeners.push(listener),
    set(changes) {
      const changed = new Set(Object.keys(changes).filter((name) => state[name] !== changes[name]));
      if (changed.size === 0) return;
      Object.assign(state, changes);
      listeners.forEach((listener) => listener(changed));
    },
    pin: (token) => state.set({ token, pinned: token }),
    redraw: () => listeners.forEach((listener) => listener(new Set(["theme", "head", "token", "reader", "measure", "shading"]))),
  };
  return state;
}
