// In the dashboard: streamlit calls this after every run of the script, with the same `parentElement`.

const views = new WeakMap(); // parentElement → {view, id, component, waiting, again}

const AGAIN = 30_000; // milliseconds after which a trigger that no run has answered is set again

/** One request at a time goes to the script as a trigger; the run that follows brings its answer. */
function asker(place) {
  return (request) => new Promise((resolve, reject) => {
    place.waiting.push({ request, key: JSON.stringify(request), resolve, reject });
    if (place.waiting.length === 1) ask(place);
  });
}

function ask(place) {
  clearTimeout(place.again);
  if (!place.waiting.length) return;
  place.component.setTriggerValue("fetch", place.waiting[0].request);
  place.again = setTimeout(() => ask(place), AGAIN);
}

function settle(place, data) {
  const [first] = place.waiting;
  if (!first || !data.answer || JSON.stringify(data.answer.request) !== first.key) return;
  place.waiting.shift();
  if (data.answer.error) first.reject(new Error(data.answer.error));
  else first.resolve(data.answer.arrays);
  ask(place);
}

export default function show(component) {
  const { data, parentElement } = component;
  let place = views.get(parentElement);
  if (!place) {
    place = { waiting: [], id: null };
    views.set(parentElement, place);
  }
  place.component = component;
  if (place.id === data.payload.id) settle(place, data);
  else {
    for (const { reject } of place.waiting.splice(0)) reject(new Error("Another image is shown now."));
    place.id = data.payload.id;
    if (place.view) place.view.update(data.payload);
    else {
      place.view = mount(parentElement.querySelector(".dcal-host"), data.payload, {
        fetch: asker(place),
        link: data.link,
        parts: data.parts,
        state: data.state,
        onstate: (state) => data.remembers && place.component.setStateValue("look", state),
      });
    }
  }
  return () => {
    clearTimeout(place.again);
    place.view.destroy();
    views.delete(parentElement);
  };
}
