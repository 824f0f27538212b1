"use strict";
// Light or dark, as this browser was told last; else as its system has it.
(() => {
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("bec-theme"); } catch { return null; } };
  const set = (theme) => { if (theme === "light" || theme === "dark") { root.dataset.theme = theme; } };
  set(kept());
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) { return; }
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    set(dark ? "light" : "dark");
    try { localStorage.setItem("bec-theme", root.dataset.theme); } catch { /* a browser that keeps nothing */ }
    document.dispatchEvent(new Event("bec:theme"));
  });
})();
