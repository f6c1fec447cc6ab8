// Light or dark, as the page around is: told from the colour that its text has here.

const SETTLED = 400; // milliseconds after which a page's colours have passed over into each other

/** Keep `root`'s data-theme right: {look, end}. `look()` looks again at once; `end()` ends it. */
export function watchTheme(root) {
  const query = matchMedia("(prefers-color-scheme: dark)");
  function look() {
    const around = root.parentElement ?? root.getRootNode().host; // a shadow root is no element
    const colour = around ? getComputedStyle(around).color : "";
    const [red, green, blue] = (colour.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
    root.dataset.theme = 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "dark" : "light";
  }
  let settling = 0;
  const later = () => {
    requestAnimationFrame(look);
    clearTimeout(settling);
    settling = setTimeout(look, SETTLED);
  };
  const observer = new MutationObserver(later);
  for (const target of [document.documentElement, document.body]) {
    observer.observe(target, { attributes: true, attributeFilter: ["class", "style", "data-theme"] });
  }
  query.addEventListener("change", later);
  look();
  const end = () => {
    clearTimeout(settling);
    observer.disconnect();
    query.removeEventListener("change", later);
  };
  return { look, end };
}
