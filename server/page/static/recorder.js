// A clip from the microphone.

const TYPES = [['audio/webm;codecs=opus', 'webm'], ['audio/mp4', 'm4a'], ['audio/ogg;codecs=opus', 'ogg']];

export class Recorder {
  #media = null;
  #context = null;
  #began = 0;
  #level = () => 0;

  get recording() {
    return this.#media !== null;
  }

  /** Seconds of the clip so far. */
  get seconds() {
    return this.recording ? (performance.now() - this.#began) / 1000 : 0;
  }

  /** Loudness now, 0 to 1. */
  get level() {
    return this.#level();
  }

  /** Begin; throws an Error that says why not. */
  async start() {
    if (!navigator.mediaDevices) {
      throw new Error('Recording needs a page that came by https or from this machine (localhost).');
    }
    const [type] = TYPES.find(([name]) => MediaRecorder.isTypeSupported(name)) ?? [''];
    // What a browser does for telephony would be heard in the voice.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: true };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(error.name === 'NotAllowedError'
        ? 'The browser does not let this page use the microphone.'
        : `There is no microphone to record with (${error.name}).`);
    }
    this.#media = new MediaRecorder(stream, type ? { mimeType: type } : {});
    this.#media.start();
    this.#began = performance.now();
    this.#listen(stream);
  }

  /** End; the clip and a file name that fits it. */
  async stop() {
    const media = this.#media;
    this.#media = null;
    const sound = await new Promise((resolve) => {
      media.addEventListener('dataavailable', ({ data }) => resolve(data), { once: true });
      media.stop();
    });
    for (const track of media.stream.getTracks()) track.stop();
    this.#level = () => 0;
    await this.#context.close();
    const [, suffix] = TYPES.find(([name]) => media.mimeType.startsWith(name.split(';')[0])) ?? ['', 'bin'];
    return new File([sound], `recording.${suffix}`, { type: media.mimeType });
  }

  #listen(stream) {
    this.#context = new AudioContext();
    const analyser = this.#context.createAnalyser();
    this.#context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#level = () => {
      analyser.getFloatTimeDomainData(samples);
      return Math.sqrt(Math.max(...samples.map(Math.abs)));
    };
  }
}
