// Steps through decoding: the rows and products that each token costs with a cache and without, and the time by a stated model.
"use strict";
(() => {
  const box = document.getElementById("play-cache");
  const { words, prompt, layers, width, flops, bandwidth, bytes } = JSON.parse(document.getElementById("data-cache").textContent);
  const part = (name) => box.querySelector(`[data-part="${name}"]`);
  const many = (value) => value.toLocaleString("en");
  let step = 0;

  // A block has 12 · width² weights; each weight is one multiplication and one addition for each row. Every step reads all
  // weights once. A product q·k over all heads, and the value it weighs, are 4 · width operations in each layer.
  const weights = 12 * layers * width * width;
  const cost = (rows, products) => 1000 * Math.max((2 * weights * rows + 4 * width * layers * products) / flops, (bytes * weights) / bandwidth);
  part("model").textContent = `${layers} layers of width ${width}, so 12 · ${layers} · ${width}² = ${many(weights)} weights of ${bytes} bytes, on a machine of ${many(flops / 1e9)} billion operations and ${many(bandwidth / 1e9)} billion bytes a second. A step takes the longer of two times: computing (two operations for each weight and row, and 4 · ${width} in each layer for each product q·k and its value), and reading all weights once. Products are counted once for each layer and all heads.`;

  const rows = (count, made, before) => {
    const list = [];
    const line = (word, filled) => {
      const item = document.createElement("li");
      item.className = filled ? "made" : "kept";
      item.append(word, Object.assign(document.createElement("small"), { textContent: filled ? "computed" : "read" }));
      list.push(item);
    };
    if (before) line(`${many(before)} tokens before`, made > count);
    for (let index = 0; index < count; index += 1) line(words[index], count - index <= made);
    return list;
  };

  const show = () => {
    const before = Number(box.querySelector('[name="cache-before"]:checked').value);
    const count = prompt + step, n = before + count, fresh = step === 0 ? n : 1;
    // Under the causal mask row t meets t keys, so n rows make n(n + 1)/2 products, and the last one alone n.
    const all = (n * (n + 1)) / 2, last = step === 0 ? all : n;
    const slow = cost(n, all), fast = cost(fresh, last);
    part("without").replaceChildren(...rows(count, n, before));
    part("with").replaceChildren(...rows(count, fresh, before));
    [["without", n, all, slow], ["with", fresh, last, fast]].forEach(([name, made, products, ms]) => {
      part(`rows-${name}`).textContent = many(made);
      part(`products-${name}`).textContent = many(products);
      part(`ms-${name}`).textContent = ms < 100 ? ms.toFixed(1) : many(Math.round(ms));
    });
    box.querySelector('[data-do="back"]').disabled = step === 0;
    box.querySelector('[data-do="on"]').disabled = count === words.length - 1;
    const text = words.slice(0, count).join(" ").replace(" .", ".");
    const ratio = slow / fast;
    const time = ratio > 1.05 ? `the step takes ${ratio.toFixed(ratio < 10 ? 1 : 0)} times as long` : "the step takes as long: with so few rows, reading the weights is what takes time. Put 1,000 tokens before it";
    box.querySelector(".said").textContent = step === 0
      ? `“${text}” is read: all ${many(n)} rows are new, so a cache saves nothing yet. It keeps their keys and values. The next token is “${words[count]}”.`
      : `“${text}”: without a cache ${many(n)} rows and ${many(all)} products, with one 1 row and ${many(last)}. Without a cache ${time}. The next token is “${words[count]}”.`;
  };
  const doing = { on: () => { step = Math.min(step + 1, words.length - 1 - prompt); }, back: () => { step = Math.max(step - 1, 0); }, start: () => { step = 0; } };
  box.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    doing[button.dataset.do]();
    show();
    // A button that can no longer be pressed would take the focus with it.
    if (button.disabled) box.querySelector('[data-do="start"]').focus();
  });
  box.addEventListener("change", show);
  show();
})();
