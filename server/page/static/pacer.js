// A text word by word, at the pace of a language model that writes it.

const OWN_WORD = '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}';
const WORDS = new RegExp(`\\s*(?:[${OWN_WORD}]|[^\\s${OWN_WORD}]+)|\\s+`, 'gu');
const TICK = 25; // milliseconds between looks at the clock, at least

/** The words of a text, each with the blanks before it; joined they are the text. */
export function words(text) {
  return text.match(WORDS) ?? [];
}

export class Pacer {
  #timer = 0;

  /** pace: a function that says how many words a second to send; it may change its mind. */
  start(text, pace, send, done) {
    const left = words(text);
    let due = 1; // the first word is there at once
    let before = performance.now();
    const tick = () => {
      const now = performance.now();
      due += (now - before) / 1000 * pace();
      before = now;
      const count = Math.floor(due);
      due -= count;
      if (count) send(left.splice(0, count).join(''));
      if (left.length) this.#timer = setTimeout(tick, Math.max(TICK, 1000 * (1 - due) / pace()));
      else done();
    };
    tick();
  }

  stop() {
    clearTimeout(this.#timer);
  }
}
