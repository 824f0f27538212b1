"use strict";
// The viewer: the picture in OpenSeadragon, its lines as an SVG over it, each lit up with its text, and keys.
(() => {
  const stage = document.getElementById("stage");
  const drawing = document.getElementById("lines");
  const texts = new Map([...document.querySelectorAll(".lines li")].map((item) => [item.dataset.line, item]));
  const shapes = new Map(drawing ? [...drawing.querySelectorAll("g")].map((shape) => [shape.dataset.line, shape]) : []);
  const viewer = stage ? open() : null;
  let lit = null;

  // OpenSeadragon adds a style of its own where it finds none by this mark, and no style within a page is allowed here.
  function markStyled() {
    const mark = document.createElementNS("urn:bec", "style");
    mark.setAttribute("data-openseadragon-mobile-css", "");
    document.head.append(mark);
  }

  function open() {
    markStyled();
    const made = OpenSeadragon({
      element: stage, tileSources: stage.dataset.info, drawer: "canvas", showNavigationControl: false, crossOriginPolicy: false,
      animationTime: 0.4, springStiffness: 9, visibilityRatio: 0.6, minZoomImageRatio: 0.7, maxZoomPixelRatio: 3,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, keyboardNavEnabled: false,
      imageLoaderLimit: 6, timeout: 120000, preserveImageSizeOnResize: true,
    });
    const height = Number(stage.dataset.height) / Number(stage.dataset.width);
    made.addHandler("open", () => {
      drawing.removeAttribute("hidden");
      made.addOverlay({ element: drawing, location: new OpenSeadragon.Rect(0, 0, 1, height) });
      stage.dataset.ready = "yes";
      light(fromAddress(), { look: true });
    });
    made.addHandler("open-failed", (event) => tell(event.message));
    made.addHandler("canvas-click", (event) => {
      const shape = event.originalTarget.closest ? event.originalTarget.closest("g[data-line]") : null;
      if (event.quick && shape) { choose(shape.dataset.line); }
    });
    return made;
  }

  function tell(message) {
    const note = document.createElement("p");
    note.className = "state";
    note.textContent = `The picture cannot be shown: ${message}`;
    stage.replaceChildren(note);
  }

  function fromAddress() {
    const found = /^#line-(\d+)$/.exec(location.hash);
    return found && texts.has(found[1]) ? found[1] : null;
  }

  function light(number, { look = false } = {}) {
    for (const one of [texts.get(lit), shapes.get(lit)]) { one?.classList.remove("lit"); }
    lit = number;
    for (const one of [texts.get(lit), shapes.get(lit)]) { one?.classList.add("lit"); }
    if (look && shapes.has(lit)) { bring(shapes.get(lit)); }
  }

  // Move the picture so that a line is seen; it is not zoomed, so that nobody loses their way.
  function bring(shape) {
    const box = shape.getBBox();
    const image = viewer?.world.getItemAt(0);
    if (!image) { return; }
    const place = image.imageToViewportRectangle(box.x, box.y, box.width, box.height);
    if (!viewer.viewport.getBounds().containsPoint(place.getCenter())) { viewer.viewport.panTo(place.getCenter()); }
  }

  function choose(number) {
    history.replaceState(null, "", `#line-${number}`);
    light(number, { look: true });
    texts.get(number)?.querySelector("a").focus({ preventScroll: true });
    texts.get(number)?.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const numbers = [...texts.keys()];
    const at = numbers.indexOf(lit);
    const next = numbers[at < 0 ? (by > 0 ? 0 : numbers.length - 1) : at + by];
    if (next) { choose(next); }
  }

  function toggleLines() {
    const button = document.querySelector("[data-zoom=lines]");
    const shown = button?.getAttribute("aria-pressed") !== "true";
    button?.setAttribute("aria-pressed", String(shown));
    document.querySelector(".picture").classList.toggle("bare", !shown);
  }

  const zooms = {
    in: () => viewer?.viewport.zoomBy(1.4), out: () => viewer?.viewport.zoomBy(1 / 1.4),
    fit: () => viewer?.viewport.goHome(), lines: toggleLines,
  };
  const keys = {
    j: () => step(1), k: () => step(-1), l: toggleLines, "+": zooms.in, "=": zooms.in, "-": zooms.out, 0: zooms.fit,
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) { return; }
    const turn = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
    if (turn) { location.assign(turn.href); } else if (keys[event.key]) { keys[event.key](); } else { return; }
    event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-zoom]");
    if (button) { zooms[button.dataset.zoom](); return; }
    const item = event.target.closest(".lines li");
    if (item) { event.preventDefault(); choose(item.dataset.line); }
  });
  for (const kind of ["mouseover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      const over = event.target.closest ? event.target.closest("[data-line]") : null;
      if (over) { light(over.dataset.line, { look: kind === "focusin" }); }
    });
  }
  window.addEventListener("hashchange", () => light(fromAddress(), { look: true }));
})();
