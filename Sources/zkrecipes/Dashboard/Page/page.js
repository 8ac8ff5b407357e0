// The page of `zkrecipes dashboard`: shows the states that its server sends. README.md in the parent folder documents them.
//
// Names, reasons and data come from znodes that any program may have written. They reach the page as text nodes, or as text in
// a canvas, never as markup, and with each character visible that would be hidden or would change the direction of text.

// MARK: Text

const hiddenCharacters = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Marks that would be stacked on one character, and cover the lines above. */
const stackedMarks = /(\p{M}{3})\p{M}+/gu;

/** Makes characters visible that a browser hides or interprets. */
function escaped(text) {
  return String(text)
    .replace(hiddenCharacters, (found) => `\\u{${found.codePointAt(0).toString(16)}}`)
    .replace(stackedMarks, "$1…");
}

/** The beginning and the end of a long text, with its length. */
function shortened(text, limit = 80) {
  const shown = escaped(text);
  if (shown.length <= limit) return shown;
  const start = [...shown.slice(0, limit)].slice(0, limit - 24).join("");
  const end = [...shown.slice(-24)].slice(-12).join("");
  return `${start}…${end} (${grouped([...String(text)].length)} characters)`;
}

/** Joins names so that the direction of one does not affect the others. */
function listed(names, limit = 3, length = 60) {
  const shown = names.slice(0, limit).map((name) => `\u2068${shortened(name, length)}\u2069`).join(", ");
  return names.length > limit ? `${shown} and ${grouped(names.length - limit)} more` : shown;
}

function grouped(number) {
  return Number(number).toLocaleString("en-US");
}

function counted(number, singular, plural = `${singular}s`) {
  return `${grouped(number)} ${number === 1 ? singular : plural}`;
}

function durationText(milliseconds) {
  const value = Math.max(0, milliseconds);
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 9950) return `${(value / 1000).toFixed(1)} s`;
  return ageText(value);
}

function ageText(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [days, hours] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24];
  const minutes = Math.floor(seconds / 60) % 60;
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`;
  if (minutes > 9) return `${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayFormat = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});

/** The local time, with the day if it is not today. */
function clockText(milliseconds) {
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return "";
  const isToday = date.toDateString() === new Date(serverNow()).toDateString();
  return (isToday ? clockFormat : dayFormat).format(date);
}

const collator = new Intl.Collator("en", { numeric: true });

// MARK: Elements

/** Creates an element. Children that are strings become text nodes. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeSVG(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const byID = (id) => document.getElementById(id);

/** Sets the text of an element if it differs. */
function setText(element, text) {
  if (element.shownText === text) return;
  element.shownText = text;
  element.textContent = text;
  element.toggleAttribute("data-empty", text === "");
}

/** Sets a text from a znode, isolated from the direction of its surroundings, and its whole text as a tooltip. */
function setName(element, text, limit = 80) {
  const value = String(text ?? "");
  if (element.shownText === value) return;
  element.shownText = value;
  const name = make("bdi", { class: "name" }, shortened(value, limit));
  if (value.length > limit) name.title = shortened(value, 1000);
  element.replaceChildren(name);
  element.toggleAttribute("data-empty", value === "");
}

function setAttribute(element, name, value) {
  if (value === undefined || value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function setBadge(badge, level, mark, text) {
  setAttribute(badge, "data-level", level);
  setAttribute(badge, "data-mark", mark);
  setText(badge, shortened(text, 60));
}

/** An element that shows the time since an instant, and is updated every second. */
function makeAge() {
  return make("time", { class: "age" });
}

function setAge(time, since, format = (age) => age) {
  if (since === undefined || since === null) {
    time.since = undefined;
    setText(time, "");
    return;
  }
  if (time.since !== since) {
    time.since = since;
    time.title = clockText(since);
    const date = new Date(since);
    if (!Number.isNaN(date.getTime())) time.dateTime = date.toISOString();
  }
  time.format = format;
  setText(time, format(ageText(serverNow() - since)));
}

function updateAges() {
  for (const time of document.querySelectorAll("time.age")) {
    if (time.since !== undefined) setText(time, time.format(ageText(serverNow() - time.since)));
  }
}

/** The elements of a list of items, by their keys. An element is changed only if its item is. */
class KeyedList {
  /**
   * @param parent The element that contains the list.
   * @param create Creates `{ node, update(item) }`.
   * @param limit The number of items until the button for more is used.
   */
  constructor(parent, create, limit = Infinity) {
    Object.assign(this, { parent, create, limit, step: limit, rows: new Map(), items: [], keyOf: undefined });
  }

  update(items, keyOf) {
    Object.assign(this, { items, keyOf });
    const shown = items.slice(0, this.limit);
    const used = new Map();
    for (const item of shown) {
      const wanted = keyOf(item);
      let key = wanted;
      for (let number = 2; used.has(key); number += 1) key = `${wanted} ${number}`;
      used.set(key, item);
    }
    for (const [key, row] of this.rows) {
      if (used.has(key)) continue;
      row.node.remove();
      this.rows.delete(key);
    }
    let cursor = this.parent.firstChild;
    for (const [key, item] of used) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.create(item);
        this.rows.set(key, row);
      }
      if (row.node === cursor) cursor = cursor.nextSibling;
      else this.parent.insertBefore(row.node, cursor);
      row.update(item);
    }
    this.updateMore(items.length - shown.length);
  }

  updateMore(rest) {
    if (rest <= 0 && !this.more) return;
    if (!this.more) {
      this.more = make("button", { type: "button", class: "small" });
      this.more.addEventListener("click", () => {
        const first = this.limit;
        this.limit += Math.max(this.step, 20);
        this.update(this.items, this.keyOf);
        // The button may have disappeared: the keyboard continues at the first new item.
        if (this.more.hidden) focusFirst([...this.rows.values()][first]?.node);
      });
      (this.moreParent ?? this.parent).after(this.more);
    }
    this.more.hidden = rest <= 0;
    setText(this.more, `Show more: ${grouped(rest)} ${rest === 1 ? "is" : "are"} not shown`);
  }
}

function focusFirst(node) {
  if (!node) return;
  const target = node.querySelector("button, a, summary") ?? node;
  if (target === node) node.tabIndex = -1;
  target.focus();
}

/**
 * A table with one row per item. On a narrow screen, CSS shows rows as blocks, and the roles keep the semantics of a table.
 *
 * A column is `{ title, kind, fill(cell, item) }`; the kind is `number`, `short` or missing. With `details`, a row has a button
 * that shows more: `details(item)` creates `{ node, update(item) }`.
 */
class Table {
  constructor({ caption, isCaptionHidden, columns, limit, details, detailsTitle }) {
    Object.assign(this, { columns, details, detailsTitle });
    this.caption = make("caption", isCaptionHidden ? { class: "hidden" } : {}, caption);
    const head = make("tr", { role: "row" });
    for (const column of columns) {
      const cell = make("th", { role: "columnheader", scope: "col" }, column.title);
      if (column.kind) cell.classList.add(column.kind);
      head.append(cell);
    }
    this.node = make(
      "table", { class: "rows", role: "table" }, this.caption, make("thead", { role: "rowgroup" }, head));
    if (details) {
      this.list = new KeyedList(make("tbody"), (item) => this.makeGroup(item), limit);
      // Each item has a group of its own, for its row and for its details.
      this.list.parent = this.node;
      this.list.update = this.updateGroups.bind(this, this.list.update);
    } else {
      const body = make("tbody", { role: "rowgroup" });
      this.node.append(body);
      this.list = new KeyedList(body, () => this.makeRow(), limit);
      this.list.moreParent = this.node;
    }
  }

  /** The caption and the heading are in front of the groups. */
  updateGroups(update, items, keyOf) {
    const [caption, head] = [this.node.children[0], this.node.children[1]];
    caption.remove();
    head.remove();
    update.call(this.list, items, keyOf);
    this.node.prepend(caption, head);
  }

  update(items, keyOf) { this.list.update(items, keyOf); }

  makeRow() {
    const cells = this.columns.map((column) => {
      const cell = make("td", { role: "cell", "data-label": column.title });
      if (column.kind) cell.classList.add(column.kind);
      return cell;
    });
    const node = make("tr", { role: "row" }, ...cells);
    return {
      node,
      update: (item) => {
        node.item = item;
        this.columns.forEach((column, index) => column.fill(cells[index], item, node));
      },
    };
  }

  makeGroup() {
    const row = this.makeRow();
    const node = make("tbody", { role: "rowgroup" }, row.node);
    let more;
    row.node.toggle = () => {
      if (more) {
        more.row.remove();
        more = undefined;
      } else {
        const content = this.details(row.node.item);
        const cell = make("td", { role: "cell", colspan: this.columns.length }, content.node);
        more = { content, row: make("tr", { role: "row", class: "more" }, cell) };
        node.append(more.row);
        content.update(row.node.item);
      }
      return more !== undefined;
    };
    return {
      node,
      update: (item) => {
        row.update(item);
        more?.content.update(item);
      },
    };
  }
}

/** Fills a cell with a button that shows and hides the details of its row. */
function fillToggle(cell, row, title) {
  if (!cell.button) {
    cell.button = make("button", { type: "button", class: "small", "aria-expanded": "false" });
    cell.button.addEventListener("click", () => {
      cell.button.setAttribute("aria-expanded", String(row.toggle()));
    });
    cell.prepend(cell.button);
  }
  setText(cell.button, title);
}

// MARK: Frames

/** Work on the page, at most 8 ms a frame, so that scrolling and typing stay smooth. */
const work = new Map();
let frame;

function schedule(name, task) {
  work.set(name, task);
  frame ??= requestAnimationFrame(performWork);
}

function performWork() {
  frame = undefined;
  const end = performance.now() + 8;
  for (const [name, task] of work) {
    work.delete(name);
    task();
    if (performance.now() > end) break;
  }
  if (work.size > 0) frame ??= requestAnimationFrame(performWork);
}

const prefersLessMotion = matchMedia("(prefers-reduced-motion: reduce)");

// MARK: Colours of canvases

let colours;

