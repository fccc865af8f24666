// Sends the page to the sign-in page when its session is over, and says when the server is not there.
(() => {
  const ask = window.fetch;
  const connected = (there) => document.documentElement.classList.toggle("disconnected", !there);
  window.fetch = async (...request) => {
    let answer;
    try {
      answer = await ask(...request);
    } catch (error) {
      if (error.name !== "AbortError") connected(false);
      throw error;
    }
    connected(![502, 503, 504].includes(answer.status));
    if (answer.status === 401) {
      location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    }
    return answer;
  };
})();
