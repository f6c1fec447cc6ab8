async () => {
  // A server that was started anew knows nothing of this page: it is loaded again, with the images that it showed.
  const PLACES = { inspect: "#image", compare: "#compared-image", query: "#query" };
  const KEY = "dcal-shown", SIDE = 2048, LARGEST = 1.5e6, LOOK = 5_000; // pixels, characters, ms
  const { root, api_prefix: prefix, app_id: server } = globalThis.gradio_config;

  function pixels(image) {
    const scale = Math.min(1, SIDE / Math.max(image.naturalWidth, image.naturalHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(scale * image.naturalWidth);
    canvas.height = Math.round(scale * image.naturalHeight);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const exact = canvas.toDataURL("image/png");
    return exact.length <= LARGEST ? exact : canvas.toDataURL("image/jpeg", 0.95);
  }

  function keep() {
    const shown = {};
    for (const [name, place] of Object.entries(PLACES)) {
      const image = document.querySelector(`${place} img`);
      if (!image?.naturalWidth) continue;
      const title = decodeURIComponent(image.src.split("/").pop()).replace(/\.\w+$/, "");
      shown[name] = { title, data: pixels(image) };
    }
    const card = document.querySelector("#queries [aria-pressed=true]")?.dataset.card;
    if (card) shown.query = { card }; // the gallery's own image, not its drawing
    sessionStorage.setItem(KEY, JSON.stringify(shown));
  }

  async function look() {
    const answer = await fetch(`${root}${prefix}/app_id`).catch(() => null); // null: there is no server now
    if (answer?.ok && (await answer.json()).app_id !== server) location.reload();
  }

  async function uploaded({ title, data }) {
    const blob = await (await fetch(data)).blob(), form = new FormData();
    form.append("files", blob, `${title}.${blob.type.split("/")[1]}`);
    const answer = await fetch(`${root}${prefix}/upload`, { method: "POST", body: form });
    return answer.ok ? (await answer.json())[0] : null;
  }

  const reloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";
  const kept = reloaded ? JSON.parse(sessionStorage.getItem(KEY) ?? "{}") : {};
  sessionStorage.removeItem(KEY);
  addEventListener("pagehide", keep);
  setInterval(look, LOOK);
  const sample = new URL(location).searchParams.has("image"); // which the address names
  const found = {};
  for (const [name, shown] of Object.entries(kept)) {
    if (shown.card) found.card = shown.card;
    else if (name !== "inspect" || !sample) found[name] = await uploaded(shown);
  }
  return found;
}
