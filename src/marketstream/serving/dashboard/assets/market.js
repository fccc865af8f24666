// What the Market page does in the browser itself: the tape, the watchlist, and fitting prices to what is in view.
window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.market = (() => {
  const MOST_TRADES = 40;
  const SVG = "http://www.w3.org/2000/svg";
  const time = (text) => Date.parse(String(text).replace(" ", "T") + "Z");

  const made = (name, properties = {}, children = []) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  // Lowest and highest price of the candles between two times, with some air; null where there is none.
  const pricesBetween = (candles, from, to) => {
    let low = Infinity;
    let high = -Infinity;
    candles.x.forEach((x, index) => {
      const at = time(x);
      if (at < from || at > to) return;
      low = Math.min(low, candles.low[index]);
      high = Math.max(high, candles.high[index]);
    });
    if (low > high) return null;
    const air = (high - low || Math.abs(high) * 0.001) * 0.08;
    return [low - air, high + air];
  };

  const withPrices = (figure, yaxis) => ({
    ...figure,
    layout: { ...figure.layout, yaxis: { ...figure.layout.yaxis, ...yaxis } },
  });

  const trade = (row, isNew) => {
    const arrow = made("i", { className: "arrow" });
    if (row.moved !== "flat") arrow.setAttribute("aria-label", row.moved);
    if (row.moved !== "flat") arrow.setAttribute("role", "img");
    const line = made("tr", { className: isNew ? "new" : "", title: row.detail }, [
      made("td", { textContent: row.time }),
      made("td", { className: row.moved }, [arrow, row.price]),
      made("td", { textContent: row.size }),
    ]);
    line.dataset.key = row.key;
    line.dataset.receivedUs = row.received_us;
    return line;
  };

  const strike = (line, cancelled) => {
    if (cancelled === line.classList.contains("cancelled")) return;
    line.classList.toggle("cancelled", cancelled);
    line.title = cancelled ? `Cancelled: ${line.title}` : line.title.replace("Cancelled: ", "");
  };

  // A line through points of which the last is the newest, the older ones to its left.
  const spark = () => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "-2 -4 64 28");
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS(SVG, "polyline"));
    return svg;
  };
  const course = (points) =>
    points.map((y, index) => `${((index / Math.max(1, points.length - 1)) * 60).toFixed(1)},${(20 - y / 5).toFixed(1)}`).join(" ");

  const watched = (symbol) => {
    const row = made("a", {}, [
      made("b", { textContent: symbol }),
      spark(),
      made("span", { className: "last" }),
      made("span", { className: "moved" }),
    ]);
    row.dataset.symbol = symbol;
    row.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      window.dash_clientside.set_props("symbol", { value: symbol });
    });
    return row;
  };

  const setText = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const show = (row, data, chosen) => {
    const query = new URLSearchParams(location.search);
    query.set("symbol", data.symbol);
    row.setAttribute("href", `?${query.toString().replaceAll("%2C", ",")}`);
    row.className = `watched ${data.moved}${data.stale ? " quieted" : ""}`;
    data.symbol === chosen ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current");
    row.querySelector("polyline").setAttribute("points", course(data.points));
    setText(row.querySelector(".last"), data.price);
    setText(row.querySelector(".moved"), data.change);
  };

  return {
    // Puts new trades on top of the tape, and takes old ones off its end.
    tape(told) {
      const rows = document.getElementById("tape-rows");
      if (!told || !rows) return;
      if (told.fresh || rows.querySelector(".none")) rows.replaceChildren();
      rows.prepend(...told.rows.map((row) => trade(row, !told.fresh)));
      while (rows.children.length > MOST_TRADES) rows.lastChild.remove();
      const cancelled = new Set(told.cancelled);
      for (const line of rows.children) strike(line, cancelled.has(line.dataset.key));
      if (!rows.children.length) {
        const none = made("td", { textContent: "No trades yet.", colSpan: 3, className: "quiet" });
        rows.append(made("tr", { className: "none" }, [none]));
      }
    },

    watch(told, chosen) {
      const list = document.getElementById("watch");
      if (!told || !list) return;
      const known = new Map([...list.children].map((row) => [row.dataset.symbol, row]));
      told.forEach((data, index) => {
        const row = known.get(data.symbol) || watched(data.symbol);
        known.delete(data.symbol);
        if (list.children[index] !== row) list.insertBefore(row, list.children[index] || null);
        show(row, data, chosen);
      });
      known.forEach((row) => row.remove());
    },

    // While zoomed in time, the price axis follows the candles in view.
    fit(_relayout, _drawn, figure) {
      const same = window.dash_clientside.no_update;
      const plot = document.querySelector("#chart .js-plotly-plot");
      const shown = plot && plot._fullLayout;
      if (!shown || !shown.xaxis || !figure.data.length || shown.uirevision !== figure.layout.uirevision) return same;
      const fixed = figure.layout.yaxis.range;
      if (shown.xaxis.autorange) return fixed ? withPrices(figure, { autorange: true, range: null }) : same;
      const range = pricesBetween(figure.data[0], ...shown.xaxis.range.map(time));
      if (!range || (fixed && fixed[0] === range[0] && fixed[1] === range[1])) return same;
      return withPrices(figure, { autorange: false, range });
    },
  };
})();
