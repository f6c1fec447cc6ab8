// What the views on one page tell each other: which patch is pointed at or kept, and what linked views show.
// One event target for the whole page, however often this module was loaded.

const NAME = Symbol.for("dcal-explorer.views");

function bus() {
  globalThis[NAME] ??= new EventTarget();
  return globalThis[NAME];
}

/** Send `message`, {kind, …}, to every other view. */
export function publish(sender, message) {
  bus().dispatchEvent(new CustomEvent("message", { detail: { sender, message } }));
}

/** Call `receive(message)` for what others send; the function that comes back ends it. */
export function subscribe(receiver, receive) {
  const listen = ({ detail }) => {
    if (detail.sender !== receiver) receive(detail.message);
  };
  bus().addEventListener("message", listen);
  return () => bus().removeEventListener("message", listen);
}
