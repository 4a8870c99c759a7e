"use strict";
// The page's own script: draws the figures in the colours of the theme, sorts and searches tables, opens all for paper.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- theme -----------------------------------------------------------------------------------------------------
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("nestperf-theme"); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem("nestperf-theme", theme); } catch { /* a file may not */ } };
  const current = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  if (stored()) root.dataset.theme = stored();

  // --- figures ---------------------------------------------------------------------------------------------------
  const figures = new Map();
  const isNarrow = () => innerWidth < 640;

  // Colours are written as "@name" and stand under keys that end with "color": nothing captured is ever one.
  const painted = (value, colours, isColour = false) => {
    if (Array.isArray(value)) return value.map((item) => painted(item, colours, isColour));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(
        ([key, inner]) => [key, painted(inner, colours, /color$/.test(key))]));
    }
    return isColour && typeof value === "string" && value[0] === "@" ? colours(value.slice(1)) : value;
  };

  const paint = (figure) => {
    const style = getComputedStyle(root);
    const colours = (name) => style.getPropertyValue(`--${name}`).trim();
    const layout = painted(figure.layout, colours);
    const narrow = isNarrow();
    const labels = layout.meta && layout.meta.narrow;
    if (narrow) {
      layout.margin = { ...layout.margin, l: labels ? 104 : 44, r: 6 };
      if (labels) layout.yaxis = { ...layout.yaxis, ticktext: labels };
      // A legend of many lines takes its room from the page, not from the picture.
      const entries = figure.data.filter((trace) => trace.showlegend !== false).length;
      layout.height += 15 * entries;
    }
    Object.assign(layout, {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: style.getPropertyValue("--font").trim(), size: narrow ? 10 : 12, color: colours("muted") },
      hoverlabel: { bgcolor: colours("paper"), bordercolor: colours("line"), font: { color: colours("ink") }, align: "left" },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      autosize: true,
    });
    return [painted(figure.data, colours), layout];
  };

  const config = { displaylogo: false, responsive: true, displayModeBar: false, doubleClick: "reset" };
  const draw = (place) => {
    const figure = figures.get(place.id) || JSON.parse(document.getElementById(`${place.id}-data`).textContent);
    figures.set(place.id, figure);
    const begun = performance.now();
    const [data, layout] = paint(figure);
    place.style.height = `${layout.height}px`;
    try {
      Plotly.react(place, data, layout, config);
    } catch (error) {
      // One picture that cannot be drawn leaves the others alone, and is missed by nobody.
      place.textContent = `This picture could not be drawn: ${error}`;
      place.dataset.failed = "true";
    }
    performance.measure(`nestperf ${place.id}`, { start: begun });
    place.dataset.drawn = "true";
  };
  const isShown = (place) => !place.closest("details:not([open])");
  const redraw = () => all(".plot[data-drawn]").filter(isShown).forEach(draw);
  const drawAll = () => all(".plot:not([data-drawn])").filter(isShown).forEach(draw);

  // What is in sight first, the rest when the page has nothing else to do.
  const rest = () => {
    const next = all(".plot:not([data-drawn])").find(isShown);
    if (!next) { performance.mark("nestperf-all"); root.dataset.ready = "true"; return; }
    draw(next);
    later(rest);
  };
  const later = (what) => (window.requestIdleCallback ? requestIdleCallback(what, { timeout: 500 }) : setTimeout(what, 30));

  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = current() === "dark" ? "light" : "dark";
    keep(root.dataset.theme);
    redraw();
  });
  dark.addEventListener("change", redraw);
  all("details").forEach((details) => details.addEventListener("toggle", () => {
    if (details.open) all(".plot:not([data-drawn])", details).forEach(draw);
  }));
  let wasNarrow = isNarrow();
  addEventListener("resize", () => {
    if (isNarrow() !== wasNarrow) { wasNarrow = isNarrow(); redraw(); }
  });

  // --- tables ----------------------------------------------------------------------------------------------------
  const valueOf = (row, place) => {
    const cell = row.cells[place];
    const value = cell.dataset.value ?? cell.textContent.trim();
    return value === "" || value === "–" ? null : Number.isNaN(Number(value)) ? value : Number(value);
  };
  const compare = (one, other) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other));
  };
  all("table.sortable").forEach((table) => all("thead button", table).forEach((button) => {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const isNumber = head.classList.contains("number");
      const was = head.getAttribute("aria-sort");
      const down = was ? was === "ascending" : isNumber;
      all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row, place) => [valueOf(row, head.cellIndex), place, row]);
      rows.sort((a, b) => {
        if (a[0] === null || b[0] === null) return compare(a[0], b[0]) || a[1] - b[1];
        return (down ? -1 : 1) * compare(a[0], b[0]) || a[1] - b[1];
      });
      body.append(...rows.map((row) => row[2]));
    });
  }));
  all("input.search").forEach((field) => {
    const table = document.getElementById(field.dataset.for);
    const texts = [...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]);
    const said = field.parentElement.querySelector(".count");
    const search = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      texts.forEach(([row, text]) => {
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      });
      said.textContent = words.length ? `${shown} of ${texts.length}` : `${texts.length}`;
    };
    field.addEventListener("input", search);
    search();
  });

  // --- commands --------------------------------------------------------------------------------------------------
  const copied = (text) => {
    if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
    const field = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    return Promise.resolve();
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest(".copy");
    if (!button) return;
    copied(button.previousElementSibling.textContent).then(() => {
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1200);
    }, () => {});
  });

  // --- paper -----------------------------------------------------------------------------------------------------
  let closed = [];
  let themed;
  addEventListener("beforeprint", () => {
    themed = root.dataset.theme;
    root.dataset.theme = "light";
    root.classList.add("printing");
    closed = all("details:not([open])");
    closed.forEach((details) => { details.open = true; });
    drawAll();
    redraw();
  });
  addEventListener("afterprint", () => {
    closed.forEach((details) => { details.open = false; });
    root.classList.remove("printing");
    if (themed) root.dataset.theme = themed; else delete root.dataset.theme;
    redraw();
  });

  // --- begin -----------------------------------------------------------------------------------------------------
  const first = all(".plot").filter(isShown).slice(0, 1);
  requestAnimationFrame(() => { first.forEach(draw); performance.mark("nestperf-first"); later(rest); });
})();
