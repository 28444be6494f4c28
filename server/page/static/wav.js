// A WAV file of 16-bit mono samples.

export function wavFile(chunks, rate) {
  const size = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const head = new DataView(new ArrayBuffer(44));
  const tag = (offset, name) => [...name].forEach((c, i) => head.setUint8(offset + i, c.charCodeAt(0)));
  tag(0, 'RIFF');
  head.setUint32(4, 36 + size, true);
  tag(8, 'WAVEfmt ');
  head.setUint32(16, 16, true); // bytes of the format that follows
  head.setUint16(20, 1, true); // PCM
  head.setUint16(22, 1, true); // channels
  head.setUint32(24, rate, true);
  head.setUint32(28, 2 * rate, true); // bytes a second
  head.setUint16(32, 2, true); // bytes of a sample of all channels
  head.setUint16(34, 16, true); // bits of a sample
  tag(36, 'data');
  head.setUint32(40, size, true);
  return new Blob([head, ...chunks], { type: 'audio/wav' });
}

/** Let the person keep a file. */
export function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it late
}
