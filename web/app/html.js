import { h } from "preact";
import htm from "htm";

/** Markup as a tagged template. What is put into it is only ever text or a component. */
export const html = htm.bind(h);
