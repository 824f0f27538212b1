"use strict";
// The course of a job: volumes by state, one on the other, and pages per second, drawn anew when something has moved on.
(() => {
  const place = document.querySelector("[data-course]");
  if (!place) { return; }
  let chart = null;
  let known = null;
  const DAY = 86400;
  const MINUTES = 600;
  const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  const formats = {
    day: new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" }),
    minute: new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" }),
    second: new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  };
  const times = (_, marks) => {
    const range = marks.at(-1) - marks[0];
    const format = formats[range > 2 * DAY ? "day" : range > MINUTES ? "minute" : "second"];
    return marks.map((mark) => format.format(mark * 1000));
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function columns(course) {
    const total = { enqueued: 0, done: 0, failed: 0, canceled: 0 };
    const spans = new Map(course.spans.map(([begin, ...what]) => [begin, what]));
    const first = course.spans[0][0];
    const last = course.spans.at(-1)[0];
    // Spans in which nothing came to pass are not told.
    const begins = Array.from({ length: Math.round((last - first) / course.seconds) + 1 }, (_, at) => first + at * course.seconds);
    const rows = begins.map((begin) => {
      const [enqueued, done, failed, canceled, pages] = spans.get(begin) ?? [0, 0, 0, 0, 0];
      total.enqueued += enqueued;
      total.done += done;
      total.failed += failed;
      total.canceled += canceled;
      // Each line lies on the one below it.
      const ended = [total.done, total.done + total.failed, total.done + total.failed + total.canceled];
      return [begin, ...ended, Math.max(total.enqueued, ended[2]), pages / course.seconds];
    });
    // It begins with nothing, a span before anything was enqueued.
    rows.unshift([first - course.seconds, 0, 0, 0, 0, null]);
    return [0, 1, 2, 3, 4, 5].map((at) => rows.map((row) => row[at]));
  }

  // A line of the stack; what it tells is the height of its own layer.
  function layer(label, name) {
    const own = (chart, value, series, at) => (at === null || value === null ? "" : String(value - (series > 1 ? chart.data[series - 1][at] : 0)));
    return { label, stroke: colour(name), width: 1.5, points: { show: false }, value: own };
  }

  function draw() {
    chart?.destroy();
    if (!known.spans.length) {
      place.textContent = "No volume was enqueued yet.";
      return;
    }
    place.textContent = "";
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    chart = new uPlot({
      width: place.clientWidth, height: 240, cursor: { drag: { x: true, y: false } },
      scales: { rate: { range: (_, low, high) => [0, Math.max(high, 0.1)] }, y: { range: (_, low, high) => [0, Math.max(high, 1)] } },
      series: [
        { label: "until", value: (_, at) => (at === null ? "" : whole.format(at * 1000)) },
        { ...layer("done", "--done"), fill: `${colour("--done")}55` },
        layer("failed", "--failed"), layer("canceled", "--canceled"), layer("unfinished", "--queued"),
        { label: "pages/s", stroke: colour("--running"), width: 1.5, scale: "rate", dash: [6, 4], points: { show: false }, value: (_, value) => value === null ? "" : value.toFixed(1) },
      ],
      bands: [
        { series: [4, 3], fill: `${colour("--queued")}33` }, { series: [3, 2], fill: `${colour("--canceled")}55` },
        { series: [2, 1], fill: `${colour("--failed")}77` },
      ],
      axes: [{ ...axis, values: times, space: 80 }, { ...axis, size: 60, values: (_, marks) => marks.map((mark) => (Number.isInteger(mark) ? mark.toLocaleString("en") : "")) }, { ...axis, side: 1, scale: "rate", grid: { show: false }, size: 60 }],
    }, columns(known), place);
  }

  async function load() {
    const answer = await fetch(place.dataset.course, { headers: { Accept: "application/json" } });
    if (!answer.ok) { return; }
    known = await answer.json();
    draw();
  }

  new ResizeObserver(() => { if (chart) { chart.setSize({ width: place.clientWidth, height: 240 }); } }).observe(place);
  document.addEventListener("bec:theme", () => { if (known) { draw(); } });
  document.body.addEventListener("htmx:sseMessage", load);
  load();
})();
