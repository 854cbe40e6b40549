import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { Message, Waiting } from "./message.js";
import { nameOf } from "./names.js";
import { now } from "./now.js";
import { Icon, Unseen } from "./parts.js";
import { dayOf, isSameDay } from "./times.js";

/** So near to an end counts as being there. */
const NEAR_PX = 60;
/** The page before is loaded when so little is left above. */
const AHEAD_PX = 600;

/** The messages of the open conversation, in a box that scrolls. */
export function MessageList({ person, one, onDelete }) {
  const { box, isAtEnd, missed, onScroll, toEnd } = useScrolling(person, one);
  const waiting = person.outbox.value.filter((item) => item.conversationId === one.id);
  const name = nameOf(one.otherUserId);
  return html`
    <div class="messages">
      <div class="scroll" ref=${box} onScroll=${onScroll} tabindex="0" role="log"
        aria-label=${`Messages with ${name}`}>
        <ol>
          ${one.older === null && html`<li class="note">You and ${name} matched. Say hello.</li>`}
          ${one.older && html`<li class="note">Loading…</li>`}
          ${one.messages.map((message, index) => html`
            <${Entry} key=${message.messageId} before=${one.messages[index - 1]}
              ...${{ person, message, name, onDelete }} />`)}
          ${waiting.map((item) => html`
            <${Waiting} key=${item.clientMessageId} item=${item} client=${person.client} />`)}
        </ol>
        <${Typing} one=${one} />
      </div>
      ${!isAtEnd && html`
        <button type="button" class="pill" onClick=${toEnd}>
          <${Icon} name="down" />${missed > 0 ? `${missed} new ${missed > 1 ? "messages" : "message"}` : "Newest"}
        </button>`}
    </div>`;
}

/** A message, and what separates it from the one before. */
function Entry({ person, message, before, name, onDelete }) {
  const { messageId, senderId, timestamp } = message;
  const isNewDay = !before || !isSameDay(before.timestamp, timestamp);
  return html`
    ${isNewDay && html`<li class="day"><span>${dayOf(timestamp)}</span></li>`}
    ${person.dividerId.value === messageId && html`<li class="divider"><span>New messages</span></li>`}
    <${Message} message=${message} author=${name} isOwn=${senderId === person.userId}
      isTarget=${person.target.value === messageId} onDelete=${onDelete} />`;
}

function Typing({ one }) {
  if (one.typingUntil <= now.value) return null;
  return html`
    <p class="typing"><span class="dots" aria-hidden="true"><i /><i /><i /></span>
      <${Unseen}>${nameOf(one.otherUserId)} is typing<//></p>`;
}

/**
 * Where the box stands. At the end it stays there; older messages push nothing away; a message to
 * show is brought to the middle.
 */
function useScrolling(person, one) {
  const box = useRef(null);
  const was = useRef({});
  const [isAtEnd, setAtEnd] = useState(true);
  const [missed, setMissed] = useState(0);
  const target = person.target.value;
  const waiting = person.outbox.value.length;
  const isLooking = person.isLooking.value;

  useLayoutEffect(() => {
    const element = box.current;
    const before = was.current;
    const isSame = before.id === one.id && before.first !== undefined;
    const first = one.messages[0]?.messageId;
    const goal = target && element.querySelector(`[data-id="${target}"]`);
    const sent = isSame && waiting > before.waiting;
    if (goal && before.target !== target) {
      goal.scrollIntoView({ block: "center" });
      setTimeout(() => (person.target.value = null), 2_500);
    } else if (!isSame || before.isAtEnd || sent) {
      const divider = !isSame && element.querySelector(".divider");
      if (divider) divider.scrollIntoView({ block: "center" });
      else element.scrollTop = element.scrollHeight;
    } else if (before.first !== first) {
      element.scrollTop += element.scrollHeight - before.height;
    }
    const arrived = one.messages.filter(({ seq, senderId }) => seq > before.last && senderId !== person.userId);
    if (isSame && !before.isAtEnd && arrived.length) setMissed((count) => count + arrived.length);
    if (!isSame) setMissed(0);
    was.current = {
      id: one.id, first, target, waiting,
      last: one.messages.at(-1)?.seq ?? before.last ?? 0,
      height: element.scrollHeight, isAtEnd: isNearEnd(element),
    };
    setAtEnd(was.current.isAtEnd);
    loadAhead();
    if (was.current.isAtEnd && isLooking) person.sawAll();
  });

  // A banner or the drawer makes the box smaller: what was at the end stays there.
  useEffect(() => {
    const observer = new ResizeObserver(([{ target: element }]) => {
      if (was.current.isAtEnd) element.scrollTop = element.scrollHeight;
    });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  const loadAhead = () => {
    if (one.older && box.current.scrollTop < AHEAD_PX) person.loadOlder(one.id);
  };
  const onScroll = () => {
    const atEnd = isNearEnd(box.current);
    was.current.isAtEnd = atEnd;
    setAtEnd(atEnd);
    if (atEnd) setMissed(0);
    if (atEnd && isLooking) person.sawAll();
    loadAhead();
  };
  const toEnd = () => {
    box.current.scrollTop = box.current.scrollHeight;
    box.current.focus();
  };
  return { box, isAtEnd, missed, onScroll, toEnd };
}

const isNearEnd = (element) =>
  element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
