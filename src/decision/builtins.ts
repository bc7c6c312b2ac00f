/**
 * The host builtins of the engine by name: a closed list. A policy that needs any other is refused when it is loaded.
 * Left out on purpose: whatever reaches out of the process (`http.send`, `net.lookup_ip_addr`), randomness, and
 * regular expressions without linear time (those compiled into the policy are RE2). Pure.
 */
import type { Builtin } from './builtin.ts';
import { ENCODING_BUILTINS } from './builtins-encoding.ts';
import { TEXT_BUILTINS } from './builtins-text.ts';
import { TIME_BUILTINS } from './builtins-time.ts';
import { VERSION_BUILTINS } from './builtins-version.ts';

export const BUILTINS: ReadonlyMap<string, Builtin> = new Map([
  ...Object.entries(ENCODING_BUILTINS),
  ...Object.entries(TEXT_BUILTINS),
  ...Object.entries(TIME_BUILTINS),
  ...Object.entries(VERSION_BUILTINS),
]);
