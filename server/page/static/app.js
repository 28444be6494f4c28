// The page: what its controls do.

import { Api } from './api.js';
import { ClipForm } from './clip.js';
import { Figures } from './figures.js';
import { RATE } from './player.js';
import { SpeechSocket } from './socket.js';
import { Speech } from './speech.js';
import { Voices } from './voices.js';
import { save, wavFile } from './wav.js';
import { Waveform } from './waveform.js';

const TOKEN = 'cosyserve-token'; // in sessionStorage: gone with the tab
const CONNECTION = { opening: 'Connecting…', open: 'Connected', closed: 'Not connected' };
const STATUS = { speaking: 'Speaking…', playing: 'Playing…', done: 'Done.', stopped: 'Stopped.' };
const INSTRUCT = {
  free: 'In words, as you would tell an actor.',
  keywords: 'This engine understands a few words: slowly, fast, high, low, softly, loud, whisper.',
};
const REFUSED = 'The token was not accepted. Check it and connect again.';

const $ = (id) => document.getElementById(id);
const api = new Api();
const socket = new SpeechSocket(showConnection);
const waveform = new Waveform($('waveform'));
const speech = new Speech(socket, waveform, new Figures($('figures')), showSpeech);
const voices = new Voices(api, $('voice'), $('delete-voice'), $('voice-consent'));
let builtin = null; // the engine's voices, once the server has let us in

function showError(message) {
  $('error').textContent = message;
}

function showConnection(state) {
  $('connection').dataset.state = state;
  $('connection').textContent = CONNECTION[state];
}

function showSpeech(state, message = '') {
  $('speak').textContent = speech.busy ? 'Stop' : 'Speak';
  if (state === 'failed') showError(message);
  if (state !== 'received') $('status').textContent = STATUS[state] ?? '';
  const usable = state !== 'speaking' && speech.sound.length > 0;
  $('replay').disabled = $('download').disabled = !usable;
}

// Access

async function enter(token) {
  api.token = socket.token = token;
  showError('');
  try {
    const server = await api.version();
    showEngine(server);
    await voices.load(server.voices);
    builtin = server.voices;
  } catch (error) {
    showError(error.status === 401 ? REFUSED : error.message);
    askForToken();
    return;
  }
  sessionStorage.setItem(TOKEN, token);
  $('access').hidden = true;
  $('change-token').hidden = isOpen();
  socket.connect();
}

function isOpen() {
  return document.documentElement.dataset.access === 'open';
}

function askForToken() {
  builtin = null;
  $('change-token').hidden = true;
  $('access').hidden = isOpen();
  if (!isOpen()) $('token').focus();
}

function showEngine({ version, engine, modes, instruct }) {
  for (const option of $('mode').options) {
    option.hidden = option.disabled = !modes.includes(option.value)
      || (option.value === 'natural_language_replication' && instruct === 'none');
  }
  $('instruct-hint').textContent = INSTRUCT[instruct] ?? '';
  $('about').textContent = `cosyserve ${version}, engine ${engine}`;
}

// Speaking

function speak(pressed) {
  const text = $('text').value;
  if (!builtin) return askForToken();
  if (!text.trim()) {
    showError('There is no text to speak.');
    return $('text').focus();
  }
  showError('');
  const parameters = {
    mode: $('mode').value,
    reference_audio_id: voices.chosen,
    instruct: $('instruct').value,
    speed: Number($('speed').value),
    output_format: 'pcm',
    sample_rate: RATE,
  };
  return speech.speak(text, parameters, $('paced').checked ? () => Number($('pace').value) : null, pressed);
}

$('speech').addEventListener('submit', (event) => {
  event.preventDefault();
  if (speech.busy) speech.stop();
  else speak(event.timeStamp);
});

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') speech.stop();
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    speak(event.timeStamp);
  }
});

for (const press of ['pointerdown', 'keydown']) {
  document.addEventListener(press, () => builtin && speech.wake());
}

$('replay').addEventListener('click', () => speech.replay());
$('download').addEventListener('click', () => save(wavFile(speech.sound, RATE), 'speech.wav'));

// Settings

function showSettings() {
  $('pace-row').hidden = !$('paced').checked;
  $('pace-value').textContent = `${$('pace').value} words/s`;
  $('speed-value').textContent = `${Number($('speed').value).toFixed(2)}×`;
  const instructed = $('mode').value === 'natural_language_replication';
  $('instruct-row').hidden = !instructed;
  $('instruct').required = instructed;
}

for (const id of ['paced', 'pace', 'speed', 'mode']) $(id).addEventListener('input', showSettings);

// Voices

new ClipForm($('clip'), async (file, text, name, consent) => {
  if (!builtin) throw new Error('Connect with a token first.');
  const { id } = await api.addReference(file, file.name, text, name, consent);
  await voices.load(builtin, id);
  $('status').textContent = `Added the voice ${voices.chosenName}.`;
  $('add-voice').open = false;
  $('voice').focus();
}, showError);

$('delete-voice').addEventListener('click', async () => {
  if (!confirm(`Delete the voice ${voices.chosenName}?`)) return;
  try {
    await voices.removeChosen();
    await voices.load(builtin);
    $('voice').focus();
  } catch (error) {
    showError(error.message);
  }
});

// Start

$('access').addEventListener('submit', (event) => {
  event.preventDefault();
  enter($('token').value.trim());
});
$('change-token').addEventListener('click', () => {
  sessionStorage.removeItem(TOKEN);
  $('token').value = '';
  socket.close();
  askForToken();
});

showSettings();
const kept = sessionStorage.getItem(TOKEN) ?? '';
if (isOpen() || kept) enter(kept);
else askForToken();
