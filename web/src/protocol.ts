/** What the agent sends beside sound. `agent/topics.py` is the other half. */

export const TOPIC = {
  transcription: "lk.transcription",
  chat: "lk.chat",
  turn: "parley.turn",
  tool: "parley.tool",
  cost: "parley.cost",
  cut: "parley.cut",
} as const;

export const HANG_UP_METHOD = "parley.hang_up";
export const AGENT_STATE_ATTRIBUTE = "lk.agent.state";
export const SEGMENT_ATTRIBUTE = "lk.segment_id";
export const FINAL_ATTRIBUTE = "lk.transcription_final";

export interface Part {
  name: string;
  ms: number;
}

/** One turn, from the caller's last sound to the agent's first, both as the caller hears them. */
export interface TurnRecord {
  turn: number;
  total_ms: number;
  parts: Part[];
  opener: "hit" | "miss" | "none" | "acknowledged";
  llm_requests: number;
  interrupted: boolean;
  tools: string[];
}

export interface ToolActivity {
  name: string;
  state: "started" | "done" | "failed";
}

/** What the call has used so far; `usd` is null when a price is not known. */
export interface Cost {
  usd: number | null;
  stt_s: number;
  llm_in: number;
  llm_out: number;
  tts_chars: number;
}

/** A reply that was interrupted: what was heard of it, and what was not. */
export interface Cut {
  said: string;
  cut: string;
}

/** Text from the network as a JSON object, or null. */
export function parseObject<T extends object>(text: string): T | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as T) : null;
  } catch {
    return null;
  }
}
