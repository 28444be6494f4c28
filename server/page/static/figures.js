// The numbers under the waveform.

const BLANK = '–';

/** Code points, Han characters twice: what the server counts as well. */
function charactersOf(text) {
  return [...text].length + (text.match(/\p{Script=Han}/gu)?.length ?? 0);
}

const milliseconds = (time) => `${Math.max(0, Math.round(time))} ms`;

export class Figures {
  #fields;
  #pressed = 0;
  #packages = 0;
  #served = 0; // seconds from the first text to the last sound that has come
  #seconds = 0; // of speech
  #characters = 0;
  #all = 0; // characters of the whole text
  #gaps = 0;

  /** root: the element that holds those of the figures, by id. */
  constructor(root) {
    this.#fields = Object.fromEntries([...root.querySelectorAll('dd')].map((field) => [field.id, field]));
  }

  /** A new utterance; pressed: when the person asked for it, on performance.now()'s clock. */
  begin(pressed, text) {
    this.#pressed = pressed;
    this.#packages = this.#served = this.#seconds = this.#characters = this.#gaps = 0;
    this.#all = charactersOf(text);
    for (const field of Object.values(this.#fields)) field.textContent = BLANK;
    this.#show('gaps', 0);
  }

  sent(text) {
    this.#characters += charactersOf(text);
    const all = this.#characters < this.#all ? ` of ${this.#all}` : '';
    this.#show('characters', `${this.#characters}${all}`);
  }

  /** A package has come. */
  chunk(metrics) {
    if (!this.#packages++) this.#show('first-package', milliseconds(performance.now() - this.#pressed));
    this.#served += metrics.server_cost_time;
    this.#seconds += metrics.speech_len;
    this.#show('rtf', (this.#served / this.#seconds).toFixed(3));
    this.#show('seconds', `${this.#seconds.toFixed(1)} s`);
  }

  /** The first sample that is not silent was heard at that time. */
  audible(time) {
    if (this.#fields['first-sound'].textContent === BLANK) {
      this.#show('first-sound', milliseconds(time - this.#pressed));
    }
  }

  gap() {
    this.#show('gaps', ++this.#gaps);
  }

  /** What the server says at the end. */
  finished({ usage, metrics }) {
    if (usage) this.#show('characters', usage.characters);
    if (metrics?.speech_len) this.#show('rtf', metrics.rtf.toFixed(3));
  }

  #show(name, value) {
    this.#fields[name].textContent = value;
  }
}
