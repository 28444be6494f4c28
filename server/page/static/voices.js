// The choice of voices: the engine's own and the person's references.

export class Voices {
  #api;
  #select;
  #remove;
  #consent;
  #own = new Map();

  /**
   * select: the list; remove: the button that deletes the chosen reference; consent: where the consent to it
   * is shown.
   */
  constructor(api, select, remove, consent) {
    this.#api = api;
    this.#select = select;
    this.#remove = remove;
    this.#consent = consent;
    select.addEventListener('change', () => this.#changed());
  }

  get chosen() {
    return this.#select.value;
  }

  get chosenName() {
    return this.#select.selectedOptions[0]?.textContent ?? '';
  }

  /** Fill the list; builtin: the engine's voices. The chosen one stays chosen, or it is `choose`. */
  async load(builtin, choose = this.chosen) {
    const own = await this.#api.references();
    this.#own = new Map(own.map((reference) => [reference.id, reference]));
    this.#select.replaceChildren(
      ...group('Built-in voices', builtin.map((voice) => [voice.id, `${voice.name}, ${voice.gender}`])),
      ...group('Your voices', own.map((reference) => [reference.id, label(reference)])),
    );
    if ([...this.#select.options].some((option) => option.value === choose)) this.#select.value = choose;
    this.#changed();
  }

  /** Delete the chosen reference. */
  async removeChosen() {
    await this.#api.deleteReference(this.chosen);
  }

  #changed() {
    const reference = this.#own.get(this.chosen);
    this.#remove.hidden = !reference;
    this.#consent.hidden = !reference?.consent;
    this.#consent.textContent = reference?.consent ? told(reference.consent) : '';
  }
}

function label({ name, filename, created_at: created }) {
  return `${name || filename || 'Unnamed'}, ${new Date(1000 * created).toLocaleDateString()}`;
}

function told({ by, date, note }) {
  return `${by} consented on ${date}.${note ? ` ${note}` : ''}`;
}

function group(title, entries) {
  if (!entries.length) return [];
  const element = document.createElement('optgroup');
  element.label = title;
  element.append(...entries.map(([id, text]) => new Option(text, id)));
  return [element];
}
