// The theme switch, the section one reads, regions that scroll, and the search. The pages work without it.
"use strict";
(() => {
  const root = document.documentElement;
  const say = (where, words) => { if (where) where.textContent = words; };

  // Theme
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => button.setAttribute("aria-pressed", String(dark()));
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("oneblock-theme", root.dataset.theme); } catch { /* holds for this page only */ }
    show();
  });
  system.addEventListener("change", show);
  show();

  // On a wide screen the menus are always open; on a narrow one they close when one leaves them.
  const wide = matchMedia("(min-width: 62.01rem)");
  const folds = document.querySelectorAll("details[data-fold]");
  const fold = () => folds.forEach((one) => { one.open = wide.matches; });
  wide.addEventListener("change", fold);
  fold();
  const menu = document.querySelector("details.menu");
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open && !wide.matches) { menu.open = false; menu.querySelector("summary").focus(); }
  });
  addEventListener("click", (event) => { if (!wide.matches && !menu.contains(event.target)) menu.open = false; });
  document.querySelectorAll(".rail a").forEach((link) => link.addEventListener("click", fold));

  // What scrolls sideways can be reached by keyboard, and has a name.
  // First all is measured, then all is changed: one layout for the page and not one for each box.
  const reachable = () => [...document.querySelectorAll(".scroll, .formula, pre")].map((box) => [box, box.scrollWidth > box.clientWidth + 1]).forEach(([box, over]) => {
    if (over) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", box.dataset.name || "scrolls sideways");
    } else if (box.getAttribute("role") === "region") {
      ["tabindex", "role", "aria-label"].forEach((name) => box.removeAttribute(name));
    }
  });
  addEventListener("resize", reachable);
  reachable();

  // The section one reads is marked in the list beside the text.
  const links = new Map([...document.querySelectorAll('.rail a[href^="#"]')].map((link) => [link.hash.slice(1), link]));
  const heads = [...document.querySelectorAll("main h2[id]")].filter((head) => links.has(head.id));
  const here = () => {
    let now = heads[0];
    for (const head of heads) if (head.getBoundingClientRect().top < 140) now = head;
    links.forEach((link) => link.removeAttribute("aria-current"));
    if (now) links.get(now.id).setAttribute("aria-current", "true");
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (!waiting) requestAnimationFrame(() => { waiting = false; here(); });
    waiting = true;
  }, { passive: true });
  here();

  // A link to something inside a closed answer opens it.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let one = target && target.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
  };
  addEventListener("hashchange", open);
  open();

  // Search: titles and headings, every word somewhere, the title first.
  const dialog = document.getElementById("find");
  const field = dialog.querySelector("input");
  const list = dialog.querySelector("ol");
  const note = dialog.querySelector(".note");
  const entries = (window.ONEBLOCK_INDEX || []).map(([words, page, address]) => ({ words, page, address, text: `${words} ${page}`.toLowerCase() }));
  const base = dialog.dataset.root;
  const find = () => {
    const asked = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = asked.length ? entries.filter((one) => asked.every((word) => one.text.includes(word))) : [];
    // Pages before sections, words of the heading itself before those of its page.
    const rank = (one) => {
      const own = one.words.toLowerCase();
      return (one.address.includes("#") ? 3 : 0) + (own.startsWith(asked[0]) ? 0 : own.includes(asked[0]) ? 1 : 2);
    };
    found.sort((a, b) => rank(a) - rank(b));
    list.replaceChildren(...found.slice(0, 12).map((one) => {
      const item = document.createElement("li"), link = document.createElement("a"), where = document.createElement("small");
      link.href = base + one.address;
      link.append(one.words);
      if (one.page !== one.words) { where.textContent = one.page; link.append(where); }
      item.append(link);
      return item;
    }));
    say(note, !asked.length ? "Titles and headings of all pages." : found.length === 0 ? "Nothing has these words in its title."
      : `${found.length} found${found.length > 12 ? ", the first 12 shown" : ""}. Arrow keys move, Enter opens.`);
  };
  const launch = () => { dialog.showModal(); field.select(); find(); };
  const opener = document.getElementById("search");
  opener.hidden = false;
  opener.addEventListener("click", launch);
  field.addEventListener("input", find);
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const first = list.querySelector("a");
    if (first) first.click();
  });
  list.addEventListener("click", () => dialog.close());
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!step) return;
    const stops = [field, ...list.querySelectorAll("a")];
    event.preventDefault();
    stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length].focus();
  });
  addEventListener("keydown", (event) => {
    const typing = event.target.closest && event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && !dialog.open) { event.preventDefault(); launch(); }
  });
})();
