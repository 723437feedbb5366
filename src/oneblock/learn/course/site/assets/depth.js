// Slides depth: a vector sent through up to 48 layers and its gradient sent back, exactly, with residual and norm on or off.
"use strict";
(() => {
  const box = document.getElementById("play-depth");
  const { first, layers } = JSON.parse(document.getElementById("data-depth").textContent);
  const drawing = box.querySelector('[data-part="drawing"]');
  const slider = box.querySelector("#depth-layers"), residual = box.querySelector("#depth-residual"), norm = box.querySelector("#depth-norm");
  const EPS = 1e-30; // So small that a stack which has collapsed is still seen as it is.
  const times = (matrix, vector) => matrix.map((row) => row.reduce((sum, w, i) => sum + w * vector[i], 0));
  const back = (matrix, vector) => matrix[0].map((_, i) => matrix.reduce((sum, row, o) => sum + row[i] * vector[o], 0));
  const length = (vector) => Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  const mean = (vector) => vector.reduce((sum, x) => sum + x, 0) / vector.length;
  const standard = (vector) => {
    const middle = mean(vector), off = vector.map((x) => x - middle), spread = Math.sqrt(mean(off.map((x) => x * x)) + EPS);
    return { out: off.map((x) => x / spread), spread };
  };

  // f(x) = s W norm(x); forward keeps what backward needs. The gradient of u·x_L, with u of length 1, at every layer.
  const run = (depth, withResidual, withNorm, size) => {
    let x = first;
    const kept = [], stream = [length(x)];
    for (let l = 0; l < depth; l += 1) {
      const normed = withNorm ? standard(x) : { out: x, spread: 1 };
      const f = times(layers[l], normed.out).map((value) => size * value);
      kept.push(normed);
      x = withResidual ? x.map((value, i) => value + f[i]) : f;
      stream.push(length(x));
    }
    let g = x.map((_, i) => (i % 2 ? -1 : 1) / Math.sqrt(x.length));
    const slopes = [length(g)];
    for (let l = depth - 1; l >= 0; l -= 1) {
      let h = back(layers[l], g).map((value) => size * value);
      if (withNorm) {
        const { out, spread } = kept[l], middle = mean(h), along = mean(h.map((value, i) => value * out[i]));
        h = h.map((value, i) => (value - middle - out[i] * along) / spread);
      }
      g = withResidual ? g.map((value, i) => value + h[i]) : h;
      slopes.unshift(length(g));
    }
    return { stream, slopes };
  };

  const W = 640, H = 280, LEFT = 62, RIGHT = 14, TOP = 14, BOTTOM = 40;
  const raised = (power) => `10${String(power).replace(/[-\d]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)])}`;
  const draw = ({ stream, slopes }, depth) => {
    const logs = [...stream, ...slopes].map((value) => Math.log10(Math.max(value, 1e-300)));
    const low = Math.min(-1, Math.floor(Math.min(...logs))), high = Math.max(2, Math.ceil(Math.max(...logs)));
    const x = (l) => LEFT + ((W - LEFT - RIGHT) * l) / depth;
    const y = (value) => TOP + ((H - TOP - BOTTOM) * (high - Math.log10(Math.max(value, 1e-300)))) / (high - low);
    const every = Math.ceil((high - low) / 6), parts = [];
    for (let power = Math.ceil(low / every) * every; power <= high; power += every) {
      const at = y(10 ** power);
      parts.push(`<line x1="${LEFT}" x2="${W - RIGHT}" y1="${at}" y2="${at}" stroke="var(--rule)"/><text x="${LEFT - 10}" y="${at + 4}" text-anchor="end">${power === 0 ? "1" : power === 1 ? "10" : raised(power)}</text>`);
    }
    const stride = Math.max(1, Math.ceil(depth / 8));
    for (let l = 0; l <= depth; l += stride) parts.push(`<text x="${x(l)}" y="${H - BOTTOM + 20}" text-anchor="middle">${l}</text>`);
    parts.push(`<text x="${(LEFT + W - RIGHT) / 2}" y="${H - 3}" text-anchor="middle">after this many layers</text>`);
    const line = (values) => values.map((value, l) => `${x(l).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    parts.push(`<polyline points="${line(stream)}" fill="none" stroke="var(--ink)" stroke-width="2.4" stroke-linejoin="round"/>`);
    parts.push(`<polyline points="${line(slopes)}" fill="none" stroke="var(--accent)" stroke-width="2.4" stroke-dasharray="6 4" stroke-linejoin="round"/>`);
    drawing.innerHTML = parts.join("");
  };

  const told = (value) => {
    if (value === 0) return "0";
    const power = Math.floor(Math.log10(value));
    if (power >= -2 && power < 4) return value.toFixed(power < 0 ? 3 : power < 2 ? 2 : 0);
    return `${(value / 10 ** power).toFixed(1)} × ${raised(power)}`;
  };
  const show = () => {
    const depth = Number(slider.value), size = Number(box.querySelector('[name="depth-size"]:checked').value);
    const found = run(depth, residual.checked, norm.checked, size);
    draw(found, depth);
    box.querySelector('[data-part="layers"]').textContent = depth;
    slider.setAttribute("aria-valuetext", `${depth} layers`);
    const grown = found.stream.at(-1) / found.stream[0], slope = found.slopes[0];
    const judged = (ratio) => (ratio > 1e3 ? "it explodes" : ratio > 10 ? "it grows" : ratio < 1e-3 ? "it vanishes" : ratio < 0.1 ? "it shrinks" : "it stays in range");
    box.querySelector(".said").textContent = `${depth} layer${depth > 1 ? "s" : ""}, residual ${residual.checked ? "on" : "off"}, norm ${norm.checked ? "on" : "off"}: the stream's norm goes from ${told(found.stream[0])} to ${told(found.stream.at(-1))} (${judged(grown)}). Of a gradient of 1 at the end, ${told(slope)} reaches the first layer (${judged(slope)}).`;
  };
  box.addEventListener("input", show);
  show();
})();