function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = { font: getComputedStyle(document.body).fontFamily, patterns: new Map() };
  for (const name of ["text", "muted", "line", "card", "running", "draining", "paused", "late", "gone", "window"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

/** A pattern of diagonal lines, or of crossing ones. */
function pattern(context, colour, isCrossed) {
  const key = `${colour} ${isCrossed}`;
  if (!colours.patterns.has(key)) {
    const tile = document.createElement("canvas");
    tile.width = 8;
    tile.height = 8;
    const pen = tile.getContext("2d");
    pen.strokeStyle = colour;
    pen.lineWidth = 2.5;
    pen.beginPath();
    for (const start of [-8, 0, 8]) {
      pen.moveTo(start, 8);
      pen.lineTo(start + 8, 0);
      if (!isCrossed) continue;
      pen.moveTo(start, 0);
      pen.lineTo(start + 8, 8);
    }
    pen.stroke();
    colours.patterns.set(key, context.createPattern(tile, "repeat"));
  }
  return colours.patterns.get(key);
}

/** Draws a state of a processor as a bar: each has a shape, so that it does not need its colour. */
function drawState(context, kind, x, width, middle) {
  const wide = Math.max(width, 1.5);
  switch (kind) {
    case "running":
    case "reopened":
      context.fillStyle = colours.running;
      context.fillRect(x, middle - 3, wide, 6);
      break;
    case "draining":
      context.fillStyle = pattern(context, colours.draining, false);
      context.fillRect(x, middle - 5, wide, 10);
      context.fillStyle = colours.draining;
      context.fillRect(x, middle - 5, wide, 1);
      context.fillRect(x, middle + 4, wide, 1);
      break;
    case "late":
      context.fillStyle = colours.late;
      context.fillRect(x, middle - 6, wide, 12);
      context.fillStyle = pattern(context, colours.card, true);
      context.fillRect(x, middle - 3, wide, 6);
      break;
    case "paused":
      context.strokeStyle = colours.paused;
      context.lineWidth = 1.5;
      context.strokeRect(x + 0.75, middle - 4.25, Math.max(wide - 1.5, 0.5), 8.5);
      break;
    case "recovering":
      context.strokeStyle = colours.paused;
      context.lineWidth = 1.5;
      context.setLineDash([3, 3]);
      context.strokeRect(x + 0.75, middle - 4.25, Math.max(wide - 1.5, 0.5), 8.5);
      context.setLineDash([]);
      break;
    case "gone":
      context.strokeStyle = colours.gone;
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x - 3, middle - 4);
      context.lineTo(x + 4, middle + 4);
      context.moveTo(x + 4, middle - 4);
      context.lineTo(x - 3, middle + 4);
      context.stroke();
      break;
    default:
      context.fillStyle = colours.gone;
      for (let dot = x + 2; dot < x + wide; dot += 6) context.fillRect(dot, middle - 0.5, 1.5, 1.5);
  }
}

/** Draws the time between a request and the opening of a window, or the time while it is open. */
function drawWindow(context, isOpen, x, width, top, height) {
  context.globalAlpha = isOpen ? 0.2 : 0.1;
  context.fillStyle = colours.window;
  context.fillRect(x, top, Math.max(width, 1.5), height);
  context.globalAlpha = 1;
  if (!isOpen) return;
  context.fillRect(x, top, 1, height);
  context.fillRect(x + Math.max(width - 1, 0), top, 1, height);
}

const stateTitles = {
  running: "running", reopened: "running again", draining: "draining", late: "late", paused: "paused",
  recovering: "waits to resume", gone: "gone", unknown: "not observed",
};

/** Sizes a canvas for the resolution of the screen, and returns its context. */
function prepared(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

function drawLegend() {
  const legend = byID("legend");
  const entries = ["running", "draining", "late", "paused", "recovering", "gone", "unknown"]
    .map((kind) => [stateTitles[kind], (context) => drawState(context, kind, kind === "gone" ? 13 : 2, 26, 7)]);
  entries.push(
    ["window requested", (context) => drawWindow(context, false, 2, 26, 0, 14)],
    ["window open", (context) => drawWindow(context, true, 2, 26, 0, 14)]);
  legend.replaceChildren(...entries.map(([title, draw]) => {
    const canvas = make("canvas");
    const entry = make("span", {}, canvas, title);
    draw(prepared(canvas, 30, 14));
    return entry;
  }));
}

// MARK: The time lines of an exclusive mode

/** A processor is late if it has not paused this long after the request of a window, in milliseconds. */
const lateAfter = 3000;
/** The longest time line, in milliseconds. */
const longestRange = 900_000;
/** The most changes of a processor that are kept. */
const mostSegments = 2000;
let range = 180_000;

const processorKey = (processor) => `${processor.id} ${processor.host} ${processor.pid}`;

/** The kind of a processor's state at an instant. */
function kindOf(processor, base, time) {
  if (processor.state !== "draining" || !base.window) return processor.state;
  return time - base.window.requestedAt >= lateAfter ? "late" : "draining";
}

/** What a processor does, in words. */
function stateText(processor, kind) {
  let text = stateTitles[kind] ?? kind;
  if (processor.inside !== undefined) text += ` · ${grouped(processor.inside)} inside`;
  if (processor.oldest !== undefined) text += ` · ${durationText(processor.oldest)}`;
  return text;
}

/** The states of the processors over the last minutes, and the windows, as this page has received them. */
class History {
  constructor() {
    this.rows = new Map();
    this.windows = new Map();
    this.isSorted = true;
    this.lastTime = Infinity;
  }

  record(base, time) {
    this.lastTime = time;
    for (const row of this.rows.values()) row.isSeen = false;
    for (const processor of base.processors ?? []) {
      const row = this.row(processor, time);
      row.isSeen = true;
      row.isPresent = true;
      row.processor = processor;
      const lateFrom = base.window ? base.window.requestedAt + lateAfter : Infinity;
      this.add(row, { kind: processor.state, from: processor.since ?? time, lateFrom }, time);
    }
    for (const processor of base.departed ?? []) {
      const key = processorKey(processor);
      if (this.rows.get(key)?.isSeen) continue;
      const row = this.row(processor, time);
      row.isSeen = true;
      row.isPresent = false;
      row.processor = processor;
      this.add(row, { kind: "gone", from: processor.leftAt ?? time }, time);
    }
    for (const row of this.rows.values()) {
      if (row.isSeen) continue;
      row.isPresent = false;
      this.add(row, { kind: "gone", from: time }, time);
    }
    this.recordWindows(base);
    this.prune(time);
  }

  row(processor) {
    const key = processorKey(processor);
    let row = this.rows.get(key);
    if (!row) {
      row = { key, name: escaped(processor.id), segments: [] };
      this.rows.set(key, row);
      this.isSorted = false;
    }
    return row;
  }

  add(row, segment, time) {
    const last = row.segments.at(-1);
    if (!last) {
      row.segments.push(segment);
    } else if (last.kind !== segment.kind) {
      row.segments.push({ ...segment, from: last.kind === "unknown" ? time : Math.max(segment.from, last.from) });
    } else {
      last.lateFrom = segment.lateFrom;
    }
    if (row.segments.length > mostSegments) row.segments.splice(0, mostSegments / 4);
  }

  recordWindows(base) {
    for (const record of base.recentWindows ?? []) {
      if (record.outcome === "evicting") continue;
      const { requestedAt: from, duration, drainDuration } = record;
      this.windows.set(record.token, {
        from, to: from + duration, opened: drainDuration === undefined ? Infinity : from + drainDuration,
        label: escaped(record.reason || record.participantID),
      });
    }
    const current = base.window;
    for (const [token, entry] of this.windows) {
      if (entry.to === Infinity && token !== current?.token) entry.to = serverNow();
    }
    if (!current) return;
    const known = this.windows.get(current.token);
    const entry = known ?? {
      from: current.requestedAt, to: Infinity, opened: Infinity, label: escaped(current.reason || current.participantID),
    };
    if (current.phase === "open" && entry.opened === Infinity) entry.opened = known ? serverNow() : entry.from;
    this.windows.set(current.token, entry);
  }

  /** Records that nothing is known from now on. */
  interrupt(time) {
    for (const row of this.rows.values()) if (row.isPresent) this.add(row, { kind: "unknown", from: time }, time);
  }

  prune(time) {
    const start = time - longestRange;
    for (const [key, row] of this.rows) {
      while (row.segments.length > 1 && row.segments[1].from < start) row.segments.shift();
      if (!row.isPresent && row.segments.at(-1).from < start) this.rows.delete(key);
    }
    for (const [token, entry] of this.windows) if (entry.to < start) this.windows.delete(token);
  }

  /** The rows to show, by name. */
  sorted(start) {
    if (!this.isSorted) {
      const rows = [...this.rows.values()].sort((one, other) => collator.compare(one.key, other.key));
      this.rows = new Map(rows.map((row) => [row.key, row]));
      this.isSorted = true;
    }
    return [...this.rows.values()].filter((row) => row.isPresent || row.segments.at(-1).from >= start);
  }
}

const visibleLanes = new Set();
const visibility = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) visibleLanes.add(entry.target.lanes);
    else visibleLanes.delete(entry.target.lanes);
    entry.target.lanes.requestDrawing();
  }
});

/** Draws a history on one canvas: only the rows that are scrolled into view. */
class Lanes {
  constructor(history) {
    this.history = history;
    this.canvas = make("canvas", { role: "img" });
    this.space = make("div");
    this.node = make("div", { class: "lanes", role: "group", tabindex: "0" }, this.canvas, this.space);
    this.node.lanes = this;
    this.node.addEventListener("scroll", () => this.requestDrawing(), { passive: true });
    visibility.observe(this.node);
  }

  setLabel(path, text) {
    setAttribute(this.node, "aria-label", `Time line of ${path}`);
    setAttribute(this.canvas, "aria-label", `${text}. The table of processors has the same values.`);
  }

  requestDrawing() {
    // The first drawing gives the canvas its height, also below the visible part of the page.
    if (visibleLanes.has(this) || this.total === undefined) schedule(this, () => this.draw());
  }

  draw() {
    const width = this.node.clientWidth;
    if (width === 0) return;
    const end = serverNow();
    const start = end - range;
    const rows = this.history.sorted(start);
    const isNarrow = width < 620;
    const rowHeight = isNarrow ? 34 : rows.length > 40 ? 18 : 24;
    const head = 40;
    const total = head + rows.length * rowHeight + 6;
    const height = Math.min(total, Math.max(160, Math.min(512, window.innerHeight * 0.7)));
    if (this.total !== total || this.height !== height) {
      Object.assign(this, { total, height });
      this.space.style.height = `${total - height}px`;
      this.node.tabIndex = total > height ? 0 : -1;
    }
    const context = prepared(this.canvas, width, height);
    const left = isNarrow ? 2 : Math.min(220, width * 0.2);
    const right = isNarrow ? 2 : 190;
    const area = {
      context, start, end, isNarrow, width, height, head, left, span: width - left - right,
      x: (time) => left + ((Math.min(Math.max(time, start), end) - start) / range) * (width - left - right),
    };
    context.font = `12px ${colours.font}`;
    context.textBaseline = "middle";
    this.drawWindows(area);
    const first = Math.max(0, Math.floor(this.node.scrollTop / rowHeight));
    const last = Math.min(rows.length, Math.ceil((this.node.scrollTop + height - head) / rowHeight));
    context.save();
    context.beginPath();
    context.rect(0, head, width, height - head);
    context.clip();
    for (let index = first; index < last; index += 1) {
      this.drawRow(area, rows[index], head + index * rowHeight - this.node.scrollTop, rowHeight);
    }
    context.restore();
    this.drawTimes(area);
  }

