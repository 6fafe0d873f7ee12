// What a test needs in the page: a microphone that says what it is told to, and a memory of what was
// shown however briefly.
(() => {
  window.shown = { states: [], notices: [] };
  const note = (list, value) => value && list.at(-1) !== value && list.push(value);
  new MutationObserver(() => {
    note(window.shown.states, document.querySelector(".state")?.textContent);
    note(window.shown.notices, document.querySelector(".notice")?.dataset.cause);
  }).observe(document, { subtree: true, childList: true, characterData: true });

  // A browser that plays nothing yet, as some do until something was pressed.
  const play = HTMLMediaElement.prototype.play;
  window.holdSound = () => {
    HTMLMediaElement.prototype.play = () => Promise.reject(new DOMException("held", "NotAllowedError"));
  };
  window.releaseSound = () => {
    HTMLMediaElement.prototype.play = play;
  };

  window.fakeMicrophone = () => {
    const context = new AudioContext({ sampleRate: 48000 });
    const out = context.createMediaStreamDestination();
    // A room is never quite silent.
    const hum = context.createOscillator();
    const quiet = context.createGain();
    quiet.gain.value = 0.0003;
    hum.connect(quiet).connect(out);
    hum.start();
    navigator.mediaDevices.getUserMedia = async () => {
      if (window.noMicrophone) throw new DOMException("denied", window.noMicrophone);
      await context.resume();
      return new MediaStream([out.stream.getAudioTracks()[0].clone()]);
    };
    // Resolves when all of a sound file in base64 was said.
    window.saySound = async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const source = context.createBufferSource();
      source.buffer = await context.decodeAudioData(bytes.buffer);
      source.connect(out);
      const ended = new Promise((resolve) => (source.onended = resolve));
      source.start();
      await ended;
    };
  };
})();
