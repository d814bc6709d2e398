// Draws the panels that Python chose: curves, marks of a finding, limits, intervals and gaps. Nothing is decided here.
(() => {
  "use strict";
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const live = new Map(); // figure -> {u, spec}
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const finite = (v) => typeof v === "number" && Number.isFinite(v);
  const number = (v) => {
    if (!finite(v)) return "--";
    const size = Math.abs(v);
    return size !== 0 && (size < 1e-3 || size >= 1e6) ? v.toExponential(2).replace(/\.?0+e/, "e") : String(+v.toPrecision(4));
  };

  function yRange(spec) {
    return (u, low, high) => {
      if (!finite(low) || !finite(high)) return [spec.log ? 0.1 : 0, 1];
      const log = spec.log;
      const reach = log ? 2 : 2 * (high - low || Math.abs(high) || 1);
      const near = (v) => log
        ? v > 0 && Math.log10(v) > Math.log10(low) - reach && Math.log10(v) < Math.log10(high) + reach
        : v > low - reach && v < high + reach;
      const also = [...spec.limits.map((l) => l.y), ...spec.bands.flatMap((b) => [b.low, b.high])].filter(near);
      const all = [low, high, ...also];
      const [a, b] = [Math.min(...all), Math.max(...all)];
      if (a === b) return log ? [a / 3, a * 3] : [a - (Math.abs(a) || 1) * 0.1, a + (Math.abs(a) || 1) * 0.1];
      return log ? uPlot.rangeLog(a, b, 10, false) : uPlot.rangeNum(a, b, 0.08, true);
    };
  }

  // The nearest recorded point of each line, so that the legend reads off lines that were sampled at other steps.
  function nearest(u, line, index) {
    const y = u.data[line];
    for (let d = 0; d < y.length; d++) {
      if (y[index - d] != null) return index - d;
      if (y[index + d] != null) return index + d;
    }
    return index;
  }

  const font = () => `${11 * devicePixelRatio}px system-ui, sans-serif`;

  function text(u, words, x, y, fill, align = "left") {
    const c = u.ctx;
    c.font = font();
    c.textAlign = align;
    c.lineWidth = 3 * devicePixelRatio;
    c.strokeStyle = colour("--paper");
    c.lineJoin = "round";
    c.strokeText(words, x, y);
    c.fillStyle = fill;
    c.fillText(words, x, y);
  }

  function clipped(u, draw) {
    const { left, top, width, height } = u.bbox;
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(left, top, width, height);
    u.ctx.clip();
    draw({ left, top, width, height, right: left + width, bottom: top + height, px: devicePixelRatio });
    u.ctx.restore();
  }

  function line(u, x0, y0, x1, y1, stroke, width, dash) {
    const c = u.ctx;
    c.beginPath();
    c.strokeStyle = stroke;
    c.lineWidth = width;
    c.setLineDash(dash || []);
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
    c.stroke();
    c.setLineDash([]);
  }

  function under(u, spec) {
    clipped(u, (b) => {
      for (const band of spec.bands) {
        const [y0, y1] = [u.valToPos(band.high, "y", true), u.valToPos(band.low, "y", true)];
        u.ctx.globalAlpha = 0.16;
        u.ctx.fillStyle = colour("--c1");
        u.ctx.fillRect(b.left, y0, b.width, Math.max(y1 - y0, b.px));
        u.ctx.globalAlpha = 1;
      }
      for (const l of spec.lines) {
        for (const [first, last] of data.curves[l.curve].bad) {
          const x0 = u.valToPos(first, "x", true);
          const w = Math.max(u.valToPos(last, "x", true) - x0, 2 * b.px);
          u.ctx.fillStyle = colour("--error");
          u.ctx.globalAlpha = 0.09;
          if (spec.lines.length <= 3) u.ctx.fillRect(x0, b.top, w, b.height); // of many lines, one gap is not the panel's
          u.ctx.globalAlpha = 1;
          u.ctx.fillRect(x0, b.bottom - 4 * b.px, w, 4 * b.px);
        }
      }
    });
  }

  function over(u, spec) {
    clipped(u, (b) => {
      const red = colour("--error");
      const words = []; // drawn last, over all lines
      for (const limit of spec.limits) {
        const at = Math.min(Math.max(u.valToPos(limit.y, "y", true), b.top + b.px), b.bottom - b.px);
        line(u, b.left, at, b.right, at, red, 1.25 * b.px, [6 * b.px, 4 * b.px]);
        words.push([limit.text, b.right - 4 * b.px, at - 5 * b.px < b.top + 12 * b.px ? at + 13 * b.px : at - 5 * b.px, red, "right"]);
      }
      for (const band of spec.bands) {
        words.push([band.text, b.left + 4 * b.px, u.valToPos(band.low, "y", true) + 13 * b.px, colour("--c1"), "left"]);
      }
      spec.marks.forEach((mark, row) => {
        const at = u.valToPos(mark.x, "x", true);
        if (!finite(at) || at < b.left || at > b.right) return;
        const ink = mark.weak ? colour("--soft") : red;
        line(u, at, b.top, at, b.bottom, ink, (mark.weak ? 1 : 1.5) * b.px, mark.weak ? [3 * b.px, 3 * b.px] : []);
        u.ctx.font = font();
        const flip = at + u.ctx.measureText(mark.text).width + 6 * b.px > b.right;
        words.push([mark.text, at + (flip ? -5 : 5) * b.px, b.top + (13 + 14 * row) * b.px, ink, flip ? "right" : "left"]);
      });
      for (const l of spec.lines) {
        const bad = data.curves[l.curve].bad;
        if (bad.length) {
          const x = Math.min(u.valToPos(bad[0][0], "x", true) + 4 * b.px, b.right - 30 * b.px);
          words.push([bad[0][2], Math.max(x, b.left + 4 * b.px), b.bottom - 9 * b.px, red, "left"]);
        }
      }
      for (const w of words) text(u, ...w);
    });
    for (const p of spec.points) { // not clipped: a point on the frame is shown whole
      const [x, y, px] = [u.valToPos(p.x, "x", true), u.valToPos(p.y, "y", true), devicePixelRatio];
      const { left, top, width, height } = u.bbox;
      if (!(x >= left && x <= left + width && y >= top && y <= top + height)) continue;
      u.ctx.beginPath();
      u.ctx.arc(x, y, 4.5 * px, 0, 2 * Math.PI);
      u.ctx.fillStyle = colour("--paper");
      u.ctx.strokeStyle = colour("--error");
      u.ctx.lineWidth = 2 * px;
      u.ctx.fill();
      u.ctx.stroke();
    }
  }

  // On a logarithmic axis a grid line a decade is enough, where there are two.
  function decades(spec, ticks) {
    const whole = ticks.map((v) => (v > 0 && Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9 ? v : null));
    return spec.log && whole.filter((v) => v !== null).length > 1 ? whole : ticks;
  }

  function seriesOf(l, index, spec, lines) {
    const raw = l.style === "raw";
    const place = lines.slice(0, index).filter((other) => other.style !== "raw").length;
    const ink = colour(`--c${place % 8}`);
    const points = data.curves[l.curve].x.length;
    return {
      label: l.name, stroke: raw ? ink + "66" : ink, width: raw ? 1 : points > 300 ? 1.25 : 1.75, spanGaps: false,
      points: { show: points <= 60, size: 5, fill: ink, stroke: ink },
      value: (u, v) => number(v),
      ...(l.style === "step" ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
    };
  }

  function build(figure, spec) {
    const holder = figure.querySelector(".draw");
    const width = holder.clientWidth;
    if (!width) return;
    const tables = spec.lines.map((l) => [data.curves[l.curve].x, data.curves[l.curve].y]);
    const axis = { stroke: colour("--soft"), font: "11px system-ui, sans-serif", grid: { stroke: colour("--grid"), width: 1 }, ticks: { stroke: colour("--rule"), width: 1, size: 5 } };
    const options = {
      width, height: width > 700 ? 300 : 240,
      cursor: { dataIdx: nearest, drag: { x: true, y: false }, points: { size: 6 }, sync: { key: spec.group, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } } },
      scales: { x: { time: false }, y: { distr: spec.log ? 3 : 1, range: yRange(spec) } },
      axes: [{ ...axis, size: 32, values: (u, ticks) => ticks.map((v) => (v === null ? "" : Math.abs(v) >= 1e6 ? v.toExponential(0) : v.toLocaleString("en"))) },
             { ...axis, size: 58, grid: { ...axis.grid, filter: (u, ticks) => decades(spec, ticks) }, values: (u, ticks) => ticks.map((v) => (v === null ? "" : number(v))) }],
      series: [{ label: "step", value: (u, v) => (v == null ? "--" : v.toLocaleString("en")) }, ...spec.lines.map((l, i) => seriesOf(l, i, spec, spec.lines))],
      hooks: { drawAxes: [(u) => under(u, spec)], draw: [(u) => over(u, spec)] },
    };
    if (live.has(figure)) live.get(figure).u.destroy();
    const u = new uPlot(options, uPlot.join(tables), holder);
    live.set(figure, { u, spec });
    figure.dataset.drawn = String(spec.lines.length);
  }

  function zoom(u, factor) {
    const xs = u.data[0];
    const { min, max } = u.scales.x;
    const middle = u.cursor.idx == null ? (min + max) / 2 : xs[u.cursor.idx];
    const reach = ((max - min) / 2) * factor;
    u.setScale("x", { min: Math.max(xs[0], middle - reach), max: Math.min(xs[xs.length - 1], middle + reach) });
  }

  function onKey(figure, event) {
    const plot = live.get(figure);
    if (!plot) return;
    const { u } = plot;
    const xs = u.data[0];
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
    if (move !== undefined) {
      const at = Math.min(Math.max((u.cursor.idx ?? 0) + move, 0), xs.length - 1);
      u.setCursor({ left: u.valToPos(xs[at], "x"), top: u.over.clientHeight / 2 });
    } else if (event.key === "+" || event.key === "=") zoom(u, 0.5);
    else if (event.key === "-") zoom(u, 2);
    else if (event.key === "0") u.setScale("x", { min: xs[0], max: xs[xs.length - 1] });
    else return;
    event.preventDefault();
  }

  function toolbar(figure, spec) {
    const caption = figure.querySelector("figcaption");
    caption.querySelectorAll("button").forEach((b) => b.remove());
    if (!spec.positive) return;
    const log = document.createElement("button");
    log.type = "button";
    log.textContent = "log scale";
    log.setAttribute("aria-pressed", String(spec.log));
    log.addEventListener("click", () => {
      spec.log = !spec.log;
      log.setAttribute("aria-pressed", String(spec.log));
      build(figure, spec);
    });
    caption.append(log);
  }

  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && target.dataset.plot && !live.has(target)) build(target, data.plots[target.dataset.plot]);
    }
  }, { rootMargin: "600px" });
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = live.get(target.closest("figure"));
      const width = target.clientWidth;
      if (plot && width && Math.abs(width - plot.u.width) > 1) plot.u.setSize({ width, height: width > 700 ? 300 : 240 });
    }
  });
  for (const figure of document.querySelectorAll("figure.plot")) {
    const holder = figure.querySelector(".draw");
    holder.addEventListener("keydown", (event) => onKey(figure, event));
    resized.observe(holder);
    if (figure.dataset.plot) {
      toolbar(figure, data.plots[figure.dataset.plot]);
      if (figure.getBoundingClientRect().top < innerHeight) build(figure, data.plots[figure.dataset.plot]);
      seen.observe(figure);
    }
  }

  for (const button of document.querySelectorAll("button[data-curve]")) {
    button.addEventListener("click", () => {
      const box = button.closest("details");
      const figure = box.querySelector(".chosen");
      box.querySelectorAll('[aria-pressed="true"]').forEach((b) => b.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", "true");
      figure.hidden = false;
      figure.querySelector("figcaption span").textContent = button.textContent;
      const curve = Number(button.dataset.curve);
      const positive = data.curves[curve].y.every((v) => v === null || v > 0);
      const spec = { lines: [{ name: button.textContent, curve, style: "line" }], log: false, positive, marks: [], limits: [], bands: [], points: [], group: "chosen" };
      toolbar(figure, spec);
      build(figure, spec);
      figure.querySelector(".draw").setAttribute("aria-label", `${button.textContent} against step`);
    });
  }

  const rebuild = () => [...live].forEach(([figure, { spec }]) => build(figure, spec));
  const system = matchMedia("(prefers-color-scheme: dark)");
  const toggle = document.getElementById("theme");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const name = () => { toggle.textContent = dark() ? "Light" : "Dark"; toggle.setAttribute("aria-label", `Switch to the ${dark() ? "light" : "dark"} theme`); };
  try { // storage is forbidden for files in some browsers
    const kept = localStorage.getItem("tocsin-theme");
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  } catch { /* the choice then lasts as long as the page */ }
  toggle.hidden = false;
  name();
  toggle.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("tocsin-theme", root.dataset.theme); } catch { /* as above */ }
    name();
    rebuild();
  });
  system.addEventListener("change", () => { name(); rebuild(); });
  addEventListener("beforeprint", () => {
    for (const figure of document.querySelectorAll("figure[data-plot]")) if (!live.has(figure)) build(figure, data.plots[figure.dataset.plot]);
  });
  root.dataset.ready = "1";
})();
