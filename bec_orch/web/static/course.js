"use strict";
// The course of a job: volumes that ended so far, and pages per second, drawn anew when something has moved on.
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
    let done = 0;
    let failed = 0;
    const rows = course.spans.map(([begin, ended, lost, pages]) => {
      done += ended;
      failed += lost;
      return [begin, done, failed, pages / course.seconds];
    });
    // It begins with nothing, a span before anything ended.
    rows.unshift([course.spans[0][0] - course.seconds, 0, 0, null]);
    return [0, 1, 2, 3].map((at) => rows.map((row) => row[at]));
  }

  function draw() {
    chart?.destroy();
    if (!known.spans.length) {
      place.textContent = "No volume has ended yet.";
      return;
    }
    place.textContent = "";
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    chart = new uPlot({
      width: place.clientWidth, height: 240, cursor: { drag: { x: true, y: false } },
      scales: { rate: { range: (_, low, high) => [0, Math.max(high, 0.1)] }, y: { range: (_, low, high) => [0, Math.max(high, 1)] } },
      series: [
        { label: "until", value: (_, at) => (at === null ? "" : whole.format(at * 1000)) },
        { label: "done", stroke: colour("--done"), width: 2, fill: `${colour("--done")}22` },
        { label: "failed", stroke: colour("--failed"), width: 2 },
        { label: "pages/s", stroke: colour("--running"), width: 1.5, scale: "rate", dash: [6, 4], value: (_, value) => value === null ? "" : value.toFixed(1) },
      ],
      axes: [{ ...axis, values: times }, { ...axis, size: 60 }, { ...axis, side: 1, scale: "rate", grid: { show: false }, size: 60 }],
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
