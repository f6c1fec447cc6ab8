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

  // An image that gradio refuses for its size takes the place of the one that was there, with its message or after it.
  function bringBack() {
    const refused = [...document.querySelectorAll(".toast-body:not([data-answered])")];
    for (const toast of refused.filter(({ textContent }) => textContent.includes("maximum allowed size"))) {
      toast.dataset.answered = "yes";
      for (const wait of [0, 1000, 3000]) setTimeout(fill, wait);
    }
  }

  function fill() {
    for (const place of ["image", "compared-image", "query"]) {
      if (!document.querySelector(`#${place} img`)) document.getElementById(`${place}-again`)?.click();
    }
  }

  let waiting = 0;
  const later = () => (waiting ||= setTimeout(() => { waiting = 0; name(); bringBack(); }, 100));
  new MutationObserver(later).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
  name();
}
