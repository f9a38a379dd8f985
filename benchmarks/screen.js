/** Runs in the page: how long from an event until its pixels are on the screen. */
window.bench = {
  frames: () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  text: () => document.querySelector('.coloured-text'),
  async switchUnit(key) {
    const unit = Number(bench.text().dataset.unit) + (key === ']' ? 1 : -1);
    const press = () => document.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    return bench.untilShown(unit, press);
  },
  jumpTo: (unit) => bench.untilShown(unit, () => interp.selection.chooseUnit(unit)),
  async untilShown(unit, act) {
    const start = performance.now();
    act();
    // Text and strips alike: a switch that shows half of the page is not done.
    const shown = () => [bench.text(), ...document.querySelectorAll('.strip')]
      .every((element) => element.dataset.unit === String(unit));
    while (!shown()) await new Promise((done) => setTimeout(done));
    await bench.frames();
    return performance.now() - start;
  },
  async hover(share) {
    const { view } = bench.text().controller;
    const [first, last] = interp.selection.get().inSight;
    const position = Math.floor(first + share * (last - first));
    const [low, high] = view.charactersOf(position);
    const [box] = view.places.boxesOf(low, high);
    const sheet = view.sheet.getBoundingClientRect();
    const event = {clientX: sheet.left + box.x + 2, clientY: sheet.top + box.y + 9, bubbles: true};
    const start = performance.now();
    bench.text().dispatchEvent(new MouseEvent('mousemove', event));
    await bench.frames();
    const drawn = document.querySelector('.cursor-hover') !== null;
    const right = drawn && interp.selection.get().hoverPos === position;
    return right ? performance.now() - start : Infinity;
  },
  async scroll(seconds) {
    const text = bench.text();
    let frames = 0;
    const start = performance.now();
    while (performance.now() - start < 1000 * seconds) {
      text.scrollTop += 120;
      await new Promise(requestAnimationFrame);
      frames++;
    }
    return [frames, (performance.now() - start) / 1000];
  },
  /** One user of many: a switch every `period` ms, every fifth one to a unit far away. */
  beUser(turns, period, begin) {
    bench.user = { times: [], jumps: [], errors: [] };
    const wait = (ms) => new Promise((done) => setTimeout(done, Math.max(0, ms)));
    const turnsTaken = async () => {
      const start = performance.now() + begin;
      for (let turn = 0; turn < turns; turn++) {
        await wait(start + turn * period - performance.now());
        try {
          const unit = (Number(bench.text().dataset.unit) + 137) % 500;
          if (turn % 5 === 4) bench.user.jumps.push(await bench.jumpTo(unit));
          else bench.user.times.push(await bench.switchUnit(']'));
        } catch (error) {
          bench.user.errors.push(String(error));
        }
      }
    };
    bench.userRun = turnsTaken();
  },
  userIsDone: () => bench.userRun.then(() => bench.user),
};
