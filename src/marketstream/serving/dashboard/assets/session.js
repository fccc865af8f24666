// Sends the page to the sign-in page when its session is over, and says when the server is not there.
(() => {
  const ask = window.fetch;
  const connected = (there) => document.documentElement.classList.toggle("disconnected", !there);

  // Dash leaves an interval stopped whose request has failed: it goes on after a moment.
  const tryAgain = (body) => {
    if (typeof body !== "string" || !body.includes("n_intervals")) return;
    const intervals = JSON.parse(body).inputs.filter((input) => input.property === "n_intervals");
    setTimeout(() => intervals.forEach(({ id }) => window.dash_clientside.set_props(id, { disabled: false })), 1_000);
  };

  window.fetch = async (...request) => {
    let answer;
    try {
      answer = await ask(...request);
    } catch (error) {
      if (error.name !== "AbortError") {
        connected(false);
        tryAgain(request[1] && request[1].body);
      }
      throw error;
    }
    if (answer.status >= 500) tryAgain(request[1] && request[1].body);
    connected(![502, 503, 504].includes(answer.status));
    if (answer.status === 401) {
      location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    }
    return answer;
  };
})();
