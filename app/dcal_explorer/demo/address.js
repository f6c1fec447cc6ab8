() => {
  // What is chosen stands in the page's address. Steps that a person would take back are entries of the history.
  const STEPS = ["tab", "image", "checkpoint", "class", "rival"];
  const VIEW = ["map", "layer", "head", "fusion", "prefix", "kept", "scale", "clip", "start", "discard", "smooth", "colours"];
  const usual = { head: -1, fusion: "mean", prefix: 0, kept: null, scale: "all", clip: false, start: 0, discard: 0, smooth: false };

  function set(changes) {
    const address = new URL(location);
    let step = false;
    for (const [name, value] of Object.entries(changes)) {
      const text = value === null || value === undefined ? "" : String(value);
      const before = address.searchParams.get(name) ?? "";
      if (text === before) continue;
      step ||= STEPS.includes(name) && before !== "";
      if (text) address.searchParams.set(name, text);
      else address.searchParams.delete(name);
    }
    if (address.href === location.href) return;
    if (step) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }

  function view(state) {
    const told = Object.fromEntries(VIEW.filter((name) => state[name] !== usual[name]).map((name) => [name, state[name]]));
    set({ view: JSON.stringify(told) });
  }

  if (!globalThis.dcalAddress) {
    globalThis.dcalAddress = { set, view };
    addEventListener("popstate", () => document.querySelector("#restore")?.click());
    document.addEventListener("click", ({ target, isTrusted }) => {
      if (isTrusted && target.closest?.("button:not(.toast-close)")) globalThis.dcalPressed = Date.now(); // see components.py
    }, true);
    document.addEventListener("dcal-look", (event) => view(event.detail));
  }
  return location.search;
}
