// This runs before the page is drawn, so that it never shows in another theme first.
"use strict";
try {
  document.documentElement.dataset.theme = localStorage.getItem("theme") || "system";
} catch { /* no storage: the system's theme */ }
