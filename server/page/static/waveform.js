// The waveform of a speech that grows, and where in it the listener is.

const STEP = 240; // samples in a peak: 10 ms
const RATE = 24000;
const SHORTEST = 8; // seconds that the width shows at least
const BAR = 3; // CSS pixels, with the gap of one
const CALM = matchMedia('(prefers-reduced-motion: reduce)');

export class Waveform {
  #canvas;
  #peaks = [];
  #left = new Float32Array(0); // samples that do not make up a peak yet
  #position = () => 0;
  #following = false;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
  }

  /** An empty one. */
  clear() {
    this.#peaks = [];
    this.#left = new Float32Array(0);
    this.#draw();
  }

  /** More speech; samples: Float32Array. */
  add(samples) {
    const all = new Float32Array(this.#left.length + samples.length);
    all.set(this.#left);
    all.set(samples, this.#left.length);
    let begin = 0;
    for (; begin + STEP <= all.length; begin += STEP) {
      let peak = 0;
      for (let i = begin; i < begin + STEP; i++) peak = Math.max(peak, Math.abs(all[i]));
      this.#peaks.push(peak);
    }
    this.#left = all.slice(begin);
  }

  /** Show position(), seconds of the speech that were heard, from now on until rest(). */
  follow(position) {
    this.#position = position;
    if (this.#following) return;
    this.#following = true;
    const next = () => {
      this.#draw();
      if (!this.#following) return;
      if (CALM.matches) setTimeout(next, 500);
      else requestAnimationFrame(next);
    };
    next();
  }

  rest() {
    this.#following = false;
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = devicePixelRatio;
    this.#canvas.width = width * scale;
    this.#canvas.height = height * scale;
    const pen = this.#canvas.getContext('2d');
    pen.scale(scale, scale);
    const style = getComputedStyle(this.#canvas);
    const [heard, coming] = ['--accent', '--wave'].map((name) => style.getPropertyValue(name));
    const seconds = Math.max(SHORTEST, this.#peaks.length * STEP / RATE);
    const playhead = this.#position() / seconds * width;
    const count = Math.floor(width / BAR);
    const each = seconds * RATE / STEP / count; // peaks in a bar
    for (let bar = 0; bar * each < this.#peaks.length && bar < count; bar++) {
      const peak = Math.max(...this.#peaks.slice(Math.floor(bar * each), Math.ceil((bar + 1) * each)));
      const tall = Math.max(1, Math.sqrt(peak) * height * 0.92); // by the root: soft parts are seen
      pen.fillStyle = bar * BAR < playhead ? heard : coming;
      pen.fillRect(bar * BAR, (height - tall) / 2, BAR - 1, tall);
    }
    if (this.#following && this.#peaks.length) {
      pen.fillStyle = style.color;
      pen.fillRect(Math.min(playhead, width - 1), 0, 1, height);
    }
  }
}
