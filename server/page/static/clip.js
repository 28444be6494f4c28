// The form that adds a voice: a recording or a file, and what is said in it.

import { Recorder } from './recorder.js';

const LONGEST = 29; // seconds; servers take 30 unless they are told otherwise
const PROMPTS = {
  en: 'The north wind and the sun were arguing about which of them was the stronger, when a '
    + 'traveller came along, wrapped in a warm cloak.',
  zh: '有一天，北风和太阳正在争论谁的本领大，这时候路上来了一个旅客，他身上穿着一件厚大衣。',
};
const PROMPT = navigator.language.startsWith('zh') ? PROMPTS.zh : PROMPTS.en;
const LABELS = { record: 'Read this aloud', file: 'What is said in the file' };
const HINTS = {
  record: 'Or write words of your own and read those, in a quiet room. Five to ten seconds are best.',
  file: 'Word for word. WAV, MP3, FLAC, Ogg, M4A, WebM, AIFF or CAF with one speaker, 1 to 30 seconds.',
};

export class ClipForm {
  #form;
  #recorder = new Recorder();
  #clip = null; // a File
  #texts = { record: PROMPT, file: '' };
  #source = 'record';
  #limit = 0;
  #fields;
  #add;
  #report;

  /** add(file, text, name, consent): a promise, uploads the clip. report(message): shows an error. */
  constructor(form, add, report) {
    this.#form = form;
    this.#add = add;
    this.#report = report;
    this.#fields = Object.fromEntries([...form.querySelectorAll('[id]')].map((field) => [field.id, field]));
    const { record, file } = this.#fields;
    record.addEventListener('click', () => this.#record().catch((error) => report(error.message)));
    file.addEventListener('change', () => this.#take(file.files[0] ?? null));
    for (const radio of form.elements.source) {
      radio.addEventListener('change', () => this.#choose(radio.value));
    }
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#choose('record');
  }

  #choose(source) {
    const text = this.#fields['clip-text'];
    if (source !== this.#source) this.#texts[this.#source] = text.value;
    this.#source = source;
    text.value = this.#texts[source];
    this.#fields['clip-text-label'].textContent = LABELS[source];
    this.#fields['clip-hint'].textContent = HINTS[source];
    this.#fields['record-row'].hidden = source !== 'record';
    this.#fields['file-row'].hidden = source !== 'file';
    this.#take(source === 'file' ? this.#fields.file.files[0] ?? null : null);
  }

  async #record() {
    const { record, level, recorded } = this.#fields;
    if (this.#recorder.recording) {
      clearTimeout(this.#limit);
      record.textContent = 'Record again';
      this.#take(await this.#recorder.stop());
      this.#fix(false);
      return;
    }
    if (this.#form.elements.source[0].disabled) return; // pressed twice: it is about to begin
    this.#report('');
    this.#take(null);
    this.#fix(true);
    try {
      await this.#recorder.start();
    } catch (error) {
      this.#fix(false);
      throw error;
    }
    record.textContent = 'Stop recording';
    this.#limit = setTimeout(() => this.#record(), 1000 * LONGEST);
    const show = () => {
      level.value = this.#recorder.level;
      if (!this.#recorder.recording) return;
      recorded.textContent = `${this.#recorder.seconds.toFixed(1)} s`;
      requestAnimationFrame(show);
    };
    show();
  }

  /** While a recording goes on, the source cannot be changed. */
  #fix(fixed) {
    for (const radio of this.#form.elements.source) radio.disabled = fixed;
  }

  #take(clip) {
    const { preview } = this.#fields;
    if (preview.src) URL.revokeObjectURL(preview.src);
    this.#clip = clip;
    preview.hidden = !clip;
    if (clip) preview.src = URL.createObjectURL(clip);
    else preview.removeAttribute('src');
  }

  async #submit() {
    const { save, file, 'clip-text': text, 'clip-name': name } = this.#fields;
    const given = ['by', 'date', 'note'].map((part) => [part, this.#fields[`consent-${part}`]]);
    if (save.hasAttribute('aria-disabled')) return; // pressed twice
    if (!this.#clip) {
      this.#report(this.#source === 'record' ? 'Record the voice first.' : 'Choose a sound file first.');
      return;
    }
    this.#report('');
    save.setAttribute('aria-disabled', 'true');
    try {
      const consent = Object.fromEntries(given.map(([part, field]) => [part, field.value.trim()]));
      await this.#add(this.#clip, text.value.trim(), name.value.trim(), consent);
      name.value = file.value = '';
      for (const [, field] of given) field.value = '';
      this.#take(null);
    } catch (error) {
      this.#report(error.message);
    } finally {
      save.removeAttribute('aria-disabled');
    }
  }
}
