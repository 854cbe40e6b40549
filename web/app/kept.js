// What a tab keeps over a reload.

/** A value in sessionStorage; of what can't be read or written the page goes on without. */
export function kept(name, otherwise) {
  return {
    load() {
      try {
        return JSON.parse(sessionStorage.getItem(name)) ?? otherwise;
      } catch {
        return otherwise;
      }
    },
    save(value) {
      try {
        sessionStorage.setItem(name, JSON.stringify(value));
      } catch {
        // Full or forbidden.
      }
    },
  };
}
