// What every page does in the browser itself: its address and title, the update interval, the navigation.
window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.shell = (() => {
  const NEVER = 2 ** 31 - 1; // ms: an interval that pauses
  const USUAL = "2000";
  let settled = false; // whether the page that is shown has written its selections into the address
  let period = USUAL;

  const say = (id, props) => window.dash_clientside.set_props(id, props);

  // Marks where we are in the navigation, and asks for that page.
  const arrive = () => {
    settled = false;
    const every = new URLSearchParams(location.search).get("every");
    if (every) say("period", { value: every });
    document.querySelectorAll(".rail a.to").forEach((link) => {
      const here = new URL(link.href).pathname === location.pathname;
      here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    });
    say("place", { data: { path: location.pathname, query: location.search, visit: Date.now() } });
    document.querySelector(".view")?.scrollTo(0, 0);
  };
  window.addEventListener("popstate", arrive);
  window.addEventListener("_dashprivate_pushstate", arrive);

  // The navigation exists once Dash has drawn the shell.
  const begin = new MutationObserver(() => {
    if (!document.querySelector(".rail")) return;
    begin.disconnect();
    const start = () => (window.dash_clientside.set_props ? arrive() : setTimeout(start, 10));
    setTimeout(start, 0);
  });
  begin.observe(document.documentElement, { childList: true, subtree: true });

  const written = (value) => (Array.isArray(value) ? value.join(",") : value);

  const write = (query) => {
    if (period !== USUAL) query.set("every", period);
    const text = query.toString().replaceAll("%2C", ",");
    if (location.search.replaceAll("%2C", ",") === (text && `?${text}`)) return;
    history[settled ? "pushState" : "replaceState"](null, "", text ? `?${text}` : location.pathname);
  };

  return {
    title(text) {
      if (text) document.title = text;
    },

    period(value) {
      period = value || USUAL;
      const query = new URLSearchParams(location.search);
      query.delete("every");
      settled = false; // how often is no place to go back to
      write(query);
    },

    interval(value) {
      return Number(value) || NEVER;
    },

    // Keeps a page's selections in its address, so that it can be linked, reloaded and gone back from.
    remember(...values) {
      const page = values.pop();
      if (!page || page.path !== location.pathname) return null;
      const query = new URLSearchParams();
      page.names.forEach((name, index) => {
        const value = written(values[index]);
        if (value !== null && value !== undefined && (value !== "" || Array.isArray(values[index]))) query.set(name, value);
      });
      write(query);
      settled = true;
      const link = document.querySelector(`.rail a.to[href^="${page.path}"]`);
      if (link && link.id) say(link.id, { href: location.pathname + location.search });
      return location.search;
    },
  };
})();
