// The service knows ids; a page for people wants names. Both come from the id alone, so nobody can
// take another's by what they write.

const NAMES = (
  "Ada Alan Amir Anna Ben Bea Chloe Clara Dana David Elif Emil Emma Eva Felix Finn Frida Hana Hugo Ida " +
  "Ines Iris Jakob Jana Jonas Juna Kai Kim Lea Leo Lina Luca Maja Mara Marco Mia Milan Mina Nils Nina " +
  "Noah Nora Olga Omar Oskar Paul Pia Rosa Ruth Sam Sara Selma Sofia Theo Tom Vera Yara Yuki Zoe"
).split(" ");

function hash(id) {
  let number = 2166136261;
  for (const character of id) number = Math.imul(number ^ character.charCodeAt(0), 16777619) >>> 0;
  return number;
}

export const nameOf = (userId) => NAMES[hash(userId) % NAMES.length];

/** Degrees on the colour wheel. */
export const hueOf = (userId) => (hash(userId) >>> 8) % 360;

/** Ids of new users whose names differ. */
export function newUsers() {
  const first = crypto.randomUUID();
  let second = crypto.randomUUID();
  while (nameOf(second) === nameOf(first)) second = crypto.randomUUID();
  return [first, second];
}
