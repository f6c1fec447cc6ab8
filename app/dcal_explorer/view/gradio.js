// In the demo: gr.HTML runs this once, with `element`, `props`, `server`, `trigger` and `watch` of its own, and `mount`.

const host = element.querySelector(".dcal-host");
let view = null;

async function answered(request) {
  const answer = await server.answer(request);
  if (answer.error) throw new Error(answer.error);
  return answer;
}

function show() {
  if (!props.value) {
    view?.destroy();
    view = null;
  } else if (view) view.update(props.value);
  else view = mount(host, props.value, { fetch: answered, link: props.link || "", onstate: (state) => trigger("look", state) });
}

watch("value", show);
show();
