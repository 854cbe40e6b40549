import { useEffect, useRef } from "preact/hooks";
import { html } from "./html.js";

/** Asks before what can't be undone. `question` is {text, action, act}, or null for none. */
export function Confirmation({ question, onDone }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (question) dialog.current.showModal();
  }, [question]);
  const close = () => dialog.current.close();
  const act = () => {
    close();
    question.act();
  };
  return html`
    <dialog ref=${dialog} aria-label=${question?.text} onClose=${onDone}>
      <p>${question?.text}</p>
      <div class="choices">
        <button type="button" autofocus onClick=${close}>Cancel</button>
        <button type="button" class="danger" onClick=${act}>${question?.action}</button>
      </div>
    </dialog>`;
}
