// Moves a token along a sentence: which positions it may look at under three masks, and which answer leaks.
"use strict";
(() => {
  const box = document.getElementById("play-mask");
  const { words, scores } = JSON.parse(document.getElementById("data-mask").textContent);
  const said = box.querySelector(".said"), body = box.querySelector("tbody");
  const span = (text) => Object.assign(document.createElement("span"), { textContent: text });

  box.querySelector('[data-part="tokens"]').append(...words.map((word, index) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "mask-token", value: String(index), checked: index === 2 });
    label.append(input, span(word));
    return label;
  }));
  const head = document.createElement("tr");
  head.append(document.createElement("td"), ...words.map((word) => Object.assign(document.createElement("th"), { scope: "col", textContent: word })));
  head.firstChild.style.cssText = "background:none;width:auto";
  box.querySelector("thead").append(head);
  words.forEach((word) => {
    const row = document.createElement("tr");
    row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: word }), ...words.map(() => document.createElement("td")));
    body.append(row);
  });

  // softmax over what may be seen: what may not has no share at all, for its score is −∞ before the softmax.
  const shares = (row, sees) => {
    const most = Math.max(...row.filter((_, s) => sees(s)));
    const powers = row.map((score, s) => (sees(s) ? Math.exp(score - most) : 0));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  };
  const listed = (list) => (list.length > 1 ? `${list.slice(0, -1).join(", ")} and ${list.at(-1)}` : list[0]);

  const show = () => {
    const chosen = Number(box.querySelector('[name="mask-token"]:checked').value);
    const kind = box.querySelector('[name="mask-kind"]:checked').value;
    const reach = (t) => (kind === "none" ? words.length - 1 : t + Number(kind));
    let leaks = 0;
    scores.forEach((row, t) => {
      const part = shares(row, (s) => s <= reach(t));
      if (t + 1 < words.length && reach(t) > t) leaks += 1;
      const line = body.rows[t];
      line.className = t === chosen ? "now" : "";
      part.forEach((share, s) => {
        const cell = line.cells[s + 1], open = s <= reach(t), leak = open && s === t + 1;
        cell.className = !open ? "shut" : leak ? "leak" : t === chosen && share > 0.62 ? "strong" : "";
        cell.style.setProperty("--share", open ? share.toFixed(3) : "0");
        cell.textContent = open ? share.toFixed(2).replace(/^0/, "") : "–";
        if (leak) cell.append(Object.assign(document.createElement("span"), { className: "quiet", textContent: ", its own answer" }));
      });
    });
    const seen = words.slice(0, reach(chosen) + 1), answer = words[chosen + 1];
    const last = chosen === words.length - 1;
    const share = shares(scores[chosen], (s) => s <= reach(chosen))[chosen + 1];
    const own = last ? "It is the last token: its answer is not in the text yet."
      : reach(chosen) > chosen ? `Its answer, “${answer}”, is among them and gets ${(100 * share).toFixed(0)} % of the attention: the answer leaks.`
        : `Its answer, “${answer}”, is hidden: nothing leaks.`;
    said.textContent = `“${words[chosen]}” may look at ${listed(seen.map((word) => `“${word}”`))}. ${own} In all, ${leaks} of ${words.length - 1} answers can be seen.`;
  };
  box.addEventListener("change", show);
  show();
})();
