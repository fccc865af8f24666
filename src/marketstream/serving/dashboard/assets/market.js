// What the Market page does in the browser itself: its address, its title, and fitting prices to what is in view.
window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.market = (() => {
  const time = (text) => Date.parse(String(text).replace(" ", "T") + "Z");

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

  return {
    // Keeps the selection in the address, so that it can be linked, reloaded and gone back from.
    remember(symbol, window_, span) {
      const query = new URLSearchParams({ symbol, window: window_, range: span });
      if (location.search === `?${query}`) return;
      const fresh = !new URLSearchParams(location.search).has("symbol");
      history[fresh ? "replaceState" : "pushState"](null, "", `?${query}`);
    },

    title(text) {
      if (text) document.title = text;
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