  drawRow(area, row, top, rowHeight) {
    const { context, left, isNarrow, start, end, width } = area;
    const middle = isNarrow ? top + 24 : top + rowHeight / 2;
    const textMiddle = isNarrow ? top + 9 : middle;
    for (let index = 0; index < row.segments.length; index += 1) {
      const segment = row.segments[index];
      const to = Math.min(row.segments[index + 1]?.from ?? end, end);
      if (to < start) continue;
      if (segment.kind === "draining" && segment.lateFrom < to) {
        const late = Math.max(segment.lateFrom, segment.from);
        this.drawSegment(area, "draining", segment.from, late, middle);
        this.drawSegment(area, "late", late, to, middle);
      } else {
        this.drawSegment(area, segment.kind, segment.from, to, middle);
      }
    }
    const first = row.segments[0];
    if (first && first.from > start) this.drawSegment(area, "unknown", start, first.from, middle);
    const last = row.segments.at(-1);
    const kind = last.kind === "draining" && last.lateFrom <= end ? "late" : last.kind;
    const text = kind === "gone" ? `gone for ${ageText(end - last.from)}` : stateText(row.processor, kind);
    context.fillStyle = kind === "late" ? colours.late : colours.muted;
    context.textAlign = isNarrow ? "right" : "left";
    context.fillText(text, isNarrow ? width - 2 : width - 180, textMiddle);
    const textWidth = isNarrow ? width - context.measureText(text).width - 14 : left - 10;
    context.textAlign = "left";
    context.fillStyle = kind === "gone" ? colours.muted : colours.text;
    context.fillText(fitted(context, row, textWidth), 2, textMiddle);
  }

  drawSegment(area, kind, from, to, middle) {
    if (to < area.start || to < from) return;
    if (kind === "gone" && from < area.start) return;
    const x = area.x(from);
    drawState(area.context, kind, x, area.x(to) - x, middle);
  }

  drawWindows(area) {
    const { context, start, end, head, height, width, left, span } = area;
    let free = 0;
    for (const entry of [...this.history.windows.values()].sort((one, other) => one.from - other.from)) {
      const to = Math.min(entry.to, end);
      if (to < start) continue;
      const opened = Math.min(entry.opened, to);
      const [from, middle] = [area.x(entry.from), area.x(opened)];
      drawWindow(context, false, from, middle - from, head - 18, height);
      if (entry.opened <= to) drawWindow(context, true, middle, area.x(to) - middle, head - 18, height);
      const labelWidth = Math.min(context.measureText(entry.label).width, 160);
      const position = Math.min(Math.max(from, left), left + span - labelWidth);
      if (position < free || position + labelWidth > width) continue;
      free = position + labelWidth + 12;
      context.fillStyle = colours.window;
      context.fillText(fitted(context, entry, 160), position, head - 9);
    }
  }

  drawTimes(area) {
    const { context, left, span, width, head } = area;
    const step = range / (range === 900_000 && span > 500 ? 5 : 3);
    context.fillStyle = colours.muted;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    for (let back = 0; back <= range; back += step) {
      const x = left + span - (back / range) * span;
      context.textAlign = x < 40 ? "left" : x > width - 40 ? "right" : "center";
      context.fillText(back === 0 ? "now" : `−${durationLabel(back)}`, x, 10);
    }
    context.textAlign = "left";
    context.beginPath();
    context.moveTo(0, head - 19.5);
    context.lineTo(width, head - 19.5);
    context.stroke();
  }
}

function durationLabel(milliseconds) {
  return milliseconds < 60_000 || milliseconds % 60_000 !== 0
    ? `${Math.round(milliseconds / 1000)} s` : `${milliseconds / 60_000} min`;
}

/** The name of a row or the label of a window, shortened to a width in pixels. */
function fitted(context, row, width) {
  const wide = Math.round(width);
  if (row.fittedWidth !== wide) {
    let text = (row.name ?? row.label).slice(0, 200);
    if (context.measureText(text).width > wide) {
      let [low, high] = [0, text.length];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (context.measureText(`${text.slice(0, middle)}…`).width <= wide) low = middle;
        else high = middle - 1;
      }
      text = `${text.slice(0, low)}…`;
    }
    Object.assign(row, { fittedWidth: wide, fitted: text });
  }
  return row.fitted;
}

// MARK: Changes

const changes = [];
let announcements = [];
let nextAnnouncement;

/** Adds a line to the list of changes, and announces it to screen readers, at most every 4 s. */
function reportChange(text, { level = "", isAnnounced = true } = {}) {
  changes.unshift({ key: String(changes.count = (changes.count ?? 0) + 1), time: serverNow(), text, level });
  changes.length = Math.min(changes.length, 100);
  schedule("changes", renderChanges);
  if (!isAnnounced) return;
  announcements.push(text);
  nextAnnouncement ??= setTimeout(announce, 300);
}

function announce() {
  const texts = announcements.slice(0, 3);
  if (announcements.length > 3) texts.push(`${announcements.length - 3} more changes`);
  announcements = [];
  byID("announcements").textContent = texts.length > 0 ? `${texts.join(". ")}.` : "";
  nextAnnouncement = texts.length > 0 ? setTimeout(announce, 4000) : undefined;
}

let changeList;

function renderChanges() {
  const list = byID("changes-list");
  changeList ??= new KeyedList(list, () => {
    const [time, text] = [make("time"), make("span")];
    return {
      node: make("li", {}, time, text),
      update(change) {
        setText(time, clockText(change.time));
        setText(text, change.text);
        setAttribute(this.node, "data-level", change.level || undefined);
      },
    };
  });
  changeList.update(changes, (change) => change.key);
  list.hidden = changes.length === 0;
  list.tabIndex = list.scrollHeight > list.clientHeight ? 0 : -1;
  byID("changes-empty").hidden = changes.length > 0;
}

/** Reports what differs between two states. */
function compare(before, after) {
  if (!before) return;
  if (before.connection?.state !== after.connection?.state) {
    const isConnected = after.connection?.state === "connected";
    reportChange(isConnected ? "connected to ZooKeeper again" : "the connection to ZooKeeper is lost", {
      level: isConnected ? "" : "bad",
    });
  }
  forPairs(before.exclusive, after.exclusive, compareExclusive);
  forPairs(before.queues, after.queues, compareQueue);
  forPairs(before.schedules, after.schedules, compareSchedule);
  forPairs(before.partitions, after.partitions, comparePartitions);
  const leader = (state) => state.ensemble?.servers?.find((server) => server.mode === "leader")?.address;
  if (leader(before) && leader(after) && leader(before) !== leader(after)) {
    reportChange(`${shortened(leader(after))} leads the ensemble`);
  }
}

function forPairs(before = [], after = [], compareOne) {
  const known = new Map(before.map((item) => [item.path, item]));
  for (const item of after) {
    const last = known.get(item.path);
    // A recipe that could not be read has no values.
    if (last && !last.problem && !item.problem) compareOne(last, item, shortened(item.path));
  }
}

function compareExclusive(before, after, path) {
  if (before.window?.token !== after.window?.token) {
    if (before.window) {
      const record = after.recentWindows?.find((window) => window.token === before.window.token);
      const outcome = record ? record.outcome : "ended";
      reportChange(`${path}: the window of ${shortened(before.window.participantID, 40)} has ended: ${outcome}`, {
        level: ["completed", "ended"].includes(outcome) ? "" : "bad",
      });
    }
    if (after.window) reportChange(`${path}: ${shortened(after.window.participantID, 40)} requests a window`);
  }
  if (after.window?.phase === "open" && !(before.window?.token === after.window.token && before.window.phase === "open")) {
    reportChange(`${path}: the window is open; all processors have paused`);
  }
  const [old, now] = [before, after].map((base) => new Set(base.processors?.map((processor) => processor.id)));
  const gone = [...old].filter((id) => !now.has(id));
  const joined = [...now].filter((id) => !old.has(id));
  if (gone.length > 0) {
    const have = gone.length === 1 ? "has" : "have";
    reportChange(`${path}: ${listed(gone)} ${have} left`, { level: after.window ? "bad" : "" });
  }
  if (joined.length > 0) reportChange(`${path}: ${listed(joined)} ${joined.length === 1 ? "has" : "have"} joined`);
}

const isElection = (queue) => queue.kind === "leader-election" || queue.kind === "leader-latch";

function compareQueue(before, after, path) {
  if (!isElection(after) || before.holder === after.holder) return;
  reportChange(after.holder ? `${path}: ${shortened(after.holder, 40)} leads` : `${path}: no participant leads`);
}

function compareSchedule(before, after, path) {
  const key = (run) => `${run.period} ${run.attempt} ${run.state}`;
  const known = new Set(before.runs?.map(key));
  for (const run of after.runs ?? []) {
    if (known.has(key(run)) || !["completed", "failed", "interrupted", "abandoned"].includes(run.state)) continue;
    reportChange(`${path}: the run of ${shortened(run.period, 40)} is ${run.state}`, {
      level: run.state === "completed" ? "" : "bad", isAnnounced: run.state !== "completed",
    });
  }
  if (!before.isOverdue && after.isOverdue) reportChange(`${path}: the next run is overdue`, { level: "bad" });
}

function comparePartitions(before, after, path) {
  const key = (move) => `${move.time} ${move.partition} ${move.to}`;
  const known = new Set(before.moves?.map(key));
  const count = (after.moves ?? []).filter((move) => !known.has(key(move))).length;
  if (count > 0) reportChange(`${path}: ${counted(count, "partition")} moved`, { isAnnounced: false });
  if ((before.unowned ?? 0) === 0 && after.unowned > 0) {
    reportChange(`${path}: ${counted(after.unowned, "partition")} without an owner`, { level: "bad" });
  }
}

// MARK: Operator commands

/** The token for operator commands. It exists in this variable only. */
let token = "";
let operator = "";
let allowedVerbs = new Set();

/** Takes the token out of the address, so that it is neither shown nor kept in the history. */
function takeToken() {
  const found = /^#token=(.*)$/.exec(location.hash);
  if (!found) return;
  try {
    token = decodeURIComponent(found[1]);
  } catch {
    token = found[1];
  }
  history.replaceState(null, "", location.pathname + location.search);
}

