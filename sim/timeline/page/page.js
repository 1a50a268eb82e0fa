"use strict";
// Shows a trace (the document that perfetto.py writes) on a canvas: zoom, move, hover, arrows.

const ROW = 18, COUNTER_ROW = 34, NAMES = 170, RULER = 22, LEAST_CYCLES = 8;
const CHAIN = "critical chain";
const COLOURS = [
  [/^wait_.*token/, "#e07b39"], [/^wait_.*room/, "#c2527a"], [/^wait_bus/, "#d9a514"],
  [/^wait/, "#b5651d"], [/^idle/, "#bbbbbb"], [/^(gemm|busy)/, "#4a9a5b"], [/^alu/, "#4a7fb5"],
  [/^load/, "#6aa7a0"], [/^store/, "#8a6fb0"], [/^fetch/, "#999999"], [/./, "#7d8ca3"],
];

// The trace as tracks -----------------------------------------------------------------------------
// {name, slices sorted by begin} in the order of their ids, then {name, points} for each counter.
function tracksOf(trace) {
  const threads = new Map(), counters = new Map();
  for (const event of trace.traceEvents)
    if (event.name === "thread_name") threads.set(event.tid, { name: event.args.name, slices: [] });
  for (const event of trace.traceEvents) {
    if (event.ph === "X") threads.get(event.tid).slices.push(event);
    if (event.ph === "C") {
      if (!counters.has(event.name)) counters.set(event.name, { name: event.name, points: [] });
      counters.get(event.name).points.push([event.ts, event.args.value]);
    }
  }
  const rows = [...threads].sort((a, b) => a[0] - b[0]).map(([tid, track]) => ({ tid, ...track }));
  for (const row of rows) row.slices.sort((a, b) => a.ts - b.ts);
  return [...rows, ...counters.values()];
}

// Arrows as {from, to}: the two events of each id.
function arrowsOf(trace) {
  const arrows = new Map();
  for (const event of trace.traceEvents) {
    if (event.ph === "s") arrows.set(`${event.cat} ${event.id}`, { from: event });
    if (event.ph === "f") arrows.get(`${event.cat} ${event.id}`).to = event;
  }
  return [...arrows.values()];
}

// Cycles of the chain by stage and state, the most first.
function chainSums(trace, tracks) {
  const sums = new Map(), chain = tracks.find((track) => track.name === CHAIN);
  for (const slice of chain ? chain.slices : [])
    sums.set(slice.name, (sums.get(slice.name) || 0) + slice.dur);
  const rows = [...sums].map(([name, cycles]) => [...name.split(": "), cycles]);
  return rows.sort((a, b) => b[2] - a[2]);
}

