// Watches one page from inside and tells what it saw through a binding of the browser's. It adds nothing to the page,
// asks for nothing over the network, and changes none of its objects; a fault of its own ends it, never the page.
// `observer.py` puts the configuration in place of CONFIGURATION. All times are milliseconds of this page's clock.
(() => {
  "use strict";
  const { binding, rules, quietMs, waitMs, restlessMs } = CONFIGURATION;
  const tell = globalThis[binding];
  if (typeof tell !== "function" || window !== window.top || !/^https?:$/.test(location.protocol)) return;
  delete globalThis[binding];

  // The application may replace any of these.
  const later = setTimeout.bind(window);
  const frame = requestAnimationFrame.bind(window);
  const now = performance.now.bind(performance);
  const TELL_EVERY_MS = 250;
  // A tester may leave soon, and what is said while leaving is not always heard.
  const TELL_EARLY_MS = 100, EARLY_MS = 2000;
  const MOST = { resources: 600, mark: 200, measure: 300, long_task: 100, error: 50, render: 200 };
  const TEXT = 80;

  const guarded = (action) => (...given) => { try { return action(...given); } catch { return undefined; } };

  // ---- What is known of the load, and of each navigation within the page.

  const parts = [];
  const begin = (kind, start) => {
    const part = {
      number: parts.length, kind, start, url: location.href, hidden: document.visibilityState === "hidden",
      load: null, fcp: null, lcp: null, cls: 0, inp: null, interactions: 0, longTasks: 0, longTaskTime: 0, errors: 0,
      ended: false, resources: [], timings: [], counted: {}, worst: [], seen: new Set(), shifts: null, dirty: true,
    };
    parts.push(part);
    return part;
  };
  // The click that led to a navigation still belongs to the part before it; what it caused does not. Of that, what was
  // told before the navigation was known is moved by whoever listens.
  const at = (time) => parts.findLast((part) => part.start < time) ?? parts[0];
  const current = () => parts[parts.length - 1];

  const note = (part, timing) => {
    part.counted[timing.kind] = (part.counted[timing.kind] ?? 0) + 1;
    if (part.counted[timing.kind] <= MOST[timing.kind]) part.timings.push(timing);
    touch(part);
  };

  let due = false;
  const touch = (part) => {
    part.dirty = true;
    if (due) return;
    due = true;
    later(flush, now() - current().start < EARLY_MS ? TELL_EARLY_MS : TELL_EVERY_MS);
  };
  const flush = guarded(() => {
    due = false;
    for (const part of parts) if (part.dirty) say(part);
  });
  const say = (part) => {
    part.dirty = false;
    const { counted, worst, seen, shifts, dirty, ...told } = part;
    const entry = part.kind === "load" ? performance.getEntriesByType("navigation")[0] : undefined;
    const answer = tell(JSON.stringify({
      ...told, origin: performance.timeOrigin, ...(entry ? timesOf(entry) : { firstByte: null, domLoaded: null }),
    }));
    part.resources = [];
    part.timings = [];
    answer?.catch?.(() => {});  // whoever listened is gone
  };
  const isLoaded = (part) => (part.kind === "load"
    ? performance.getEntriesByType("navigation")[0]?.loadEventStart > 0 : part.load !== null);
  const timesOf = (entry) => {
    const times = {
      firstByte: entry.finalResponseHeadersStart || entry.responseStart || null,
      domLoaded: entry.domContentLoadedEventEnd || null,
      load: entry.loadEventStart || null,
    };
    if (entry.responseEnd) times.document = resource(entry, "navigation");
    return times;
  };
  const resource = (entry, initiator) => ({
    url: entry.name, initiator, start: entry.startTime, sent: entry.requestStart || null,
    firstByte: entry.finalResponseHeadersStart || entry.responseStart || null, done: entry.responseEnd,
    bytes: entry.responseStart ? entry.transferSize : null, blocking: entry.renderBlockingStatus === "blocking",
  });

  const describe = (element) => {
    if (!element?.tagName) return "";
    const classes = typeof element.className === "string" ? element.className.trim().split(/\s+/).filter(Boolean) : [];
    const name = element.tagName.toLowerCase();
    return element.id ? `${name}#${element.id}` : [name, ...classes.slice(0, 2)].join(".");
  };
  const textOf = (element) => (element?.textContent ?? "").replace(/\s+/g, " ").trim().slice(0, TEXT);

  // ---- What the browser measures itself.

  const observe = (type, see, options = {}) => {
    if (!PerformanceObserver.supportedEntryTypes.includes(type)) return;
    new PerformanceObserver(guarded((list) => list.getEntries().forEach(guarded(see))))
      .observe({ type, buffered: true, ...options });
  };

  const first = begin("load", document.prerendering ? now() : performance.getEntriesByType("navigation")[0]?.activationStart ?? 0);

  observe("paint", (entry) => {
    if (entry.name !== "first-contentful-paint") return;
    first.fcp = entry.startTime;
    say(first);
  });
  observe("largest-contentful-paint", (entry) => {
    first.lcp = { at: entry.startTime, element: describe(entry.element), url: entry.url, text: textOf(entry.element) };
    touch(first);
  });
  observe("layout-shift", (entry) => {
    if (entry.hadRecentInput) return;
    const part = at(entry.startTime);
    // The worst burst of shifts: less than a second between two, five seconds in all (https://web.dev/articles/cls).
    const burst = part.shifts;
    const goes = burst && entry.startTime - burst.last < 1000 && entry.startTime - burst.first < 5000;
    part.shifts = goes ? burst : { first: entry.startTime, sum: 0 };
    part.shifts.last = entry.startTime;
    part.shifts.sum += entry.value;
    if (part.shifts.sum > part.cls) { part.cls = part.shifts.sum; touch(part); }
  });
  const interaction = (entry) => {
    if (!entry.interactionId) return;
    const part = at(entry.startTime);
    if (!part.seen.has(entry.interactionId)) { part.seen.add(entry.interactionId); part.interactions += 1; }
    const known = part.worst.find((each) => each.id === entry.interactionId);
    if (known) known.duration = Math.max(known.duration, entry.duration);
    else part.worst.push({ id: entry.interactionId, duration: entry.duration, element: describe(entry.target) });
    part.worst.sort((one, other) => other.duration - one.duration).splice(10);
    // One of fifty is forgiven (https://web.dev/articles/inp).
    const { duration, element } = part.worst[Math.min(part.worst.length - 1, Math.floor(part.interactions / 50))];
    part.inp = { duration, element };
    touch(part);
  };
  observe("first-input", interaction);
  observe("event", interaction, { durationThreshold: 16 });
  observe("longtask", (entry) => {
    const part = at(entry.startTime);
    part.longTasks += 1;
    part.longTaskTime += entry.duration;
    note(part, { kind: "long_task", name: "", start: entry.startTime, duration: entry.duration });
  });
  const named = (entry) => note(at(entry.startTime), {
    kind: entry.entryType, name: entry.name, start: entry.startTime,
    duration: entry.entryType === "measure" ? entry.duration : null,
  });
  observe("mark", named);
  observe("measure", named);
  observe("resource", (entry) => {
    const part = at(entry.startTime);
    part.counted.resources = (part.counted.resources ?? 0) + 1;
    if (part.counted.resources <= MOST.resources) part.resources.push(resource(entry, entry.initiatorType));
    touch(part);
    const underWay = part.load === null || entry.startTime <= part.settled;
    if (part.kind === "navigation" && part === current() && underWay && !isPoll(entry.name)) busy(part, entry.responseEnd);
    renders.forEach((each) => each.answered(entry));
  });

  // ---- Errors that nobody caught.

  const failed = (name, detail) => {
    const part = current();
    part.errors += 1;
    note(part, { kind: "error", name: name.slice(0, 500), start: now(), duration: null, detail: detail.slice(0, 500) });
  };
  addEventListener("error", guarded((event) => {
    if (event instanceof ErrorEvent) failed(String(event.message), `${event.filename}:${event.lineno}:${event.colno}`);
  }));
  addEventListener("unhandledrejection", guarded(({ reason }) => {
    const said = reason instanceof Error ? `${reason.name}: ${reason.message}` : typeof reason === "string" ? reason : "";
    failed(`Unhandled rejection: ${said || typeof reason}`, "");
  }));

  // ---- Frames: what changed is seen when the frame after it has been painted.

  const channel = new MessageChannel();
  const painted = [];
  let waiting = null;
  channel.port1.onmessage = guarded(() => { const time = now(); painted.shift()?.forEach((done) => done(time)); });
  const afterPaint = (done) => {
    if (waiting) return void waiting.push(done);
    waiting = [done];
    frame(() => { painted.push(waiting); waiting = null; channel.port2.postMessage(0); });
  };

  // ---- From data to picture: the frame after which an element that shows a call's data changes no more.

  const asPattern = (glob) => new RegExp(`^${
    glob.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".")}$`);

  class Render {
    constructor(rule) {
      this.rule = rule;
      this.paths = rule.paths.map(asPattern);
      this.pages = rule.pages.map(asPattern);
      this.bursts = [];
      this.calls = [];
    }
    get here() { return !this.pages.length || this.pages.some((page) => page.test(location.pathname)); }
    get element() {
      for (const selector of this.rule.selectors) {
        const found = document.querySelector(selector);
        if (found) return found;
      }
      return null;
    }
    answered(entry) {
      if (!/^(fetch|xmlhttprequest)$/.test(entry.initiatorType) || !this.here) return;
      const { pathname } = new URL(entry.name);
      if (!this.paths.some((path) => path.test(pathname))) return;
      this.calls.push({ done: entry.responseEnd, start: entry.startTime, url: entry.name, part: at(entry.startTime) });
      this.calls.sort((one, other) => one.done - other.done);
      this.look();
      later(guarded(() => this.look()), waitMs + quietMs);
    }
    changed(records, time) {
      if (!this.here) return;
      const element = this.element;
      if (!element || !records.some((record) => touches(record, element))) return;
      let burst = this.bursts[this.bursts.length - 1];
      if (!burst || time - burst.last > quietMs) {
        burst = { first: time, last: time, painted: null };
        this.bursts.push(burst);
        this.bursts.splice(0, this.bursts.length - 20);
      }
      burst.last = time;
      burst.painted = null;
      afterPaint((shown) => {
        if (burst.last === time) burst.painted = shown;
        later(guarded(() => this.look()), quietMs + 20);
      });
    }
    look() {
      this.calls = this.calls.filter((call, number) => !this.settle(call, this.calls[number + 1]?.done ?? Infinity));
    }
    // Whether nothing more will be known of a call.
    settle(call, next) {
      const time = now();
      const element = this.element;
      const burst = this.bursts.find((each) => each.last >= call.done && each.first <= Math.min(call.done + waitMs, next));
      if (!burst) {
        if (time < call.done + waitMs) return false;
        return this.report(call, null, element ? "it did not change" : "there was no such element");
      }
      if (time - call.done > restlessMs && time - burst.last < quietMs) return this.report(call, null, "it kept changing");
      if (burst.painted === null || time - burst.last < quietMs) return time - call.done > 2 * restlessMs;
      if (!this.holds(element)) {
        this.bursts.splice(0, this.bursts.indexOf(burst) + 1);
        return false;
      }
      return this.report(call, burst.painted - call.done, null, element);
    }
    holds(element) {
      if (!element || element.getAttribute("aria-busy") === "true") return false;
      return this.rule.ready ? element.querySelector(this.rule.ready) !== null : element.childElementCount > 0 || textOf(element) !== "";
    }
    report(call, duration, detail, element = null) {
      const { item } = this.rule;
      const items = element && (item ? element.querySelectorAll(item).length : element.childElementCount);
      const { url, start } = call;
      note(call.part, { kind: "render", name: this.rule.name, start: call.done, duration, items, detail, call: { url, start } });
      return true;
    }
  }
  const touches = ({ target, addedNodes }, element) => {
    if (element.contains(target)) return true;
    for (const node of addedNodes) if (node.contains(element)) return true;
    return false;
  };
  const renders = rules.flatMap((rule) => {
    for (const selector of [...rule.selectors, rule.ready, rule.item]) {
      try { if (selector) document.querySelector(selector); } catch {
        const detail = `${selector} is no CSS selector`;
        note(first, { kind: "render", name: rule.name, start: 0, duration: null, items: null, detail });
        return [];
      }
    }
    return [new Render(rule)];
  });

  // ---- Navigations within the page.

  let input = null;
  const pressed = (event) => { if (event.isTrusted) input = event.timeStamp; };
  for (const type of ["click", "keydown"]) addEventListener(type, pressed, { capture: true, passive: true });

  const isPoll = (url) => /[?&]EIO=\d/.test(url);  // Socket.IO waits for news all the time
  const isRoute = (hash) => /^#[!/]/.test(hash);
  const placeOf = (url) => { const { pathname, search, hash } = new URL(url); return pathname + search + (isRoute(hash) ? hash : ""); };
  globalThis.navigation?.addEventListener("currententrychange", guarded(({ navigationType, from }) => {
    if (!navigationType || !from?.url || placeOf(from.url) === placeOf(location.href)) return;
    if (navigationType === "replace" && new URL(from.url).pathname === location.pathname) return;
    const part = current();
    if (navigationType === "replace" && part.kind === "navigation" && part.load === null) {  // it was led on
      part.url = location.href;
      return touch(part);
    }
    const time = now();
    const recent = input !== null && input > part.start && time - input < 10000 && navigationType !== "traverse";
    leave(part);
    const next = begin("navigation", recent ? input : time);
    input = null;
    say(next);
    watch();
    busy(next, time);
  }));
  const leave = (part) => { part.ended = true; part.end = now(); say(part); };

  // A navigation is over when nothing changed and nothing arrived for a while; what was under way then prolongs it.
  const busy = (part, time) => {
    part.last = Math.max(part.last ?? 0, time);
    afterPaint((shown) => {
      const seen = part.last;
      later(guarded(() => {
        if (part !== current() || part.last !== seen || (part.load !== null && part.load >= shown)) return;
        part.load = Math.max(shown, part.load ?? 0);
        part.settled = now();
        touch(part);
      }), 2 * quietMs);
    });
  };

  // ---- The document's changes, while somebody wants to know of them.

  let watching = false;
  const changes = new MutationObserver(guarded((records) => {
    const time = now();
    renders.forEach((each) => each.changed(records, time));
    const part = current();
    if (part.kind === "navigation" && (part.load === null || time - part.last < 2 * quietMs)) busy(part, time);
  }));
  const watch = () => {
    if (watching) return;
    watching = true;
    changes.observe(document, { childList: true, characterData: true, subtree: true });
  };
  if (renders.length) watch();

  // ---- The page's own life.

  addEventListener("visibilitychange", guarded(() => {
    if (document.visibilityState !== "hidden") return;
    const part = current();
    if (!part.ended && !isLoaded(part)) { part.hidden = true; part.dirty = true; }
    flush();
  }), true);
  addEventListener("pagehide", guarded(() => { leave(current()); flush(); }), true);
  addEventListener("pageshow", guarded((event) => {
    if (!event.persisted) return;
    const part = begin("navigation", event.timeStamp);
    part.load = now();
    touch(part);
  }), true);
  addEventListener("load", guarded(() => later(flush, 0)), { once: true });
  say(first);
})();
