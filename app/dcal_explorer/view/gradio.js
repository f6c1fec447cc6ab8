// In the demo: gr.HTML runs this once, with `element`, `props`, `server`, `trigger` and `watch` of its own, and `mount`.

const host = element.querySelector(".dcal-host");
let view = null;

async function answered(request) {
  const answer = await server.answer(request);
  if (answer.error) throw new Error(answer.error);
  return answer;
}

/** What the visitor has chosen, for gradio's event "look" and for the page's own scripts. */
function looked(state) {
  trigger("look", state);
  if (!props.link) element.dispatchEvent(new CustomEvent("dcal-look", { bubbles: true, composed: true, detail: state }));
}

function show() {
  if (!props.value) {
    view?.destroy();
    view = null;
  } else if (view) view.update(props.value);
  else view = mount(host, props.value, { fetch: answered, link: props.link || "", parts: props.parts || "all", onstate: looked });
}

watch("value", show);
show();