/** A button for an operator command, which asks for confirmation. `request()` returns the values of the dialog. */
function actionButton(verb, title, request) {
  const button = make("button", { type: "button", class: "small", "data-verb": verb }, `${title} …`);
  button.addEventListener("click", () => openDialog(verb, request()));
  button.hidden = !allowedVerbs.has(verb);
  return button;
}

function updateActions(verbs) {
  allowedVerbs = new Set(verbs);
  for (const button of document.querySelectorAll("button[data-verb]")) {
    button.hidden = !allowedVerbs.has(button.dataset.verb) || button.isUseless === true;
  }
}

/**
 * Shows a button only while its command makes sense.
 *
 * @param subject What the command is about, for screen readers, which read the button without its row.
 */
function setUseful(button, isUseful, subject) {
  if (subject !== undefined) setAttribute(button, "aria-label", `${button.textContent} ${shortened(subject, 40)}`);
  button.isUseless = !isUseful;
  button.hidden = !isUseful || !allowedVerbs.has(button.dataset.verb);
}

let pending;

/**
 * @param request `{ title, effect, body, choice: { label, key, values }, fields: [{ label, key }], needsReason }`; values are
 *   `[value, title]`.
 */
function openDialog(verb, request) {
  pending = { verb, request };
  setText(byID("dialog-title"), request.title);
  setText(byID("dialog-effect"), request.effect);
  const choices = request.choice?.values ?? [];
  byID("dialog-choice-field").hidden = !request.choice;
  setText(byID("dialog-choice-label"), request.choice?.label ?? "");
  byID("dialog-choice").replaceChildren(...choices.map(([value, title]) => {
    const option = make("option", {}, shortened(title));
    option.value = value;
    return option;
  }));
  byID("dialog-fields").replaceChildren(...(request.fields ?? []).map(({ label, key }) => {
    const id = `dialog-field-${key}`;
    const input = make("input", { id, name: key, required: "", maxlength: "100" });
    return make("div", { class: "field" }, make("label", { for: id }, label), input);
  }));
  byID("dialog-reason").value = "";
  byID("dialog-reason").required = request.needsReason === true;
  byID("dialog-operator").value = operator;
  byID("dialog-operator").required = true;
  byID("dialog-token").value = "";
  updateTokenField();
  showFailure("");
  setBusy(false);
  byID("dialog").showModal();
}

function updateTokenField() {
  byID("dialog-token-field").hidden = token !== "";
  byID("dialog-token").required = token === "";
}

function showFailure(text) {
  setText(byID("dialog-failure"), escaped(text));
  byID("dialog-failure").hidden = text === "";
}

function setBusy(isBusy) {
  byID("dialog-confirm").disabled = isBusy;
  setText(byID("dialog-confirm"), isBusy ? "In progress …" : "Confirm");
  setText(byID("dialog-cancel"), isBusy ? "Close" : "Cancel");
}

async function perform() {
  const { verb, request } = pending;
  const current = pending;
  operator = byID("dialog-operator").value.trim();
  if (token === "") token = byID("dialog-token").value.trim();
  const body = { ...request.body, reason: byID("dialog-reason").value.trim(), id: operator };
  if (request.choice) body[request.choice.key] = byID("dialog-choice").value;
  for (const input of byID("dialog-fields").querySelectorAll("input")) body[input.name] = input.value.trim();
  setBusy(true);
  showFailure("");
  const outcome = await post(verb, body);
  if (outcome.done !== undefined) {
    reportChange(`${request.title.replace(/\?$/u, "")}: ${escaped(outcome.done)}`);
    if (pending === current) byID("dialog").close();
    return;
  }
  if (outcome.status === 401) token = "";
  if (pending === current) {
    showFailure(outcome.error);
    setBusy(false);
    updateTokenField();
  } else {
    reportChange(`${request.title.replace(/\?$/u, "")}: ${escaped(outcome.error)}`, { level: "bad" });
  }
}

