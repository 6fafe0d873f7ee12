/** The right to a call, from the token endpoint, and what a reload keeps of it. */

import type { Caption } from "./captions.ts";
import type { Cause } from "./notices.ts";

const STORED = "parley.call";
const TOKEN_TIMEOUT_MS = 10_000;

export interface Seat {
  server_url: string;
  participant_token: string;
  resume_token?: string;
  resume_within_s?: number;
  /** When to say that no agent has come. */
  agent_within_s?: number;
}

/** A call that the page was in when it was reloaded. */
export interface KeptCall {
  resume_token: string;
  room_sid: string;
  left_at: number;
  within_s: number;
  captions: Caption[];
}

export class SeatError extends Error {
  readonly reason: Cause;

  constructor(reason: Cause) {
    super(reason);
    this.reason = reason;
  }
}

export async function requestSeat(endpoint: string, resumeToken?: string): Promise<Seat> {
  let answer: Response;
  try {
    answer = await fetch(endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(resumeToken ? { resume_token: resumeToken } : {}),
      signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
    });
  } catch {
    throw new SeatError("page-server");
  }
  if (answer.status === 429) throw new SeatError("rate-limit");
  if (answer.status === 410) throw new SeatError("resume-gone");
  if (!answer.ok) throw new SeatError("page-server");
  return (await answer.json()) as Seat;
}

export function keepCall(call: KeptCall): void {
  try {
    sessionStorage.setItem(STORED, JSON.stringify(call));
  } catch {
    // No storage (private window, full): a reload then starts anew.
  }
}

export function forgetCall(): void {
  try {
    sessionStorage.removeItem(STORED);
  } catch {
    // See above.
  }
}

/** The call to be continued, if its agent can still be waiting. */
export function keptCall(now: number): KeptCall | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(STORED) ?? "null") as KeptCall | null;
    forgetCall();
    return kept && now - kept.left_at < kept.within_s * 1000 ? kept : null;
  } catch {
    return null;
  }
}
