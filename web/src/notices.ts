/** What went wrong, in words, and what can be done about it. No DOM in here. */

export type Action =
  | "retry" // place the call again
  | "new" // start a new call
  | "resume" // continue the call from before the reload
  | "wait" // go on waiting
  | "type" // call without a microphone
  | "sound" // let the browser play sound
  | "dismiss";

export type Cause =
  | "resume-offer"
  | "resume-gone"
  | "resume-other"
  | "mic-denied"
  | "mic-missing"
  | "mic-failed"
  | "insecure"
  | "page-server"
  | "rate-limit"
  | "media-server"
  | "no-agent"
  | "agent-left"
  | "agent-ended"
  | "offline"
  | "signal-lost"
  | "media-lost"
  | "line-bad"
  | "server-gone"
  | "elsewhere"
  | "removed"
  | "no-sound"
  | "mic-silent";

export interface Notice {
  title: string;
  text: string;
  actions: Action[];
  /** Something is wrong, as opposed to a choice or a piece of news. */
  alert: boolean;
}

export const ACTION_LABEL: Record<Action, string> = {
  retry: "Try again",
  new: "Start a new call",
  resume: "Continue the call",
  wait: "Keep waiting",
  type: "Type instead",
  sound: "Play the sound",
  dismiss: "Close",
};

const wrong = (title: string, text: string, ...actions: Action[]): Notice => ({ title, text, actions, alert: true });
const news = (title: string, text: string, ...actions: Action[]): Notice => ({ title, text, actions, alert: false });

export const NOTICE: Record<Cause, Notice> = {
  "resume-offer": news(
    "You were in a call",
    "The page was loaded again. The agent is still waiting for you.",
    "resume",
    "new",
  ),
  "resume-gone": wrong("That call is over", "It was too long ago to be continued.", "new"),
  "resume-other": news("This is a new call", "The earlier one had ended before you came back.", "dismiss"),
  "mic-denied": wrong(
    "The microphone is blocked",
    "Allow it for this page in the browser's address bar and try again. You can also type.",
    "retry",
    "type",
  ),
  "mic-missing": wrong("No microphone was found", "Plug one in and try again. You can also type.", "retry", "type"),
  "mic-failed": wrong(
    "The microphone does not start",
    "Another program may be using it. Close that and try again. You can also type.",
    "retry",
    "type",
  ),
  insecure: wrong(
    "This address cannot use a microphone",
    "Browsers give it to secure pages only: open this page over https or on localhost. You can type.",
    "type",
  ),
  "page-server": wrong(
    "The server of this page does not answer",
    "No call could be started. Check that it is running and that you are online.",
    "retry",
  ),
  "rate-limit": wrong("Too many calls from your address", "Wait a minute, then try again.", "retry"),
  "media-server": wrong(
    "The media server cannot be reached",
    "The page works, but the server that carries the sound does not answer.",
    "retry",
  ),
  "no-agent": wrong(
    "No agent has come",
    "Every agent may be busy, or none is running. You are still in the room, in case one comes.",
    "retry",
    "wait",
  ),
  "agent-left": wrong(
    "The agent is gone",
    "It left in the middle of the call, perhaps because it stopped working. Another may come.",
    "new",
    "wait",
  ),
  "agent-ended": news("The call has ended", "The agent hung up.", "new"),
  offline: wrong("You are offline", "The call goes on as soon as your device has a network again."),
  "signal-lost": wrong("The connection is being restored", "You may still hear each other. Please wait."),
  "media-lost": wrong("The line is down", "Neither of you can hear the other. Reconnecting…"),
  "line-bad": wrong("The line is bad", "Sound may be missing. Moving closer to the router can help."),
  "server-gone": wrong(
    "The connection is lost",
    "The server went away and the call with it. What was said is kept below.",
    "new",
  ),
  elsewhere: news("The call went on elsewhere", "It was continued in another window.", "new"),
  removed: wrong("You were taken out of the call", "The server ended your part of it.", "new"),
  "no-sound": wrong("Your browser holds back the sound", "It plays sound only after you have pressed something.", "sound"),
  "mic-silent": wrong(
    "Your microphone is silent",
    "Nothing at all comes from it. It may be switched off; you can choose another below.",
    "dismiss",
  ),
};

/** Why `getUserMedia` failed. */
export function microphoneCause(error: unknown): Cause {
  const name = error instanceof Error ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "mic-denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "mic-missing";
  return "mic-failed";
}
