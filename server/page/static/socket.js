// The task protocol on one WebSocket, which is opened ahead of need and shared by all tasks.

const PATH = 'api-ws/v1/audio/speech';
const SUBPROTOCOL = 'cosyvoice.v1';
const MODEL = 'cosyvoice-v2';
const MESSAGE_CHARACTERS = 4000; // well below what a server takes in one message
const CLOSED = 'The connection to the server was lost. Press Speak to try again.';

export class SpeechSocket {
  #onState;
  #token = '';
  #socket = null;
  #ready = null;
  #tasks = new Map();
  #awaiting = null; // the task and the event whose bytes are the next binary frame
  #count = 0;

  /** onState: called with 'opening', 'open' or 'closed'. */
  constructor(onState) {
    this.#onState = onState;
  }

  /** The token from now on; a connection with another one is closed. */
  set token(token) {
    if (token === this.#token) return;
    this.#token = token;
    this.close();
  }

  /** A promise of the open WebSocket; one that opens or is open is used again. */
  connect() {
    this.#ready ??= new Promise((resolve, reject) => this.#open(resolve, reject));
    this.#ready.catch(() => {}); // whoever waits for it hears of it
    return this.#ready;
  }

  close() {
    this.#socket?.close();
    this.#lost(this.#socket);
  }

  /**
   * Start a task; its messages wait until the connection is open.
   *
   * events: {chunk(bytes, metrics), finished(payload), failed(message)}; one of the last two comes
   * last, and nothing comes after it or after cancel().
   */
  run(parameters, events) {
    const id = `page-${Date.now().toString(36)}-${++this.#count}`;
    const send = (action, payload) => {
      const message = JSON.stringify({ header: { action, task_id: id, streaming: 'duplex' }, payload });
      const deliver = (socket) => {
        // One that is closing takes no more; as soon as it is closed the task fails.
        if (socket.readyState === WebSocket.OPEN) socket.send(message);
      };
      if (this.#socket?.readyState === WebSocket.OPEN) deliver(this.#socket); // with no delay at all
      else this.connect().then(deliver, (error) => this.#fail(id, error.message));
    };
    this.#tasks.set(id, events);
    send('run-task', {
      task_group: 'audio', task: 'tts', function: 'SpeechSynthesizer', model: MODEL,
      parameters: { ...parameters, audio_transport: 'binary' }, input: {},
    });
    return {
      send: (text) => pieces(text).forEach((piece) => send('continue-task', { input: { text: piece } })),
      finish: () => send('finish-task', { input: {} }),
      cancel: () => {
        if (this.#tasks.delete(id)) send('cancel-task', {});
      },
    };
  }

  #open(resolve, reject) {
    const url = new URL(PATH, document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    const offered = this.#token ? [SUBPROTOCOL, `bearer.${this.#token}`] : [SUBPROTOCOL];
    let socket;
    try {
      socket = new WebSocket(url, offered);
    } catch {
      this.#ready = null;
      reject(new Error('This token has characters that a browser cannot send on a WebSocket.'));
      return;
    }
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.#onState('open');
      resolve(socket);
    };
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(data);
    socket.onclose = () => {
      reject(new Error(CLOSED));
      this.#lost(socket);
    };
    this.#socket = socket;
    this.#onState('opening');
  }

  #lost(socket) {
    if (!socket || socket !== this.#socket) return;
    this.#socket = this.#ready = this.#awaiting = null;
    this.#onState('closed');
    for (const id of [...this.#tasks.keys()]) this.#fail(id, CLOSED);
  }

  #receive(data) {
    if (typeof data !== 'string') {
      const { id, metrics } = this.#awaiting;
      this.#tasks.get(id)?.chunk(data, metrics);
      return;
    }
    const { header, payload } = JSON.parse(data);
    const id = header.task_id;
    switch (header.event) {
      case 'result-generated':
        this.#awaiting = { id, metrics: payload.metrics };
        break;
      case 'task-finished':
        this.#take(id)?.finished(payload);
        break;
      case 'task-failed':
        this.#fail(id, `${header.error_code}: ${header.error_message}`);
        break;
    }
  }

  #fail(id, message) {
    this.#take(id)?.failed(message);
  }

  #take(id) {
    const events = this.#tasks.get(id);
    this.#tasks.delete(id);
    return events;
  }
}

/** A text in pieces that fit a message; no surrogate pair is cut. */
function pieces(text) {
  return text.match(new RegExp(`[^]{1,${MESSAGE_CHARACTERS}}`, 'gu')) ?? [];
}
