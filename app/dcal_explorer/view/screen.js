// Full screen: the browser's own where it can be had, else the whole window.

import { element, say } from "./elements.js";

/** A button that enlarges `root` to the whole screen and back; `changed()` is called after either. */
export function fullScreen(root, changed) {
  const button = element("button", { type: "button", className: "dcal-screen", onclick: toggle });
  const isOn = () => root.getRootNode().fullscreenElement === root || root.classList.contains("dcal-window");

  function show() {
    say(button, isOn() ? "Close full screen" : "Full screen");
    button.setAttribute("aria-pressed", isOn());
    root.classList.toggle("dcal-full", isOn());
    changed();
  }

  async function toggle() {
    if (root.classList.contains("dcal-window")) root.classList.remove("dcal-window");
    else if (isOn()) await document.exitFullscreen();
    else {
      try {
        await root.requestFullscreen();
      } catch {
        root.classList.add("dcal-window"); // frames and phones often refuse: the window is the next best
      }
    }
    show();
  }

  root.onfullscreenchange = show;
  root.onkeydown = (event) => {
    if (event.key !== "Escape" || !root.classList.contains("dcal-window")) return;
    root.classList.remove("dcal-window");
    show();
  };
  show();
  return button;
}
