// One utterance at a time: its text goes to the server, its sound to the player and the waveform.

import { Pacer } from './pacer.js';
import { Player } from './player.js';

export class Speech {
  #socket;
  #waveform;
  #figures;
  #tell;
  #pacer = new Pacer();
  #player;
  #task = null;
  #busy = false;
  #sound = [];

  /**
   * tell(state, message): state is 'speaking', 'received' (all of it has come), 'playing' (what was
   * spoken before), 'done', 'stopped' or 'failed'.
   */
  constructor(socket, waveform, figures, tell) {
    this.#socket = socket;
    this.#waveform = waveform;
    this.#figures = figures;
    this.#tell = tell;
    this.#player = new Player({
      gap: () => figures.gap(),
      audible: (time) => figures.audible(time),
      ended: () => this.#busy && !this.#task && this.#end('done'),
    });
  }

  /** Whether it speaks or plays. */
  get busy() {
    return this.#busy;
  }

  /** What has come so far, as pieces of 16-bit samples. */
  get sound() {
    return this.#sound;
  }

  /** A person pressed something: have the audio device run, in case it was Speak. */
  wake() {
    this.#socket.connect();
    this.#player.wake();
  }

  /** Speak; pace: null, or a function that says how many words a second to send. */
  speak(text, parameters, pace, pressed) {
    this.stop();
    const task = this.#socket.run(parameters, {
      chunk: (bytes, metrics) => this.#hear(bytes, metrics),
      finished: (payload) => {
        this.#task = null;
        this.#figures.finished(payload);
        this.#tell('received');
        this.#player.finish();
      },
      failed: (message) => {
        this.#pacer.stop();
        this.#task = null;
        this.#player.stop();
        this.#end('failed', message);
      },
    });
    this.#task = task;
    this.#figures.begin(pressed, text);
    const send = (piece) => {
      task.send(piece);
      this.#figures.sent(piece);
    };
    if (pace) {
      this.#pacer.start(text, pace, send, () => task.finish());
    } else {
      send(text);
      task.finish();
    }
    this.#sound = []; // from here on what takes a little time: the server works already
    this.#waveform.clear();
    this.#begin('speaking');
  }

  /** Play what was spoken once more. */
  replay() {
    this.stop();
    this.#begin('playing');
    for (const pcm of this.#sound) this.#player.push(floats(pcm));
    this.#player.finish();
  }

  /** Silence at once; the server stops, too. */
  stop() {
    if (!this.#busy) return;
    this.#pacer.stop();
    this.#task?.cancel();
    this.#task = null;
    this.#player.stop();
    this.#end('stopped');
  }

  #begin(state) {
    this.#busy = true;
    this.#player.begin();
    this.#waveform.follow(() => this.#player.position);
    this.#tell(state);
  }

  #end(state, message) {
    this.#busy = false;
    this.#waveform.rest();
    this.#tell(state, message);
  }

  #hear(bytes, metrics) {
    const pcm = new Int16Array(bytes);
    const samples = floats(pcm);
    this.#player.push(samples);
    this.#sound.push(pcm);
    this.#waveform.add(samples);
    this.#figures.chunk(metrics);
  }
}

function floats(pcm) {
  const samples = new Float32Array(pcm.length);
  for (let i = 0; i < pcm.length; i++) samples[i] = pcm[i] / 32768;
  return samples;
}
