// The page: who is on it, and what all of it shares.

import { computed, signal } from "@preact/signals";
import { render } from "preact";
import { match } from "./development.js";
import { html } from "./html.js";
import { nameOf, newUsers } from "./names.js";
import { Pane } from "./pane.js";
import { Person } from "./person.js";

const people = signal([]);
/** The one that the user has last touched: what is shown there is read. */
const activeId = signal(null);
const isVisible = signal(!document.hidden);
const trouble = signal(null);

/** Two users of a fresh match, those of ?users=, or the one of ?user=. */
async function usersWanted() {
  const query = new URLSearchParams(location.search);
  if (query.has("user")) return [query.get("user")];
  if (query.has("users")) return query.get("users").split(",").slice(0, 2);
  const users = newUsers();
  await match(...users);
  // A reload is to show the same.
  history.replaceState(null, "", `?users=${users.join(",")}`);
  return users;
}

async function begin() {
  try {
    const users = await usersWanted();
    activeId.value = users[0];
    people.value = users.map((userId) => {
      const isLooking = computed(() => isVisible.value && activeId.value === userId);
      return new Person(userId, isLooking);
    });
    for (const { client } of people.value) client.connect();
  } catch (error) {
    trouble.value = error;
  }
}

function Page() {
  const isAlone = people.value.length < 2;
  return html`
    <header class="top">
      <h1>Chat</h1>
      <p class="promise">${isAlone ? "" : "Both sides of one match. "}Pull a cable, kill a gateway: nothing is lost, nothing comes twice.</p>
      ${!isAlone && html`<${Switch} />`}
      <nav aria-label="Page">
        <a href="/">New match</a>
        <a href="/api/chat/docs">Contracts</a>
      </nav>
    </header>
    <main class=${isAlone ? "alone" : ""}>
      ${trouble.value && html`<${Trouble} error=${trouble.value} />`}
      ${people.value.map((person) => html`
        <${Pane} key=${person.userId} person=${person} isAlone=${isAlone}
          isActive=${activeId.value === person.userId} onLook=${() => (activeId.value = person.userId)} />`)}
    </main>`;
}

/** On a narrow screen, which of the two panes is shown. */
const Switch = () => html`
  <div class="switch" role="group" aria-label="Whose side to show">
    ${people.value.map(({ userId }) => html`
      <button type="button" aria-pressed=${activeId.value === userId ? "true" : "false"}
        onClick=${() => (activeId.value = userId)}>${nameOf(userId)}</button>`)}
  </div>`;

const Trouble = ({ error }) => html`
  <div class="trouble" role="alert">
    ${error.isAbsent
      ? html`<p>This service issues no tokens by itself: it runs in production mode. This page is for
          <code>make run</code>; your own page brings its users' tokens.</p>`
      : html`<p>It can't begin: ${error.message}</p><p><a href="">Try again</a></p>`}
  </div>`;

const each = (act) => () => people.value.forEach(({ client }) => act(client));
window.addEventListener("offline", each((client) => client.lost()));
window.addEventListener("online", each((client) => client.wake()));
document.addEventListener("visibilitychange", () => {
  isVisible.value = !document.hidden;
  if (isVisible.value) each((client) => client.wake())();
});
window.addEventListener("beforeunload", (event) => {
  // A reload keeps the outbox, a closed tab does not.
  if (people.value.some(({ outbox }) => outbox.value.length > 0)) event.preventDefault();
});

render(html`<${Page} />`, document.getElementById("page"));
begin();
