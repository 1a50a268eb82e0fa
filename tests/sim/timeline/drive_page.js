// Runs the page's script without a browser: node drive_page.js PAGE.js TRACE.json. Prints what the
// page would show, as JSON: at its start, under the mouse, after zooming and a click.
const fs = require("node:fs");
const page = require(process.argv[2]);
const text = fs.readFileSync(process.argv[3], "utf8");

const WIDTH = 1170; // 1000 for the cycles
const elements = new Map(), drawn = [];
const context = new Proxy({}, {
  get: (_, name) => (...args) => drawn.push([name, ...args]),
  set: () => true,
});
function element(id) {
  if (elements.has(id)) return elements.get(id);
  const rows = [];
  const listeners = {};
  const made = {
    id, listeners, rows, style: {}, checked: true, hidden: true, clientWidth: WIDTH,
    textContent: id === "trace" ? text : "",
    getContext: () => context,
    addEventListener: (name, listener) => (listeners[name] = listener),
    tBodies: [{
      insertRow: () => {
        const cells = [];
        rows.push(cells);
        return { insertCell: () => cells[cells.push({}) - 1] };
      },
    }],
  };
  elements.set(id, made);
  return made;
}
const window = { devicePixelRatio: 1, addEventListener: () => undefined };
page.start({ getElementById: element }, window);

const trace = JSON.parse(text), tracks = page.tracksOf(trace);
const cycles = trace.otherData.cycles;
const longest = (slices) => slices.reduce((a, b) => (b.dur > a.dur ? b : a));
const row = tracks.find((track) => track.name === "compute instructions");
const slice = longest(row.slices);
const place = { offsetX: 170 + ((slice.ts + slice.dur / 2) / cycles) * 1000, offsetY: 0 };
// The page keeps its own list of tracks: their places follow from the order.
let top = 22;
for (const track of tracks) {
  if (track.name === row.name) place.offsetY = top + 5;
  top += track.points ? 34 : 18;
}
const send = (name, event = {}) =>
  element("canvas").listeners[name]({ ...place, preventDefault: () => undefined, ...event });

send("pointermove");
const hover = element("tip").textContent;
const strokes = () => drawn.filter(([name]) => name === "stroke").length;
const arrowsBefore = strokes();
send("click");
const widest = () => Math.max(...drawn.splice(0).filter(([n]) => n === "fillRect").map((r) => r[3]));
const arrows = strokes() - arrowsBefore;
const before = widest();
send("wheel", { deltaY: -1000 });
const after = widest();
send("pointermove");
// Every slice is found at its first, middle and last cycle.
const lost = tracks.flatMap((track) => track.slices ?? []).filter(({ ts, dur, tid }) =>
  [ts, ts + dur / 2, ts + dur - 0.25].some((cycle) => {
    const found = page.sliceAt(tracks.find((track) => track.tid === tid).slices, cycle, 0);
    return !found || found.ts !== ts;
  }));
console.log(JSON.stringify({
  title: element("title").textContent,
  ending: element("ending").textContent,
  sums: element("sums").rows.map((cells) => cells.map((cell) => cell.textContent)),
  tracks: tracks.map((track) => track.name),
  slice, hover, lost, details: element("details").textContent, arrows, before, after,
  zoomedHover: element("tip").textContent,
  back: page.zoomed({ from: 10, to: 20 }, 15, 1e9, cycles),
}));
