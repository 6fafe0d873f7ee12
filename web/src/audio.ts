/** How loud both sides are right now. */

/** Below this a microphone gives nothing at all: it is switched off, not quiet. */
const DEAD_PEAK = 1e-5;

export class LevelMeter {
  private readonly context: AudioContext;
  private readonly samples = new Float32Array(1024);
  private analyser: AnalyserNode | null = null;
  private source: MediaStreamAudioSourceNode | null = null;

  constructor(context: AudioContext) {
    this.context = context;
  }

  listen(track: MediaStreamTrack | null): void {
    this.source?.disconnect();
    this.source = null;
    this.analyser = null;
    if (!track) return;
    this.source = this.context.createMediaStreamSource(new MediaStream([track]));
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = this.samples.length;
    this.source.connect(this.analyser);
  }

  /** Root mean square of the last 20 ms or so, 0 to 1. */
  rms(): number {
    if (!this.analyser) return 0;
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const sample of this.samples) sum += sample * sample;
    return Math.sqrt(sum / this.samples.length);
  }
}

/** Loudness as people perceive it, 0 to 1, for a ring or a meter: -50 dB is nothing. */
export function perceived(rms: number): number {
  if (rms <= 0) return 0;
  return Math.min(1, Math.max(0, 1 + (20 * Math.log10(rms)) / 50));
}

/** Tells a microphone that never gave any sound from a caller who says nothing. */
export class DeadMicrophone {
  private since: number | null = null;
  private alive = false;
  private readonly afterMs: number;

  constructor(afterMs: number) {
    this.afterMs = afterMs;
  }

  /** Whether nothing at all has come for too long, asked with each new measurement. */
  suspects(rms: number, now: number): boolean {
    this.alive ||= rms > DEAD_PEAK;
    this.since ??= now;
    return !this.alive && now - this.since > this.afterMs;
  }

  reset(): void {
    this.since = null;
    this.alive = false;
  }
}
