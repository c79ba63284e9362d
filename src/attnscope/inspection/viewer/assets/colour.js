// The palette, ordered by lightness so that it reads the same in grey, and the two themes.

const RAMPS = {
  light: ["#f7f4ec", "#dbe6e0", "#b3d2d3", "#83b6c1", "#5596ae", "#2f7397", "#1d517b", "#12325a", "#0a1a38"],
  dark: ["#1d2530", "#21384a", "#265068", "#326b82", "#4a8896", "#73a5a3", "#a5c2ac", "#d5dcb6", "#fbf3c8"],
};

function themeNow() {
  return document.documentElement.dataset.theme;
}

function followSystemTheme(button, onChange) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const apply = () => {
    document.documentElement.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
    button.textContent = themeNow() === "dark" ? "Light theme" : "Dark theme";
    onChange();
  };
  system.addEventListener("change", apply);
  button.addEventListener("click", () => {
    chosen = themeNow() === "dark" ? "light" : "dark";
    apply();
  });
  apply();
}

function channels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

const RAMP_CHANNELS = Object.fromEntries(Object.entries(RAMPS).map(([theme, ramp]) => [theme, ramp.map(channels)]));

// The colour of a share from 0 to 1, as [red, green, blue].
function rampColour(share) {
  const ramp = RAMP_CHANNELS[themeNow()];
  const place = Math.min(Math.max(share || 0, 0), 1) * (ramp.length - 1);
  const step = Math.min(Math.floor(place), ramp.length - 2);
  const [from, to] = [ramp[step], ramp[step + 1]];
  return from.map((channel, i) => Math.round(channel + (to[i] - channel) * (place - step)));
}

function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

// Black or white: the one with more contrast on a colour, by the relative luminance of WCAG 2.
function inkOn(colour) {
  const [red, green, blue] = colour.map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#10151c" : "#ffffff";
}

const knownColours = {}; // reading a computed style forces a layout, so each is read once

function themed(name) {
  const known = (knownColours[themeNow()] ??= {});
  return (known[name] ??= getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
}
