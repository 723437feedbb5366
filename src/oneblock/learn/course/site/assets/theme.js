// Runs before the page is drawn, so that a theme chosen earlier does not flash. Without a choice the system's holds.
try {
  const kept = localStorage.getItem("oneblock-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
} catch { /* A browser that keeps nothing shows the system's theme. */ }
