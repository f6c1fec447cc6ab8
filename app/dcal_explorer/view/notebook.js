// In notebooks: anywidget calls render for every place where the widget is shown.

function render({ model, el }) {
  let asked = 0;
  const waiting = new Map();
  const receive = ({ number, arrays, error }) => {
    const request = waiting.get(number);
    waiting.delete(number);
    if (!request) return; // another place of the same widget asked
    if (error) request.reject(new Error(error));
    else request.resolve(arrays);
  };
  const fetch = (request) => new Promise((resolve, reject) => {
    const number = `${Math.random()}/${(asked += 1)}`;
    waiting.set(number, { resolve, reject });
    model.send({ number, request });
  });
  model.on("msg:custom", receive);
  const host = document.createElement("div");
  el.append(host);
  const view = mount(host, model.get("payload"), { fetch });
  const changed = () => view.update(model.get("payload"));
  model.on("change:payload", changed);
  return () => {
    model.off("msg:custom", receive);
    model.off("change:payload", changed);
    view.destroy();
  };
}

export default { render };
