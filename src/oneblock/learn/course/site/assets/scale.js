// Turns 1/√d off: scores, softmax, entropy and slope for heads from 1 to 1,024 wide.
"use strict";
(() => {
  const box = document.getElementById("play-scale");
  const { widths, products, spread } = JSON.parse(document.getElementById("data-scale").textContent);
  const part = (name) => box.querySelector(`[data-part="${name}"]`);
  const slider = box.querySelector("#scale-width"), on = box.querySelector("#scale-on"), bars = box.querySelector(".bars");
  slider.max = widths.length - 1;
  slider.value = widths.indexOf(64);
  products[0].forEach((_, index) => {
    const item = document.createElement("li");
    item.innerHTML = `<span>key ${index + 1}</span><span class="num"></span><span class="bar-of"><i></i></span><span class="num"></span>`;
    bars.append(item);
  });
  const minus = (text) => text.replace("-", "−");

  const raised = (power) => [...String(power)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
  const told = (value) => {
    const power = Math.floor(Math.log10(value));
    return `${(value / 10 ** power).toFixed(0)} × 10${raised(power)}`;
  };

  const show = () => {
    const index = Number(slider.value), d = widths[index], by = on.checked ? 1 / Math.sqrt(d) : 1;
    const scores = products[index].map((product) => product * by);
    const most = Math.max(...scores), powers = scores.map((score) => Math.exp(score - most));
    const total = powers.reduce((sum, power) => sum + power, 0), shares = powers.map((power) => power / total);
    const entropy = shares.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0) + 0;
    const slope = Math.max(...shares.map((p) => p * (1 - p)));
    const largest = Math.max(...shares);
    shares.forEach((p, key) => {
      const [, score, bar, share] = bars.children[key].children;
      score.textContent = minus(scores[key].toFixed(2));
      bar.firstChild.style.width = `${100 * p}%`;
      share.textContent = p.toFixed(3);
    });
    const small = (value) => (value === 0 ? "0" : value < 0.0005 ? told(value) : value.toFixed(3));
    part("width").textContent = d.toLocaleString("en");
    part("spread").textContent = (spread[index] * by).toFixed(2);
    part("largest").textContent = largest.toFixed(3);
    part("entropy").textContent = entropy.toFixed(3);
    part("most").textContent = Math.log(shares.length).toFixed(3);
    part("slope").textContent = small(slope);
    slider.setAttribute("aria-valuetext", `${d} features`);
    const state = largest > 0.99 ? "One key gets everything, and the slope is so small that nothing more is learned here."
      : largest > 0.8 ? "One key gets nearly everything; the softmax is close to saturated." : "Several keys have a say, and the slope is large enough to learn from.";
    box.querySelector(".said").textContent = `Width ${d.toLocaleString("en")}, ${on.checked ? "divided by √d" : "not divided"}: scores spread by ${(spread[index] * by).toFixed(2)}, the largest share is ${(100 * largest).toFixed(1)} %, the entropy ${entropy.toFixed(2)} nats, the steepest slope ${small(slope)}. ${state}`;
  };
  box.addEventListener("input", show);
  show();
})();