async function post(verb, body) {
  try {
    const answer = await fetch(`actions/${encodeURIComponent(verb)}`, {
      method: "POST",
      headers: { "Authorization": `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "omit",
    });
    const result = await answer.json().catch(() => ({}));
    if (answer.ok) return { done: result.done ?? "done" };
    return { status: answer.status, error: result.error ?? `refused with status ${answer.status}` };
  } catch (error) {
    return { error: `no answer: ${error.message}` };
  }
}

function prepareDialog() {
  byID("dialog-form").addEventListener("submit", (event) => {
    event.preventDefault();
    perform();
  });
  byID("dialog-cancel").addEventListener("click", () => byID("dialog").close());
  byID("dialog").addEventListener("close", () => { pending = undefined; });
}

// MARK: Exclusive modes

const histories = new Map();

function historyOf(path) {
  if (!histories.has(path)) histories.set(path, new History());
  return histories.get(path);
}

function recordHistory(state) {
  for (const base of state.exclusive ?? []) {
    if (base.problem) historyOf(base.path).interrupt(state.time);
    else historyOf(base.path).record(base, state.time);
  }
  for (const [path, one] of histories) if (one.lastTime < state.time - longestRange) histories.delete(path);
}

const outcomeLevels = { completed: "good", evicting: "warn" };

const processorColumns = [
  { title: "Processor", fill: (cell, item) => setName(cell, item.id) },
  { title: "State", fill: (cell, item) => fillBadge(cell, processorLevel(item.kind), stateTitles[item.kind] ?? item.kind) },
  { title: "Inside", kind: "number", fill: (cell, item) => setText(cell, item.inside === undefined ? "" : grouped(item.inside)) },
  { title: "Oldest", kind: "number", fill: (cell, item) => setText(cell, item.oldest === undefined ? "" : durationText(item.oldest)) },
  { title: "For", kind: "short", fill: (cell, item) => fillAge(cell, item.since) },
  { title: "Host", fill: (cell, item) => setName(cell, item.host, 60) },
  { title: "PID", kind: "number", fill: (cell, item) => setText(cell, item.pid ? String(item.pid) : "") },
];

function processorLevel(kind) {
  return { running: "good", reopened: "good", paused: "busy", recovering: "busy", draining: "warn", late: "bad" }[kind];
}

const levelMarks = { good: "✓", warn: "▲", bad: "!", busy: "‖" };

function fillBadge(cell, level, text, mark = levelMarks[level] ?? "·") {
  cell.badge ??= cell.appendChild(make("span", { class: "badge" }));
  setBadge(cell.badge, level, mark, text);
}

function fillAge(cell, since, format) {
  cell.age ??= cell.appendChild(makeAge());
  setAge(cell.age, since, format);
  cell.toggleAttribute("data-empty", since === undefined);
}

let cardNumber = 0;

/** A card with a heading, a badge and buttons. */
function makeCard(tag = "article") {
  const id = `card-${cardNumber += 1}`;
  const title = make("h3", { id });
  const badge = make("span", { class: "badge" });
  const actions = make("div", { class: "actions" });
  const head = make("div", { class: "card-head" }, title, badge, actions);
  const node = make(tag, { class: "card", "aria-labelledby": id }, head);
  return { node, title, badge, actions };
}

class ExclusiveCard {
  constructor(base) {
    this.path = base.path;
    const card = makeCard();
    Object.assign(this, card);
    this.facts = make("p", { class: "facts" });
    this.elapsed = makeAge();
    this.problem = make("p", { class: "facts failure", hidden: "" });
    this.crashed = make("p", { class: "facts failure", hidden: "" });
    this.counts = make("ul", { class: "counts" });
    this.countList = new KeyedList(this.counts, () => {
      const [number, text] = [make("b"), make("span")];
      return {
        node: make("li", {}, number, " ", text),
        update(count) {
          setText(number, count.number);
          setText(text, count.text);
          setAttribute(this.node, "data-level", count.level);
        },
      };
    });
    this.late = make("ul", { class: "late", "aria-label": "Processors that are late", hidden: "" });
    this.lateList = new KeyedList(this.late, (item) => this.makeLate(item), 8);
    this.lanes = new Lanes(historyOf(this.path));
    this.processors = this.makeDetails("Processors as a table", () => new Table({
      caption: `Processors of ${shortened(this.path)}`, isCaptionHidden: true, columns: processorColumns, limit: 50,
    }));
    this.windows = this.makeDetails("Last windows", () => new Table({
      caption: `Last windows of ${shortened(this.path)}`, isCaptionHidden: true, columns: windowColumns, limit: 10,
    }));
    this.node.append(
      this.facts, this.problem, this.crashed, this.counts, this.late, this.lanes.node, this.processors.node,
      this.windows.node);
    this.makeActions();
  }

  makeActions() {
    const path = shortened(this.path);
    this.hold = actionButton("exclusive-hold", "Hold", () => ({
      title: `Hold ${path}?`,
      effect: "All processors pause, and stay paused until the hold is removed. Your name is the owner of the hold: if it "
        + "has one already, the reason is replaced.",
      body: { path: this.path }, needsReason: true,
    }));
    this.unhold = actionButton("exclusive-unhold", "Remove hold", () => {
      const holds = this.base.holds ?? [];
      return {
        title: `Remove a hold of ${path}?`,
        effect: holds.length > 1 ? "The processors stay paused for the other holds."
          : "The processors resume. While a window is open, the hold remains.",
        body: { path: this.path },
        choice: {
          label: "Hold", key: "name",
          values: holds.map((hold) => [hold.participantID, `${hold.participantID}: ${hold.reason}`]),
        },
      };
    });
    this.actions.append(this.hold, this.unhold);
  }

  makeDetails(title, makeTable) {
    const node = make("details", {}, make("summary", {}, title));
    const details = { node, table: undefined };
    node.addEventListener("toggle", () => {
      if (node.open && !details.table) {
        details.table = makeTable();
        node.append(details.table.node);
      }
      this.updateTables();
    });
    return details;
  }

  makeLate() {
    const [name, text, age] = [make("b"), make("span"), makeAge()];
    let current;
    const evict = actionButton("exclusive-evict", "Evict", () => ({
      title: `Evict ${shortened(current.id, 40)}?`,
      effect: `Its events are cancelled. The window of ${shortened(this.base.window?.participantID ?? "", 40)} at `
        + `${shortened(this.path)} opens after the session timeout of the processor at the earliest.`,
      body: { path: this.path, name: current.id },
    }));
    return {
      node: make("li", {}, name, " ", text, " ", age, evict),
      update: (item) => {
        current = item;
        setUseful(evict, true, item.id);
        setName(name, item.id, 60);
        setText(text, `is late${stateText(item, "").replace(/^ ·/u, ":")},`);
        setAge(age, this.base.window?.requestedAt, (age) => `not paused for ${age}`);
      },
    };
  }

  update(base) {
    this.base = base;
    const now = serverNow();
    this.items = (base.processors ?? []).map((processor) => ({ ...processor, kind: kindOf(processor, base, now) }));
    setName(this.title, base.path, 120);
    setUseful(this.hold, !base.problem, base.path);
    setUseful(this.unhold, (base.holds ?? []).length > 0, base.path);
    const late = this.items.filter((item) => item.kind === "late");
    this.updateWindow(base, late);
    setText(this.problem, base.problem ? `Could not be read: ${escaped(base.problem)}` : "");
    this.problem.hidden = !base.problem;
    const crashed = base.crashedWindows ?? [];
    setText(this.crashed, crashed.length === 0 ? "" : `A window crashed: ${listed(crashed.map((window) =>
      `${window.reason || "no reason"}, by ${window.participantID}`))}. Processors stay paused until the resume delay is over.`);
    this.crashed.hidden = crashed.length === 0;
    this.updateCounts(base);
    this.lateList.update(late, processorKey);
    this.late.hidden = late.length === 0;
    this.lanes.history = historyOf(this.path);
    this.lanes.setLabel(escaped(base.path).slice(0, 100), this.summary);
    this.lanes.requestDrawing();
    this.updateTables();
  }

  updateWindow(base, late) {
    const window = base.window;
    const waiting = base.notPaused ?? [];
    if (base.problem) {
      setBadge(this.badge, "bad", "!", "not readable");
      this.factsKey = undefined;
      this.facts.replaceChildren();
    } else if (window) {
      const phases = {
        draining: `waits for ${waiting.length === 1 ? shortened(waiting[0], 40) : counted(waiting.length, "processor")}`,
        recovering: "waits: a window crashed", evicting: "waits for evicted sessions", open: "window open",
      };
      const level = late.length > 0 ? "bad" : window.phase === "open" ? "busy" : "warn";
      setBadge(this.badge, level, levelMarks[level], phases[window.phase] ?? escaped(window.phase));
      const key = `${window.token} ${window.phase}`;
      if (this.factsKey !== key) {
        this.factsKey = key;
        this.facts.replaceChildren(
          make("b", {}, named(window.reason || "No reason")), " by ", named(window.participantID), ", requested ",
          this.elapsed, `, token ${grouped(window.token)}`);
      }
      setAge(this.elapsed, window.requestedAt, (age) => `${age} ago`);
    } else {
      const isHeld = (base.holds ?? []).length > 0;
      setBadge(this.badge, isHeld ? "busy" : "good", isHeld ? levelMarks.busy : "✓", isHeld ? "held" : "no window");
      const last = base.recentWindows?.at(-1);
      const key = last ? `last ${last.token}` : "none";
      if (this.factsKey !== key) {
        this.factsKey = key;
        this.facts.replaceChildren(...last
          ? ["Last window: ", named(last.reason || "no reason"), " by ", named(last.participantID), `, ${last.outcome} `,
            this.elapsed, last.drainDuration === undefined ? "" : `; all paused after ${durationText(last.drainDuration)}`]
          : ["No window has been opened yet."]);
      }
      if (last) setAge(this.elapsed, last.requestedAt + last.duration, (age) => `${age} ago`);
    }
  }

  updateCounts(base) {
    const counts = new Map();
    for (const item of this.items) counts.set(item.kind, (counts.get(item.kind) ?? 0) + 1);
    const shown = [{ number: grouped(this.items.length), text: this.items.length === 1 ? "processor" : "processors" }];
    for (const kind of ["running", "reopened", "draining", "late", "paused", "recovering"]) {
      if (counts.has(kind)) {
        shown.push({ number: grouped(counts.get(kind)), text: stateTitles[kind], level: kind === "late" ? "bad" : undefined });
      }
    }
    const inside = this.items.reduce((sum, item) => sum + (item.inside ?? 0), 0);
    const oldest = Math.max(...this.items.map((item) => item.oldest ?? -1));
    if (this.items.some((item) => item.inside !== undefined)) {
      const age = oldest >= 0 ? `, the oldest for ${durationText(oldest)}` : "";
      shown.push({ number: grouped(inside), text: `${inside === 1 ? "event" : "events"} inside${age}` });
    }
    for (const hold of base.holds ?? []) {
      shown.push({ number: "held", text: `by ${shortened(hold.participantID, 40)}: ${shortened(hold.reason)}` });
    }
    this.summary = shown.map((count) => `${count.number} ${count.text}`).join(", ");
    this.countList.update(shown, (count) => count.text);
  }

  updateTables() {
    if (!this.base) return;
    if (this.processors.table && this.processors.node.open) {
      const items = this.items.toSorted((one, other) => collator.compare(one.id, other.id));
      const gone = (this.base.departed ?? []).map((item) => ({ ...item, kind: "gone", since: item.leftAt }));
      this.processors.table.update([...items, ...gone], processorKey);
    }
    if (this.windows.table && this.windows.node.open) {
      this.windows.table.update((this.base.recentWindows ?? []).toReversed(), (record) => String(record.token));
    }
  }
}

const windowColumns = [
  { title: "Requested", kind: "short", fill: (cell, item) => setText(cell, clockText(item.requestedAt)) },
  { title: "Outcome", fill: (cell, item) => fillBadge(cell, outcomeLevels[item.outcome] ?? "bad", escaped(item.outcome)) },
  { title: "Paused after", kind: "number", fill: (cell, item) => setText(cell, item.drainDuration === undefined ? "" : durationText(item.drainDuration)) },
  { title: "Ended after", kind: "number", fill: (cell, item) => setText(cell, durationText(item.duration)) },
  { title: "Slowest", fill: (cell, item) => setName(cell, item.slowestProcessor ?? "", 40) },
  { title: "Evicted", fill: (cell, item) => setText(cell, listed(item.evicted ?? [])) },
  { title: "By", fill: (cell, item) => setName(cell, item.participantID, 40) },
  { title: "Reason", fill: (cell, item) => setName(cell, item.reason, 120) },
];

/** A text from a znode inside a sentence. */
function named(text, limit = 120) {
  return make("bdi", {}, shortened(text, limit));
}

// MARK: Locks and elections

const kindTitles = {
  "mutex": "mutex", "read-write-lock": "read-write lock", "semaphore": "semaphore", "leader-election": "leader election",
  "leader-latch": "leader latch", "group": "group", "double-barrier": "double barrier",
};

const holdingStates = new Set(["holds", "leads", "inside", "member"]);
const participantName = (participant) => participant.id || participant.znode;

const queueColumns = [
  {
    title: "Path",
    fill(cell, queue) {
      cell.path ??= cell.appendChild(make("span"));
      cell.kind ??= cell.appendChild(make("span", { class: "sub" }));
      setName(cell.path, queue.path, 100);
      setText(cell.kind, kindTitles[queue.kind] ?? escaped(queue.kind));
    },
  },
  {
    title: "Held by",
    fill(cell, queue) {
      cell.names ??= cell.appendChild(make("span"));
      cell.sub ??= cell.appendChild(make("span", { class: "sub" }));
      const holders = (queue.participants ?? []).filter((participant) => holdingStates.has(participant.state));
      const count = queue.holders ?? holders.length;
      const names = holders.length > 0 ? holders.map(participantName) : queue.holder ? [queue.holder] : [];
      const rest = count - Math.min(names.length, 3);
      setText(cell.names, names.length === 0 ? emptyTitle(queue)
        : listed(names.slice(0, 3)) + (rest > 0 ? ` and ${grouped(rest)} more` : ""));
      const tokens = holders[0]?.token;
      setText(cell.sub, [
        queue.details?.leases ? `${escaped(queue.details.leases)} leases` : "",
        tokens === undefined || holders.length > 1 ? "" : `token ${grouped(tokens)}`,
        queue.problem ? `could not be read: ${shortened(queue.problem)}` : "",
      ].filter(Boolean).join(" · "));
    },
  },
  { title: "Since", kind: "short", fill: (cell, queue) => fillAge(cell, queue.since) },
  {
    title: "Waiting",
    fill(cell, queue) {
      cell.number ??= cell.appendChild(make("b"));
      cell.names ??= cell.appendChild(make("span", { class: "sub" }));
      setText(cell.number, queue.waiting ? grouped(queue.waiting) : "");
      const waiting = (queue.participants ?? []).filter((participant) => participant.state === "waits");
      const rest = (queue.waiting ?? 0) - Math.min(waiting.length, 3);
      setText(cell.names, waiting.length === 0 ? ""
        : listed(waiting.slice(0, 3).map(participantName), 3, 40) + (rest > 0 ? ` and ${grouped(rest)} more` : ""));
      cell.toggleAttribute("data-empty", !queue.waiting);
    },
  },
  {
    title: "Details",
    fill(cell, queue, row) {
      fillToggle(cell, row, "Queue");
      setAttribute(cell.button, "aria-label", `Queue of ${shortened(queue.path)}`);
    },
  },
];

function emptyTitle(queue) {
  if (queue.problem) return "unknown";
  if (isElection(queue)) return "no leader";
  return queue.kind === "group" || queue.kind === "double-barrier" ? "no members" : "free";
}

const participantColumns = [
  { title: "#", kind: "number", fill: (cell, item) => setText(cell, String(item.position ?? "")) },
  { title: "State", kind: "short", fill: (cell, item) => setText(cell, [escaped(item.state), item.access].filter(Boolean).join(", ")) },
  {
    title: "ID",
    fill(cell, item) {
      cell.name ??= cell.appendChild(make("span"));
      cell.znode ??= cell.appendChild(make("span", { class: "sub" }));
      setName(cell.name, item.id || "no ID");
      setName(cell.znode, item.znode, 60);
    },
  },
  { title: "Since", kind: "short", fill: (cell, item) => fillAge(cell, item.since) },
  { title: "Token", kind: "number", fill: (cell, item) => setText(cell, item.token === undefined ? "" : grouped(item.token)) },
  { title: "Session", fill: (cell, item) => setName(cell, item.session ?? "") },
  { title: "Waits for", fill: (cell, item) => setName(cell, item.waitsFor ?? "", 60) },
];

class QueueDetails {
  constructor(queue) {
    this.notes = make("ul", { class: "problems" });
    this.noteList = new KeyedList(this.notes, () => {
      const node = make("li");
      return { node, update: (note) => setText(node, shortened(note, 300)) };
    });
    this.table = new Table({
      caption: `Participants of ${shortened(queue.path)}`, columns: [...participantColumns, this.actionColumn()], limit: 20,
    });
    this.resign = actionButton("leader-resign", "Ask the leader to resign", () => ({
      title: `Ask the leader of ${shortened(this.queue.path)} to resign?`,
      effect: "Its work is cancelled, and the next participant leads after it has ended.",
      body: { path: this.queue.path },
    }));
    this.node = make("div", {}, make("div", { class: "actions" }, this.resign), this.table.node, this.notes);
  }

  actionColumn() {
    return {
      title: "Actions", kind: "commands",
      fill: (cell, item) => {
        cell.item = item;
        cell.buttons ??= this.makeButtons(cell);
        const isLock = ["mutex", "read-write-lock", "semaphore"].includes(this.queue.kind);
        const subject = participantName(item);
        setUseful(cell.buttons.release, isLock && item.state === "holds", subject);
        setUseful(cell.buttons.evict, isLock && item.state === "holds", subject);
        setUseful(cell.buttons.transfer, isElection(this.queue) && item.state === "waits", subject);
        cell.toggleAttribute("data-empty", Object.values(cell.buttons).every((button) => button.hidden));
      },
    };
  }

  makeButtons(cell) {
    const name = () => shortened(participantName(cell.item), 40);
    const buttons = {
      release: actionButton("lock-release-request", "Ask to release", () => ({
        title: `Ask ${name()} to release ${shortened(this.queue.path)}?`,
        effect: "The program of the holder decides. The request is withdrawn if it has not released the lock in time.",
        body: { path: this.queue.path, name: cell.item.znode },
      })),
      evict: actionButton("lock-evict", "Evict", () => ({
        title: `Evict ${name()} from ${shortened(this.queue.path)}?`,
        effect: "The holder loses the lock. The next participant acquires it after the longest session timeout.",
        body: { path: this.queue.path, name: cell.item.znode },
      })),
      transfer: actionButton("leader-transfer", "Transfer to it", () => ({
        title: `Transfer the leadership of ${shortened(this.queue.path)} to ${name()}?`,
        effect: "No other participant leads in between. If it does not accept, the leader continues.",
        body: { path: this.queue.path, to: cell.item.id },
      })),
    };
    cell.append(make("div", { class: "actions" }, ...Object.values(buttons)));
    return buttons;
  }

  update(queue) {
    this.queue = queue;
    setUseful(this.resign, isElection(queue) && (queue.holders ?? 0) > 0);
    this.table.update(queue.participants ?? [], (participant) => participant.znode);
    const notes = [...queue.notes ?? []];
    const count = queue.participants?.length ?? 0;
    if ((queue.participantCount ?? 0) > count) {
      notes.push(`${grouped(count)} of ${grouped(queue.participantCount)} participants are shown`);
    }
    this.noteList.update(notes, (note) => note);
    this.notes.hidden = notes.length === 0;
  }
}

// MARK: Schedules

const runLevels = {
  completed: "good", failed: "bad", interrupted: "bad", abandoned: "bad", awaitingOperator: "warn", started: "busy",
  claimed: "busy",
};
const runTitles = { awaitingOperator: "waits for an operator", started: "in progress" };
const runMarks = { started: "▶", claimed: "▶" };

class ScheduleCard {
  constructor(schedule) {
    Object.assign(this, makeCard());
    this.facts = make("p", { class: "facts" });
    this.next = makeAge();
    this.chart = makeSVG("svg", { class: "runs", role: "img", viewBox: "0 0 400 50", preserveAspectRatio: "none" });
    this.problems = make("ul", { class: "problems" });
    this.problemList = new KeyedList(this.problems, () => {
      const node = make("li");
      return { node, update: (text) => setText(node, shortened(text, 300)) };
    });
    this.table = new Table({
      caption: `Last runs of ${shortened(schedule.path)}`, isCaptionHidden: true, columns: this.columns(), limit: 4,
    });
    this.makeActions();
    this.node.append(this.facts, this.problems, this.chart, this.table.node);
  }

  columns() {
    return [
      { title: "Period", fill: (cell, run) => setName(cell, run.period, 40) },
      {
        title: "State",
        fill: (cell, run) => {
          fillBadge(cell, runLevels[run.state], runTitles[run.state] ?? escaped(run.state), runMarks[run.state]);
          cell.remarks ??= cell.appendChild(make("span", { class: "sub" }));
          setText(cell.remarks, [run.message, run.note].filter(Boolean).map((text) => shortened(text, 200)).join(" · "));
          cell.answer ??= cell.appendChild(this.answerButton(cell));
          cell.run = run;
          setUseful(cell.answer, run.state === "awaitingOperator", run.period);
        },
      },
      { title: "Node", fill: (cell, run) => setName(cell, run.participantID ?? "", 40) },
      { title: "Late by", kind: "number", fill: (cell, run) => setText(cell, run.lateness === undefined ? "" : durationText(run.lateness)) },
      {
        title: "Took", kind: "number",
        fill: (cell, run) => setText(cell, run.duration === undefined ? "" : durationText(run.duration)),
      },
    ];
  }

  answerButton(cell) {
    return actionButton("schedule-answer", "Answer", () => ({
      title: `Decide about the run of ${shortened(cell.run.period, 40)}`,
      effect: `The run of ${shortened(this.schedule.path)} waits for an operator.`,
      body: { path: this.schedule.path, period: cell.run.period },
      choice: {
        label: "Decision", key: "decision",
        values: [["rerun", "rerun: run it again"], ["resume", "resume: continue it"], ["skip", "skip: leave it out"]],
      },
    }));
  }

  makeActions() {
    const button = (verb, title, question, effect, needsReason) => actionButton(verb, title, () => ({
      title: `${question} ${shortened(this.schedule.path)}?`, effect, body: { path: this.schedule.path }, needsReason,
    }));
    this.buttons = {
      now: button("schedule-now", "Run now", "Run the task now:", "The leader runs the task as soon as it can."),
      skip: button("schedule-skip", "Skip next", "Skip the next period of", "The next period is left out."),
      pause: button("schedule-pause", "Pause", "Pause the schedule of", "A run in progress continues.", true),
      resume: button("schedule-resume", "Resume", "Resume the schedule of", "The schedule continues."),
      backfill: actionButton("schedule-backfill", "Backfill", () => ({
        title: `Backfill ${shortened(this.schedule.path)}?`,
        effect: "The periods of the range that are not completed run, oldest first. A range has at most 366 periods.",
        body: { path: this.schedule.path },
        fields: [
          { label: "From, such as 2026-03-07T00:00:00Z", key: "from" },
          { label: "Through, such as 2026-03-09T00:00:00Z", key: "through" },
        ],
      })),
      withdraw: actionButton("schedule-withdraw", "Withdraw", () => ({
        title: `Withdraw pending commands of ${shortened(this.schedule.path)}?`,
        effect: `What a node has carried out cannot be withdrawn. Pending: ${listed(this.schedule.withdrawable, 5, 80)}.`,
        body: { path: this.schedule.path },
        choice: {
          label: "Commands of all operators", key: "kind",
          values: [["", "all of them"], ["now", "runs now"], ["skip", "skips"], ["backfill", "backfills"]],
        },
      })),
    };
    this.actions.append(...Object.values(this.buttons));
  }

  update(schedule) {
    this.schedule = schedule;
    setName(this.title, schedule.path, 120);
    const runs = schedule.runs ?? [];
    const last = runs.at(-1);
    const running = last && ["started", "claimed"].includes(last.state);
    if (schedule.problem) setBadge(this.badge, "bad", "!", "not readable");
    else if (schedule.pause) setBadge(this.badge, "warn", "‖", "paused");
    else if (schedule.isOverdue) setBadge(this.badge, "bad", "!", "overdue");
    else if (running) setBadge(this.badge, "busy", "▶", "run in progress");
    else if (last && runLevels[last.state] === "bad") setBadge(this.badge, "bad", "!", `last run ${last.state}`);
    else setBadge(this.badge, "good", "✓", "on time");
    this.updateFacts(schedule);
    for (const name of ["now", "skip", "backfill"]) setUseful(this.buttons[name], true, schedule.path);
    setUseful(this.buttons.pause, !schedule.pause, schedule.path);
    setUseful(this.buttons.resume, Boolean(schedule.pause), schedule.path);
    setUseful(this.buttons.withdraw, (schedule.withdrawable ?? []).length > 0, schedule.path);
    const problems = [...schedule.problems ?? [], ...schedule.commands ?? []];
    if (schedule.problem) problems.unshift(`could not be read: ${schedule.problem}`);
    if (schedule.pause) {
      problems.unshift(`paused by ${schedule.pause.requestedBy}: ${schedule.pause.reason}`);
    }
    this.problemList.update(problems, (text) => text);
    this.problems.hidden = problems.length === 0;
    this.drawRuns(runs);
    this.table.update(runs.toReversed(), (run) => `${run.period} ${run.kind}`);
    this.table.node.hidden = runs.length === 0;
  }

  updateFacts(schedule) {
    const key = JSON.stringify([schedule.problem, schedule.leader, schedule.nodes, schedule.next]);
    if (this.factsKey === key) return;
    this.factsKey = key;
    const nodes = schedule.nodes?.length ?? 0;
    const parts = schedule.leader ? ["led by ", named(schedule.leader, 40)] : [schedule.problem ? "" : "no leader"];
    if (nodes > 0) parts.push(` · ${counted(nodes, "node")}`);
    if (schedule.next !== undefined) parts.push(" · next period ", this.next);
    this.facts.replaceChildren(...parts);
    setAge(this.next, schedule.next, () => {
      const left = schedule.next - serverNow();
      return left >= 0 ? `in ${ageText(left)}, ${clockText(schedule.next)}` : `due for ${ageText(-left)}`;
    });
  }

  /** A bar for each run: its height is the duration; a failed run has a cross, one in progress or left out is hollow. */
  drawRuns(runs) {
    const key = JSON.stringify(runs.map((run) => [run.state, run.duration]));
    if (this.chartKey === key) return;
    this.chartKey = key;
    const longest = Math.max(1, ...runs.map((run) => run.duration ?? 0));
    const shapes = [makeSVG("path", { class: "base", d: "M0 49.5H400" })];
    runs.forEach((run, index) => {
      const x = (20 - runs.length + index) * 20 + 3;
      const height = Math.max(3, (run.duration ?? 0) / longest * 36);
      const level = runLevels[run.state];
      const kind = level === "good" ? "ok" : level === "bad" ? "bad" : "other";
      shapes.push(makeSVG("rect", { class: kind, x, y: 49 - height, width: 14, height }));
      if (kind === "bad") {
        const y = 42 - height;
        shapes.push(makeSVG("path", { class: "mark", d: `M${x + 4} ${y - 3}l6 6m0 -6l-6 6` }));
      }
    });
    this.chart.replaceChildren(...shapes);
    const failed = runs.filter((run) => runLevels[run.state] === "bad").length;
    setAttribute(this.chart, "aria-label",
      `Durations of the last ${counted(runs.length, "run")}, at most ${durationText(longest)}; ${grouped(failed)} failed`);
    this.chart.toggleAttribute("hidden", runs.length === 0);
  }
}

// MARK: Partitions

/** Moves within this time are counted for each node, in milliseconds. */
const recentMoves = 300_000;

class PartitionsCard {
  constructor(group) {
    Object.assign(this, makeCard());
    this.facts = make("p", { class: "facts" });
    this.unowned = make("p", { class: "facts failure" });
    this.nodes = new Table({
      caption: `Nodes of ${shortened(group.path)}`, isCaptionHidden: true, columns: this.columns(), limit: 20,
      details: () => new PartitionNames(),
    });
    this.moves = new Table({ caption: "Last moves", columns: moveColumns, limit: 5 });
    this.node.append(this.facts, this.unowned, this.nodes.node, this.moves.node);
  }

  columns() {
    return [
      {
        title: "Node",
        fill: (cell, node) => {
          cell.name ??= cell.appendChild(make("span"));
          cell.remarks ??= cell.appendChild(make("span", { class: "sub" }));
          setName(cell.name, node.id, 60);
          setText(cell.remarks, [
            node.isMember === false ? "not a member" : "",
            node.isCordoned ? `cordoned${node.cordonReason ? `: ${shortened(node.cordonReason, 120)}` : ""}` : "",
            node.weight !== undefined && node.weight !== 1 ? `weight ${node.weight}` : "",
            node.capacity === undefined ? "" : `at most ${grouped(node.capacity)}`,
          ].filter(Boolean).join(" · "));
        },
      },
      { title: "Owns", kind: "number", fill: (cell, node) => setText(cell, grouped(node.owned ?? 0)) },
      {
        title: "Share",
        fill: (cell, node) => {
          if (!cell.value) {
            cell.value = makeSVG("rect", { class: "value", height: 10, y: 0, x: 0 });
            const chart = makeSVG("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
            chart.append(makeSVG("rect", { class: "track", width: 100, height: 10 }), cell.value);
            cell.append(chart);
          }
          setAttribute(cell.value, "width", Math.min(100, 100 * (node.owned ?? 0) / this.largest).toFixed(1));
        },
      },
      {
        title: "Moved", kind: "short",
        fill: (cell, node) => {
          const { gained = 0, lost = 0 } = this.moved.get(node.id) ?? {};
          setText(cell, gained + lost === 0 ? "" : `+${grouped(gained)} −${grouped(lost)}`);
        },
      },
      {
        title: "Details",
        fill: (cell, node, row) => {
          cell.classList.add("actions");
          fillToggle(cell, row, "Names");
          setAttribute(cell.button, "aria-label", `Names of the partitions of ${shortened(node.id, 40)}`);
          cell.item = node;
          cell.buttons ??= this.makeButtons(cell);
          setUseful(cell.buttons[0], !node.isCordoned, node.id);
          setUseful(cell.buttons[1], node.isCordoned === true, node.id);
        },
      },
    ];
  }

  makeButtons(cell) {
    const button = (verb, title, question, effect) => actionButton(verb, title, () => ({
      title: `${question} ${shortened(cell.item.id, 40)}?`, effect, body: { path: this.group.path, name: cell.item.id },
    }));
    const buttons = [
      button("partitions-cordon", "Cordon", "Cordon", "Its partitions move to other nodes, until it is uncordoned."),
      button("partitions-uncordon", "Uncordon", "Uncordon", "Partitions return to it."),
    ];
    cell.append(...buttons);
    return buttons;
  }

  update(group) {
    this.group = group;
    setName(this.title, group.path, 120);
    const nodes = group.nodes ?? [];
    const moves = group.moves ?? [];
    this.largest = Math.max(1, ...nodes.map((node) => node.owned ?? 0));
    this.moved = new Map();
    const start = serverNow() - recentMoves;
    const recent = moves.filter((move) => move.time >= start);
    const note = (id, key) => {
      if (id === undefined) return;
      const entry = this.moved.get(id) ?? { gained: 0, lost: 0 };
      entry[key] += 1;
      this.moved.set(id, entry);
    };
    for (const move of recent) {
      note(move.from, "lost");
      note(move.to, "gained");
    }
    const unowned = group.unowned ?? 0;
    if (group.problem) setBadge(this.badge, "bad", "!", "not readable");
    else if (unowned > 0) setBadge(this.badge, "bad", "!", `${grouped(unowned)} without an owner`);
    else setBadge(this.badge, "good", "✓", "all owned");
    setText(this.facts, group.problem ? "" : [
      counted(group.total ?? 0, "partition"), counted(nodes.length, "node"),
      recent.length === 100 ? "100 or more moves in 5 min" : `${counted(recent.length, "move")} in 5 min`,
    ].join(" · "));
    const names = group.unownedPartitions ?? [];
    const texts = [
      unowned > 0 && names.length > 0
        ? `Without an owner: ${listed(names.slice(0, 8), 8, 40)}${unowned > Math.min(names.length, 8) ? " and more" : ""}` : "",
      group.problem ? `Could not be read: ${shortened(group.problem, 200)}` : "",
    ].filter(Boolean);
    setText(this.unowned, texts.join(". "));
    this.unowned.hidden = texts.length === 0;
    this.nodes.update(nodes, (node) => node.id);
    this.moves.update(moves.toReversed(), (move) => `${move.time} ${move.partition} ${move.to ?? ""}`);
    this.moves.node.hidden = moves.length === 0;
  }
}

class PartitionNames {
  constructor() {
    this.node = make("p", { class: "name" });
  }

  update(node) {
    const names = node.partitions ?? [];
    const shown = names.map((name) => `\u2068${shortened(name, 60)}\u2069`).join(", ");
    const rest = (node.owned ?? 0) - names.length;
    setText(this.node, names.length === 0 ? "no partitions" : shown + (rest > 0 ? ` and ${grouped(rest)} more` : ""));
  }
}

const moveColumns = [
  { title: "Time", kind: "short", fill: (cell, move) => setText(cell, clockText(move.time)) },
  { title: "Partition", fill: (cell, move) => setName(cell, move.partition, 60) },
  { title: "From", fill: (cell, move) => setName(cell, move.from ?? "no owner", 40) },
  { title: "To", fill: (cell, move) => setName(cell, move.to ?? "no owner", 40) },
];

// MARK: The ensemble

const roleLevels = { leader: "busy", follower: "good", observer: "good", standalone: "good" };
const roleMarks = { leader: "★" };

const serverColumns = [
  { title: "Server", fill: (cell, server) => setName(cell, server.address, 60) },
  {
    title: "Role",
    fill(cell, server) {
      if (server.failure) fillBadge(cell, "bad", "no answer");
      else fillBadge(cell, roleLevels[server.mode] ?? "warn", escaped(server.mode ?? "not serving"), roleMarks[server.mode]);
      cell.failure ??= cell.appendChild(make("span", { class: "sub" }));
      setText(cell.failure, server.failure ? shortened(server.failure, 120)
        : server.notAllowed?.length ? `does not allow ${listed(server.notAllowed)}` : "");
    },
  },
  {
    title: "Latency", kind: "number",
    fill(cell, server) {
      cell.average ??= cell.appendChild(make("span"));
      cell.most ??= cell.appendChild(make("span", { class: "sub" }));
      const latency = server.latency;
      setText(cell.average, latency?.average === undefined ? "" : `${latency.average.toFixed(1)} ms`);
      setText(cell.most, latency?.max === undefined ? "" : `max ${durationText(latency.max)}`);
      cell.toggleAttribute("data-empty", latency === undefined);
    },
  },
  { title: "Sessions", kind: "number", fill: (cell, server) => setNumber(cell, server.sessions) },
  { title: "Connections", kind: "number", fill: (cell, server) => setNumber(cell, server.connections) },
  { title: "Queued", kind: "number", fill: (cell, server) => setNumber(cell, server.outstandingRequests) },
];

function setNumber(cell, number) {
  setText(cell, number === undefined ? "" : grouped(number));
}

class EnsembleCard {
  constructor() {
    Object.assign(this, makeCard());
    setText(this.title, "Servers");
    this.facts = make("p", { class: "facts" });
    this.checked = makeAge();
    this.table = new Table({ caption: "Servers", isCaptionHidden: true, columns: serverColumns });
    this.findings = make("ul", { class: "findings" });
    this.findingList = new KeyedList(this.findings, () => {
      const [badge, title] = [make("span", { class: "badge" }), make("h4")];
      const [why, remedy] = [make("p"), make("p")];
      return {
        node: make("li", {}, badge, title, why, remedy),
        update: (finding) => {
          const level = { error: "bad", warning: "warn" }[finding.severity] ?? "";
          setBadge(badge, level, levelMarks[level] ?? "i", escaped(finding.severity));
          setText(title, [finding.subject, finding.what].filter(Boolean).map((text) => shortened(text, 300)).join(": "));
          setText(why, finding.why ? `Why: ${shortened(finding.why, 600)}` : "");
          setText(remedy, finding.remedy ? `Remedy: ${shortened(finding.remedy, 600)}` : "");
        },
      };
    });
    this.skipped = make("p", { class: "facts" });
    this.node.append(this.facts, this.table.node, this.findings, this.skipped);
  }

  update(ensemble) {
    const servers = ensemble.servers ?? [];
    const findings = ensemble.findings ?? [];
    const failed = servers.filter((server) => server.failure).length;
    const errors = findings.filter((finding) => finding.severity === "error").length;
    const warnings = findings.filter((finding) => finding.severity === "warning").length;
    if (failed > 0) setBadge(this.badge, "bad", "!", `${grouped(failed)} of ${grouped(servers.length)} without an answer`);
    else if (errors > 0) setBadge(this.badge, "bad", "!", counted(errors, "error"));
    else if (warnings > 0) setBadge(this.badge, "warn", "▲", counted(warnings, "warning"));
    else setBadge(this.badge, "good", "✓", "no findings");
    const texts = [];
    if (ensemble.voters !== undefined) texts.push(counted(ensemble.voters, "voting member"));
    if (ensemble.observers) texts.push(counted(ensemble.observers, "observer"));
    const versions = [...new Set(servers.map((server) => server.version).filter(Boolean))];
    if (versions.length > 0) texts.push(`version ${listed(versions)}`);
    if (ensemble.session) {
      texts.push(`session of this dashboard ${escaped(ensemble.session.id)}, ${durationText(ensemble.session.timeout)}`);
    }
    const key = JSON.stringify(texts);
    if (this.factsKey !== key) {
      this.factsKey = key;
      this.facts.replaceChildren(texts.map((text) => `${text} · `).join(""), this.checked);
    }
    setAge(this.checked, ensemble.checkedAt, (age) => `checked ${age} ago`);
    this.table.update(servers, (server) => server.address);
    this.findingList.update(findings, (finding) => `${finding.rule} ${finding.subject ?? ""}`);
    this.findings.hidden = findings.length === 0;
    const skipped = ensemble.skipped ?? [];
    setText(this.skipped, skipped.length === 0 ? "" : `Not checked: ${listed(skipped, 4, 200)}`);
    this.skipped.hidden = skipped.length === 0;
  }
}

// MARK: Sections

let filterText = "";

/** A section with items by path: shows those that match the filter, and changes what differs. */
class Section {
  constructor({ name, limit, select, makeList }) {
    Object.assign(this, { name, select });
    this.empty = byID(`${name}-empty`);
    this.list = makeList(byID(`${name}-list`), limit);
    this.emptyText = this.empty.textContent;
  }

  update(state) {
    const items = this.select(state);
    const matching = filterText === "" ? items : items.filter((item) => item.path?.toLowerCase().includes(filterText));
    const key = JSON.stringify(matching);
    if (this.key === key) return;
    this.key = key;
    this.list.update(matching, (item) => item.path);
    this.empty.hidden = matching.length > 0;
    const isSearching = state.isReading === false;
    setText(this.empty, items.length > 0 ? "No path contains the text of the filter."
      : isSearching ? "Searching …" : this.emptyText);
  }
}

/** A list of cards. */
function cards(Card) {
  return (parent, limit) => new KeyedList(parent, (item) => new Card(item), limit);
}

let sections;

function makeSections() {
  sections = [
    new Section({ name: "exclusive", limit: 10, select: (state) => state.exclusive ?? [], makeList: cards(ExclusiveCard) }),
    new Section({
      name: "queues", limit: 30, select: (state) => state.queues ?? [],
      makeList(parent, limit) {
        const table = new Table({
          caption: "Locks and elections", isCaptionHidden: true, columns: queueColumns, limit,
          details: (queue) => new QueueDetails(queue),
        });
        const card = make("div", { class: "card", hidden: "" }, table.node);
        parent.append(card);
        return {
          update(items, keyOf) {
            card.hidden = items.length === 0;
            table.update(items, keyOf);
          },
        };
      },
    }),
    new Section({ name: "schedules", limit: 10, select: (state) => state.schedules ?? [], makeList: cards(ScheduleCard) }),
    new Section({ name: "partitions", limit: 10, select: (state) => state.partitions ?? [], makeList: cards(PartitionsCard) }),
    new Section({
      name: "ensemble",
      select: (state) => state.ensemble?.checkedAt === undefined ? [] : [{ ...state.ensemble, path: filterText }],
      makeList: cards(EnsembleCard),
    }),
  ];
}

function updateCounts(state) {
  const now = serverNow();
  const bases = state.exclusive ?? [];
  const late = bases.reduce((sum, base) =>
    sum + (base.processors ?? []).filter((processor) => kindOf(processor, base, now) === "late").length, 0);
  const windows = bases.filter((base) => base.window).length;
  const problem = lostAt !== undefined ? "not connected" : state.connection?.state !== "connected" ? "no connection"
    : late > 0 ? `${grouped(late)} late` : "";
  document.title = problem === "" ? "zkrecipes dashboard" : `${problem} · zkrecipes dashboard`;
  setCount("exclusive", late > 0 ? `${grouped(late)} late` : windows > 0 ? counted(windows, "window") : bases.length,
    late > 0 ? "bad" : windows > 0 ? "busy" : undefined);
  setCount("queues", (state.queues ?? []).length);
  const problems = (state.schedules ?? []).filter((schedule) => (schedule.problems ?? []).length > 0 || schedule.isOverdue);
  setCount("schedules", problems.length > 0 ? counted(problems.length, "problem") : (state.schedules ?? []).length,
    problems.length > 0 ? "bad" : undefined);
  const unowned = (state.partitions ?? []).reduce((sum, group) => sum + (group.unowned ?? 0), 0);
  setCount("partitions", unowned > 0 ? `${grouped(unowned)} unowned` : (state.partitions ?? []).length,
    unowned > 0 ? "bad" : undefined);
  const findings = (state.ensemble?.findings ?? []).filter((finding) => finding.severity !== "note").length;
  setCount("ensemble", findings > 0 ? counted(findings, "finding") : (state.ensemble?.servers ?? []).length,
    findings > 0 ? "bad" : undefined);
}

function setCount(name, text, level) {
  const count = byID(`count-${name}`);
  setText(count, String(text));
  setAttribute(count, "data-level", level);
}

// MARK: The connection to the server

/** Without an event for this long, the connection counts as lost, in milliseconds: the ensemble is checked every 15 s. */
const silenceLimit = 60_000;

/** A server that has just started to read sends states without recipes: the known ones stay for this time. */
const keptTime = 3000;

let source;
let received;
let state;
let keepUntil = 0;
let lostAt;
let lastEvent = performance.now();
let clockOffset = Date.now() - performance.now();

/** The time of the server's host clock, in milliseconds since 1970. */
function serverNow() {
  return performance.now() + clockOffset;
}

function connect() {
  source?.close();
  source = new EventSource("events");
  source.addEventListener("state", (event) => receive(event.data));
  source.addEventListener("error", () => {
    lose();
    // The browser reconnects by itself, except after an answer such as 503.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  });
  lastEvent = performance.now();
}

function receive(text) {
  try {
    received = JSON.parse(text);
  } catch {
    return;
  }
  lastEvent = performance.now();
  apply(received);
}

/** Shows a state. */
function apply(newest) {
  let next = newest;
  if (state && newest.isReading === false && performance.now() >= keepUntil) {
    keepUntil = performance.now() + keptTime;
    setTimeout(() => {
      if (lostAt === undefined) apply({ ...received, time: serverNow() });
    }, keptTime + 10);
  }
  if (performance.now() < keepUntil) next = withKept(newest, state);
  clockOffset = next.time - performance.now();
  if (lostAt !== undefined) {
    lostAt = undefined;
    if (state) reportChange("connected to the dashboard again");
  }
  recordHistory(next);
  compare(state, next);
  if (state && state.connection?.state === "connected" && next.connection?.state !== "connected") {
    for (const one of histories.values()) one.interrupt(next.time);
  }
  state = next;
  scheduleAll();
}

/** Adds the recipes of an earlier state that a state does not contain. */
function withKept(next, before) {
  const kept = { ...next };
  for (const name of ["exclusive", "queues", "schedules", "partitions"]) {
    const paths = new Set((next[name] ?? []).map((item) => item.path));
    kept[name] = [...next[name] ?? [], ...(before[name] ?? []).filter((item) => !paths.has(item.path))]
      .toSorted((one, other) => one.path < other.path ? -1 : 1);
  }
  if (next.ensemble?.checkedAt === undefined) kept.ensemble = before.ensemble;
  return kept;
}

function lose() {
  if (lostAt !== undefined) return;
  lostAt = serverNow();
  for (const one of histories.values()) one.interrupt(lostAt);
  if (state) reportChange("the connection to the dashboard is lost", { level: "bad", isAnnounced: false });
  scheduleAll();
}

function scheduleAll() {
  schedule("link", renderLink);
  if (!state) return;
  for (const section of sections) schedule(section.name, () => section.update(state));
  schedule("counts", () => updateCounts(state));
}

function renderLink() {
  const link = byID("link");
  const connection = state?.connection;
  const servers = shortened(connection?.servers ?? "", 60);
  let [name, text, notice] = ["connected", `connected to ${servers}`, ""];
  if (lostAt !== undefined) {
    const since = clockText(lostAt);
    [name, text] = ["lost", `not connected since ${since}`];
    notice = `Not connected to the dashboard's server since ${since}. ${state ? "The values below are from then. " : ""}`
      + "The page connects again by itself.";
  } else if (!state) {
    [name, text] = ["connecting", "connecting"];
  } else if (connection?.state !== "connected") {
    const since = connection?.since === undefined ? "" : ` since ${clockText(connection.since)}`;
    [name, text] = ["lost", `no connection to ZooKeeper${since}`];
    notice = `No connection to ZooKeeper${since}. The values below are from then. The dashboard connects again by itself.`;
  } else if ((state.notes ?? []).length > 0) {
    notice = state.notes.map((note) => shortened(note, 300)).join(" ");
  }
  setAttribute(link, "data-state", name);
  setText(byID("link-text"), text);
  const box = byID("notice");
  setText(box, notice);
  box.hidden = notice === "";
  document.documentElement.toggleAttribute("data-stale", name === "lost" && state !== undefined);
  if (!state) return;
  const verbs = name === "connected" && state.changes?.allowed ? state.changes.verbs ?? [] : [];
  updateActions(verbs);
  document.documentElement.toggleAttribute("data-changes", verbs.length > 0);
  setText(byID("footer-text"), state.changes?.allowed
    ? "This dashboard allows changes. Each one asks for confirmation and for the token."
    : "This dashboard changes nothing. zkrecipes dashboard --allow-changes adds operator commands.");
}

// MARK: Start

function tick() {
  schedule("ages", updateAges);
  if (performance.now() - lastEvent > silenceLimit) {
    lose();
    connect();
  }
  // A processor becomes late without a new state.
  if (lostAt === undefined && state?.exclusive?.some((base) => base.window)) {
    sections[0].key = undefined;
    schedule("exclusive", () => sections[0].update(state));
    schedule("counts", () => updateCounts(state));
  }
}

function drawLanes() {
  if (!document.hidden && lostAt === undefined) for (const lanes of visibleLanes) lanes.requestDrawing();
  setTimeout(drawLanes, prefersLessMotion.matches ? 2000 : 250);
}

function start() {
  takeToken();
  addEventListener("hashchange", takeToken);
  readColours();
  drawLegend();
  makeSections();
  prepareDialog();
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(query).addEventListener("change", () => {
      readColours();
      drawLegend();
      for (const lanes of visibleLanes) lanes.requestDrawing();
    });
  }
  new ResizeObserver(() => {
    for (const lanes of visibleLanes) lanes.requestDrawing();
  }).observe(byID("exclusive-list"));
  byID("range").addEventListener("change", (event) => {
    range = Number(event.target.value) * 1000;
    for (const lanes of visibleLanes) lanes.requestDrawing();
  });
  byID("filter").addEventListener("input", (event) => {
    filterText = event.target.value.trim().toLowerCase();
    scheduleAll();
  });
  setInterval(tick, 1000);
  drawLanes();
  renderLink();
  connect();
}

start();
