// Where the box of a conversation's messages stands.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** So near to an end counts as being there. */
const NEAR_PX = 60;
/** The page before is loaded when so little is left above. */
const AHEAD_PX = 600;
/** How long a message that was searched for is marked. */
const MARKED_MS = 2_500;

const isNearEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;

/**
 * At the end it stays there; older messages push nothing away; a message to show is brought to the
 * middle. What stands at its end while the user looks has been seen.
 */
export function useScrolling(person, one) {
  const box = useRef(null);
  const was = useRef({});
  const [isAtEnd, setAtEnd] = useState(true);
  const [missed, setMissed] = useState(0);
  const isLooking = person.isLooking.value;
  const shown = whatIsShown(person, one);

  const look = () => {
    was.current.isAtEnd = isNearEnd(box.current);
    setAtEnd(was.current.isAtEnd);
    if (was.current.isAtEnd) setMissed(0);
    if (was.current.isAtEnd && isLooking) person.sawAll();
    if (one.older && box.current.scrollTop < AHEAD_PX) person.loadOlder(one.id);
  };
  const toEnd = () => {
    box.current.scrollTop = box.current.scrollHeight;
    box.current.focus();
  };

  useLayoutEffect(() => {
    const before = was.current;
    const isSame = before.id === one.id && before.first !== undefined;
    place(box.current, isSame ? before : { target: before.target }, shown);
    const arrived = isSame ? arrivedAfter(before.last, one, person.userId) : 0;
    setMissed((count) => (isSame ? count + arrived : 0));
    was.current = { ...shown, height: box.current.scrollHeight };
    look();
  });
  useLayoutEffect(() => {
    const marked = shown.target && setTimeout(() => (person.target.value = null), MARKED_MS);
    return () => clearTimeout(marked);
  }, [shown.target]);
  useEffect(() => staysAtEnd(box.current, was), []);
  return { box, isAtEnd, missed, onScroll: look, toEnd };
}

const whatIsShown = (person, one) => ({
  id: one.id,
  first: one.messages[0]?.messageId,
  last: one.messages.at(-1)?.seq ?? 0,
  target: person.target.value,
  waiting: person.outbox.value.length,
});

const arrivedAfter = (seq, one, userId) =>
  one.messages.filter((message) => message.seq > seq && message.senderId !== userId).length;

/** After a change from what was shown `before`; nothing of it when another conversation was. */
function place(box, before, { first, target, waiting }) {
  const goal = target && target !== before.target && box.querySelector(`[data-id="${target}"]`);
  const divider = before.first === undefined && box.querySelector(".divider");
  if (goal || divider) (goal || divider).scrollIntoView({ block: "center" });
  else if (before.first === undefined || before.isAtEnd || waiting > before.waiting) {
    box.scrollTop = box.scrollHeight;
  } else if (before.first !== first) box.scrollTop += box.scrollHeight - before.height;
}

/** A banner or the drawer makes the box smaller: what was at the end stays there. */
function staysAtEnd(box, was) {
  const observer = new ResizeObserver(() => {
    if (was.current.isAtEnd) box.scrollTop = box.scrollHeight;
  });
  observer.observe(box);
  return () => observer.disconnect();
}
