// A run that is long over, shown again in some seconds: its events in the order of their times.
(function () {
  "use strict";
  const SECONDS = 20, TICK = 200;

  // `answer` is all of the run, as the page answers for one; `show` gets it part by part.
  window.bertDemo.recorded = function (answer, show, visible) {
    const total = answer.end.seconds, still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    let shown = -1, spent = 0, before = performance.now();

    function tick() {
      const now = performance.now();
      if (visible()) spent += (now - before) / 1000;
      before = now;
      const share = still ? 1 : Math.min(1, spent / SECONDS), over = share === 1;
      const from = shown, until = over ? Infinity : share * total;
      const within = (event) => event.seconds > from && event.seconds <= until;
      const places = answer.steps.seconds.flatMap((at, i) => (at > from && at <= until ? [i] : []));
      shown = until;
      if (over) clearInterval(timer);
      show({
        ...answer, rewind: false, end: over ? answer.end : null,
        steps: Object.fromEntries(Object.entries(answer.steps).map(
          ([name, values]) => [name, places.map((i) => values[i])])),
        validations: answer.validations.filter(within), frames: answer.frames.filter(within),
      });
    }

    const timer = setInterval(tick, TICK);
    tick();
    return { stop: () => clearInterval(timer) };
  };
})();