// The first of the slices, sorted by begin, that ends behind a cycle.
function firstAt(slices, cycle) {
  let low = 0, high = slices.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (slices[middle].ts + slices[middle].dur <= cycle) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sliceAt(slices, cycle, reach) {
  const slice = slices[firstAt(slices, cycle - reach)];
  return slice && slice.ts <= cycle + reach ? slice : null;
}

function valueAt(points, cycle) {
  let value = 0;
  for (const [ts, here] of points) {
    if (ts > cycle) break;
    value = here;
  }
  return value;
}

// A range of cycles, zoomed round one of them, inside of the run.
function zoomed(range, around, factor, cycles) {
  const length = Math.min(cycles, Math.max(LEAST_CYCLES, (range.to - range.from) * factor));
  const share = (around - range.from) / (range.to - range.from);
  return moved({ from: around - share * length, to: around + (1 - share) * length }, 0, cycles);
}

function moved(range, by, cycles) {
  const length = range.to - range.from;
  const from = Math.max(0, Math.min(range.from + by, cycles - length));
  return { from, to: from + length };
}

function describe(slice) {
  const lines = [`${slice.name}: cycles ${slice.ts} to ${slice.ts + slice.dur} (${slice.dur})`];
  for (const [key, value] of Object.entries(slice.args || {}))
    lines.push(`${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return lines.join("\n");
}

function colourOf(name) {
  return COLOURS.find(([pattern]) => pattern.test(name.replace(/^\w+: /, "")))[1];
}

// The page ----------------------------------------------------------------------------------------
function start(document, window) {
  const element = (id) => document.getElementById(id);
  const trace = JSON.parse(element("trace").textContent);
  const cycles = Math.max(1, trace.otherData.cycles);
  const tracks = tracksOf(trace), arrows = arrowsOf(trace);
  const canvas = element("canvas"), context = canvas.getContext("2d"), tip = element("tip");
  let range = { from: 0, to: cycles }, chosen = null, dragged = null;

  let height = RULER;
  for (const track of tracks) {
    track.top = height;
    height += track.points ? COUNTER_ROW : ROW;
  }
  const width = () => canvas.clientWidth - NAMES;
  const x = (cycle) => NAMES + ((cycle - range.from) / (range.to - range.from)) * width();
  const cycleAt = (at) => range.from + ((at - NAMES) / width()) * (range.to - range.from);
  const trackAt = (y) => tracks.filter((track) => track.top <= y).pop();
  const middle = (tid) => tracks.find((track) => track.tid === tid).top + ROW / 2;

  function draw() {
    const scale = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = height * scale;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    drawRuler();
    for (const track of tracks) track.points ? drawCounter(track) : drawSlices(track);
    if (element("chain").checked) drawChain();
    if (chosen) drawArrows();
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, NAMES, height);
    context.fillStyle = "#222222";
    for (const track of tracks) context.fillText(track.name, 6, track.top + ROW / 2);
  }
  function drawRuler() {
    const step = 10 ** Math.ceil(Math.log10((range.to - range.from) / 10));
    context.fillStyle = "#666666";
    for (let at = Math.ceil(range.from / step) * step; at <= range.to; at += step) {
      context.fillText(String(at), x(at) + 2, RULER / 2);
      context.fillRect(x(at), 0, 1, height);
    }
  }
  function drawSlices(track) {
    let drawnTo = -1;
    for (let n = firstAt(track.slices, range.from); n < track.slices.length; n++) {
      const slice = track.slices[n];
      if (slice.ts > range.to) break;
      const left = Math.max(x(slice.ts), NAMES), right = x(slice.ts + slice.dur);
      if (right < drawnTo + 0.5) continue; // of many in one pixel, the first
      drawnTo = Math.max(right, left + 1);
      context.fillStyle = colourOf(slice.name);
      context.fillRect(left, track.top + 2, Math.max(right - left - 0.5, 1), ROW - 4);
      if (right - left < 40) continue;
      context.save();
      context.beginPath();
      context.rect(left, track.top, right - left - 2, ROW);
      context.clip();
      context.fillStyle = "#ffffff";
      context.fillText(slice.name, left + 3, track.top + ROW / 2);
      context.restore();
    }
  }
  function drawCounter(track) {
    const most = Math.max(1, ...track.points.map(([, value]) => value));
    const bottom = track.top + COUNTER_ROW - 3;
    context.fillStyle = "#a9bcd0";
    track.points.forEach(([ts, value], n) => {
      const end = n + 1 < track.points.length ? track.points[n + 1][0] : cycles;
      if (end < range.from || ts > range.to) return;
      const tall = (value / most) * (COUNTER_ROW - 6);
      context.fillRect(x(ts), bottom - tall, Math.max(x(end) - x(ts), 1), tall);
    });
    context.fillStyle = "#666666";
    context.fillText(`of ${most}`, 6, track.top + ROW + 6);
  }
  function drawChain() {
    const chain = tracks.find((track) => track.name === CHAIN);
    context.fillStyle = "#c00000";
    for (const piece of chain.slices) {
      if (piece.ts > range.to) break;
      const stage = piece.name.split(":")[0];
      const row = tracks.find((track) => track.name === `${stage} states`);
      const left = Math.max(x(piece.ts), NAMES), right = x(piece.ts + piece.dur);
      if (right >= NAMES) context.fillRect(left, row.top + ROW - 3, Math.max(right - left, 1), 3);
    }
  }
  function drawArrows() {
    const { tid, ts, dur } = chosen;
    const touches = (end) => end.tid === tid && ts <= end.ts && end.ts < ts + dur;
    for (const { from, to } of arrows) {
      if (!touches(from) && !touches(to)) continue;
      context.strokeStyle = from.cat === "token" ? "#c00000" : "#0050c0";
      context.beginPath();
      context.moveTo(x(from.ts), middle(from.tid));
      context.lineTo(x(to.ts), middle(to.tid));
      context.stroke();
      context.fillStyle = context.strokeStyle;
      context.fillRect(x(to.ts) - 3, middle(to.tid) - 3, 6, 6);
    }
  }
  // The slice, or the line about a counter, under the mouse.
  function under(event) {
    const track = trackAt(event.offsetY), cycle = cycleAt(event.offsetX);
    if (!track || event.offsetX < NAMES) return {};
    if (track.points)
      return { text: `${track.name} in cycle ${Math.floor(cycle)}: ${valueAt(track.points, cycle)}` };
    const slice = sliceAt(track.slices, cycle, (2 * (range.to - range.from)) / width());
    return slice ? { slice, text: describe(slice) } : {};
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    range = zoomed(range, cycleAt(Math.max(event.offsetX, NAMES)), 1.002 ** event.deltaY, cycles);
    draw();
  });
  canvas.addEventListener("pointerdown", (event) => (dragged = { at: event.offsetX, far: false }));
  window.addEventListener("pointerup", () => (dragged = null));
  canvas.addEventListener("pointermove", (event) => {
    if (dragged) {
      const by = ((dragged.at - event.offsetX) / width()) * (range.to - range.from);
      range = moved(range, by, cycles);
      dragged.at = event.offsetX;
      draw();
    }
    const { text } = under(event);
    tip.hidden = !text;
    tip.textContent = text || "";
    tip.style.left = `${Math.min(event.offsetX + 14, canvas.clientWidth - 300)}px`;
    tip.style.top = `${event.offsetY + 14}px`;
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("click", (event) => {
    const { slice, text } = under(event);
    chosen = slice || null;
    element("details").textContent = text || "";
    draw();
  });
  canvas.addEventListener("dblclick", () => {
    range = { from: 0, to: cycles };
    draw();
  });
  element("chain").addEventListener("change", draw);
  window.addEventListener("resize", draw);

  const ending = trace.traceEvents.filter((event) => event.ph === "i").pop();
  element("title").textContent = trace.traceEvents.find((e) => e.name === "process_name").args.name;
  element("ending").textContent = [
    `${ending.name} in cycle ${ending.ts}`, ...Object.values(ending.args)].join("; ");
  for (const row of chainSums(trace, tracks)) {
    const line = element("sums").tBodies[0].insertRow();
    const share = `${((100 * row[2]) / cycles).toFixed(1)}%`;
    for (const text of [...row, share]) line.insertCell().textContent = String(text);
  }
  draw();
}

if (typeof document !== "undefined") start(document, window);
else module.exports = { arrowsOf, chainSums, describe, firstAt, moved, sliceAt, start, tracksOf, zoomed };
