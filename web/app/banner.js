import { html } from "./html.js";
import { now } from "./now.js";

/** What keeps the user from chatting, and until when. Nothing while all is well. */
export function Banner({ person }) {
  const { name, retryAt, code } = person.connection.value;
  const waiting = person.outbox.value.filter((item) => !item.error).length;
  const kept = waiting > 0 ? ` ${waiting} ${waiting > 1 ? "messages wait" : "message waits"} to be sent.` : "";
  if (name === "stopped" && code !== undefined) {
    return html`<div class="banner" role="alert">Signed out: the service closed the connection (${code}).
      <button type="button" class="link" onClick=${() => person.client.connect()}>Connect again</button></div>`;
  }
  const seconds = Math.max(0, Math.ceil((retryAt - now.value) / 1000));
  // Only its first line is announced: a countdown read aloud would be unbearable.
  return html`
    <div class="banner" hidden=${name !== "waiting" && name !== "connecting"} data-state=${name}>
      <span role="status">${name === "waiting" ? "Offline." : name === "connecting" ? "Connecting…" : ""}</span>
      ${name === "waiting" && html`<span> Trying again in <b>${seconds} s</b>.</span>`}<span>${kept}</span>
      ${name === "waiting" && html`
        <button type="button" class="link" onClick=${() => person.client.wake()}>Try now</button>`}
    </div>`;
}
