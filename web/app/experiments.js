import { html } from "./html.js";
import { killGatewayOf } from "./development.js";
import { nameOf } from "./names.js";

const MANY = 100;

/** What one may do to the connection, to see that nothing is lost. Only with a development stack. */
export function Experiments({ person }) {
  const { client, userId } = person;
  const { name, sessionId } = person.connection.value;
  const isIn = person.isCableIn.value;

  const kill = async () => {
    try {
      person.notice.value = `Killed ${await killGatewayOf(userId, sessionId)}. Supervisord starts it again.`;
    } catch (error) {
      person.notice.value = error.message;
    }
  };
  const sendMany = () => {
    for (let n = 1; n <= MANY; n += 1) client.send(person.openId.value, `${n} of ${MANY}`);
  };
  return html`
    <div class="experiments" role="group" aria-label=${`Experiments with the connection of ${nameOf(userId)}`}>
      <button type="button" aria-pressed=${isIn ? "false" : "true"}
        onClick=${() => (isIn ? person.pullCable() : person.plugIn())}>
        ${isIn ? "Pull the cable" : "Plug it in"}
      </button>
      <button type="button" disabled=${name !== "online"} onClick=${kill}>Kill its gateway</button>
      <button type="button" disabled=${!person.open || person.open.archivedAt} onClick=${sendMany}>
        Send ${MANY}
      </button>
      <${Tally} person=${person} />
    </div>`;
}

const STAGES = [["in the outbox"], ["sent", "SENT"], ["delivered", "DELIVERED"], ["read", "READ"]];

/** Where one's own messages of the open conversation are: the sum stays what was written. */
function Tally({ person }) {
  const own = person.open?.messages.filter(({ senderId }) => senderId === person.userId) ?? [];
  const numberOf = (status) =>
    status ? own.filter((message) => message.status === status).length : person.outbox.value.length;
  const parts = STAGES.map(([name, status]) => [numberOf(status), name]).filter(([number]) => number > 0);
  return html`<span class="counts">${parts.map((part) => part.join(" ")).join(" · ")}</span>`;
}
