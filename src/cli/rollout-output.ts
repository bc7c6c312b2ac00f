/** How `egret rollout` prints: signs beyond ASCII only where somebody looks at them. Shell: writes to standard output. */
import { type Marks, PLAIN_MARKS, TERMINAL_MARKS } from '../rollout/timeline.ts';
import { say } from './kit-verb.ts';

const isPlain = () => !process.stdout.isTTY || Boolean(process.env['NO_COLOR']);

export const marks = (): Marks => (isPlain() ? PLAIN_MARKS : TERMINAL_MARKS);

/** Sentences of the state that were cut end with a sign of their own. */
export const tellPeople = (text: string): void =>
  say(isPlain() ? text.replaceAll('…', '...') : text);
