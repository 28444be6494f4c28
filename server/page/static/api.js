// The REST calls of the page.

const CLIPS = 'api/v1/audio/reference_audio';

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Api {
  token = '';

  version() {
    return this.#call('version');
  }

  references() {
    return this.#call(`${CLIPS}?limit=1000`);
  }

  /** Upload a reference; text: what is said in it. consent: { by, date, note }, all empty if there is none. */
  addReference(sound, filename, text, name, consent) {
    const form = new FormData();
    form.set('text', text);
    if (name) form.set('name', name);
    for (const [field, value] of Object.entries(consent)) if (value) form.set(`consent_${field}`, value);
    form.set('file', sound, filename);
    return this.#call(CLIPS, { method: 'POST', body: form });
  }

  deleteReference(id) {
    return this.#call(`${CLIPS}/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }

  async #call(path, options = {}) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    let answer;
    try {
      answer = await fetch(path, { ...options, headers, cache: 'no-store' });
    } catch (error) {
      const reason = error instanceof TypeError && !/^[\x21-\x7e]*$/.test(this.token)
        ? 'This token has characters that a browser cannot send.'
        : 'The server cannot be reached.';
      throw new ApiError(reason, 0);
    }
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new ApiError(body.message ?? `The server answers ${answer.status}.`, answer.status);
    return body;
  }
}
