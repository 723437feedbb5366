// Questions a machine can grade: a choice, or numbers. Nothing is sent anywhere, and nothing is kept.
"use strict";
document.querySelectorAll("form[data-question]").forEach((form) => {
  const told = form.querySelector(".verdict");
  const answer = form.parentElement.querySelector("details.answer");
  const tell = (right, words) => { told.className = right ? "verdict" : "verdict no"; told.textContent = words; };
  form.hidden = false;

  const choose = () => {
    const chosen = form.querySelector("input:checked");
    form.querySelectorAll(".choice").forEach((label) => label.classList.remove("right", "wrong"));
    if (!chosen) return tell(false, "Choose one first.");
    const right = chosen.value === form.dataset.right;
    chosen.closest(".choice").classList.add(right ? "right" : "wrong");
    tell(right, right ? "Right. The answer below says why." : "Not this one. Choose again, or open the answer.");
    if (right) answer.open = true;
  };

  const compare = () => {
    const right = JSON.parse(form.dataset.number), tolerance = Number(form.dataset.tolerance);
    const text = form.querySelector("input").value.replaceAll("−", "-");
    // A comma may part numbers, thousands (1,024) or, where one number is asked, decimals (0,25): the reading that fits.
    const read = (text) => (text.match(/[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?(\s*\/\s*\d+)?/gi) || [])
      .map((number) => number.split("/").map(Number).reduce((above, below) => above / below));
    const readings = [read(text), read(text.replace(/,(?=\d{3}(?!\d))/g, ""))];
    if (right.length === 1) readings.push(read(text.replace(",", ".")));
    const fits = (given) => given.length === right.length;
    const close = (given) => fits(given) && right.every((value, index) => Math.abs(value - given[index]) <= tolerance + 1e-12);
    const given = readings.find(close) || readings.find(fits) || readings[0];
    if (!given.length) return tell(false, right.length > 1 ? `Write ${right.length} numbers, with a space between them.` : "Write a number.");
    if (given.length !== right.length) return tell(false, `Expected ${right.length} number${right.length > 1 ? "s" : ""}, found ${given.length}.`);
    const wrong = right.map((value, index) => Math.abs(value - given[index]) <= tolerance + 1e-12 ? 0 : index + 1).filter(Boolean);
    if (!wrong.length) { tell(true, "Right."); answer.open = true; return; }
    const off = `off by more than ${tolerance}.`;
    tell(false, right.length === 1 ? `Not yet: ${off}` : `Not yet: number ${wrong.join(", ")} of ${right.length} ${wrong.length > 1 ? "are" : "is"} ${off}`);
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); (form.dataset.number ? compare : choose)(); });
});
