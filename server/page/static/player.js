// Gapless playback of sound that is still being made.
//
// Blocks of samples are scheduled on the audio clock, each at the very sample where the one before
// it ends, so that a busy page cannot tear them apart. (An AudioWorklet would do as well, but not on
// a page that came by plain http.)

export const RATE = 24000;
const LEAD = 0.025; // seconds from now to the first sample: the audio thread must get it in time
const LEAD_MOST = 0.5;
const GUARD = 0.01; // a block that is due sooner than this would come too late
const AHEAD = 5; // seconds that are scheduled ahead
const BLOCK = 1; // seconds in a block at most
const QUIET = 0.003; // below it, nobody hears a sample
const SLEEP = 10_000; // milliseconds without sound after which the audio device is let go

export class Player {
  #context = new AudioContext({ sampleRate: RATE, latencyHint: 'interactive' });
  #output = null;
  #sources = new Set();
  #spans = []; // what is scheduled: {frame, position, length}, in samples
  #pending = [];
  #pushed = 0; // samples that were scheduled since begin()
  #next = 0; // frame of the audio clock where the next block begins
  #lead = LEAD;
  #complete = true;
  #heard = false; // whether the first audible sample has been scheduled
  #sleep = 0;
  #events;

  /**
   * Finds the audio device, which takes a moment, and lets it sleep.
   *
   * events: {gap(), audible(time), ended()}; time is one of performance.now().
   */
  constructor(events) {
    this.#events = events;
    this.#context.suspend();
  }

  /** Start the audio device; browsers want a person's press before. */
  wake() {
    if (navigator.userActivation && !navigator.userActivation.hasBeenActive) return;
    this.#context.resume();
    clearTimeout(this.#sleep);
    this.#sleep = setTimeout(() => {
      if (this.#complete && !this.#sources.size) this.#context.suspend();
    }, SLEEP);
  }

  /** A new utterance; what was playing stops. */
  begin() {
    this.stop();
    this.wake();
    this.#output = this.#context.createGain();
    this.#output.connect(this.#context.destination);
    this.#spans = [];
    this.#pushed = this.#next = 0;
    this.#heard = false;
    this.#lead = LEAD;
    this.#complete = false;
  }

  /** More of the utterance; samples: Float32Array. */
  push(samples) {
    this.#pending.push(samples);
    this.#schedule();
  }

  /** The utterance is complete; `ended` is called once it has been heard. */
  finish() {
    this.#complete = true;
    this.#settle();
  }

  /** Silence, now: a ramp of a hundredth of a second, so that it does not click. */
  stop() {
    this.#pending = [];
    this.#complete = true;
    if (this.#sources.size) {
      const soon = this.#context.currentTime + 0.01;
      this.#output.gain.setValueAtTime(1, this.#context.currentTime);
      this.#output.gain.linearRampToValueAtTime(0, soon);
      for (const source of this.#sources) {
        source.onended = null;
        source.stop(soon);
      }
      this.#sources.clear();
    }
    this.wake(); // from here on it may go to sleep
  }

  /** Seconds of the utterance that have been heard. */
  get position() {
    const now = this.#context.currentTime * RATE;
    while (this.#spans.length > 1 && this.#spans[1].frame <= now) this.#spans.shift();
    const [span] = this.#spans;
    if (!span) return 0;
    return (span.position + Math.min(Math.max(now - span.frame, 0), span.length)) / RATE;
  }

  #schedule() {
    while (this.#pending.length) {
      const now = this.#context.currentTime;
      if (this.#sources.size && this.#next / RATE > now + AHEAD) return;
      if (this.#next / RATE < now + GUARD) this.#restart(now);
      this.#start(this.#block());
    }
  }

  #restart(now) {
    if (this.#pushed) {
      this.#lead = Math.min(2 * this.#lead, LEAD_MOST); // it will run dry less often
      this.#events.gap();
    }
    this.#next = Math.ceil((now + this.#lead) * RATE);
  }

  #block() {
    const block = new Float32Array(
      Math.min(this.#pending.reduce((sum, piece) => sum + piece.length, 0), BLOCK * RATE),
    );
    let filled = 0;
    while (filled < block.length) {
      const piece = this.#pending.shift();
      const taken = piece.subarray(0, block.length - filled);
      block.set(taken, filled);
      filled += taken.length;
      if (taken.length < piece.length) this.#pending.unshift(piece.subarray(taken.length));
    }
    return block;
  }

  #start(samples) {
    const buffer = this.#context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#output);
    source.onended = () => {
      this.#sources.delete(source);
      this.#schedule();
      this.#settle();
    };
    source.start(this.#next / RATE);
    this.#sources.add(source);
    this.#listen(samples);
    this.#spans.push({ frame: this.#next, position: this.#pushed, length: samples.length });
    this.#pushed += samples.length;
    this.#next += samples.length;
  }

  /** Tell when the first sample that is not silent is heard, once the audio clock has passed it. */
  #listen(samples) {
    const index = this.#heard ? -1 : samples.findIndex((sample) => Math.abs(sample) > QUIET);
    if (index < 0) return;
    this.#heard = true;
    const due = (this.#next + index) / RATE;
    const output = this.#output;
    const tell = () => {
      if (output !== this.#output || this.#complete && !this.#sources.size) return;
      const { contextTime, performanceTime } = this.#context.getOutputTimestamp();
      const late = contextTime - due;
      if (late < 0) setTimeout(tell, 50);
      else this.#events.audible(performanceTime - 1000 * late);
    };
    tell();
  }

  #settle() {
    if (!this.#complete || this.#sources.size || this.#pending.length) return;
    this.wake();
    this.#events.ended();
  }
}
