() => {
  // What gradio's own components leave to be wished for.
  // Gradio gives the buttons around its images no name: samples take their file's, drawings their component's.
  const NAMELESS = "button.gallery-item:not([aria-label]), .drawn button:has(> .image-frame):not([aria-label])";

  function named(button) {
    const drawing = button.closest(".drawn");
    if (!drawing) return `Sample: ${decodeURIComponent(button.querySelector("img")?.src.split("/").pop() ?? "").replace(/\.\w+$/, "")}`;
    const stem = drawing.id.replace(/-drawing$/, "");
    const caption = document.getElementById(`${stem}-sentence`);
    if (caption) button.setAttribute("aria-describedby", caption.id);
    return `${stem.replaceAll("-", " ")}, drawn`;
  }

  function name() {
    for (const button of document.querySelectorAll(NAMELESS)) {
      if (button.querySelector("img")?.src) button.setAttribute("aria-label", named(button));
    }
  }

  // What is typed into a list replaces its text: gradio would insert it where the click happened to be.
  const TEXT = "input[role=listbox], input[role=combobox]";
  let entered = null;
  document.addEventListener("focusin", ({ target }) => {
    entered = target.matches?.(TEXT) ? target : null;
    entered?.select();
  });
  document.addEventListener("mouseup", () => {
    const input = entered;
    entered = null;
    if (input && input === document.activeElement) setTimeout(() => input.select());
  });

  // Gradio empties the place of an image when another is dropped on it, and leaves it so where it refuses that one: if
  // nothing is uploaded there and nothing has come for a second, the image that was there comes back.
  const full = new Set();
  const watched = new Map();

  function look() {
    for (const place of ["image", "compared-image", "query"]) {
      const here = document.getElementById(place);
      if (here?.querySelector("img")) full.add(place);
      else if (here?.checkVisibility() && full.delete(place) && !byHand()) watch(place);
    }
  }

  function byHand() {
    return Date.now() - (globalThis.dcalPressed ?? 0) < 2000; // see components.py
  }

  function watch(place) {
    let empty = 0;
    clearInterval(watched.get(place));
    watched.set(place, setInterval(() => {
      if (document.querySelector(`#${place} .uploading`)) return void (empty = 0);
      const filled = document.querySelector(`#${place} img`);
      if (!filled && ++empty < 5) return;
      clearInterval(watched.get(place));
      if (filled) full.add(place);
      else document.getElementById(`${place}-again`)?.click();
    }, 250));
  }

  let waiting = 0;
  const later = () => (waiting ||= setTimeout(() => { waiting = 0; name(); look(); }, 100));
  new MutationObserver(later).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
  name();
  look();
}
