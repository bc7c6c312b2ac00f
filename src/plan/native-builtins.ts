/**
 * Builtins that OPA compiles into WebAssembly, for the plan engine: the same answers without the module. Together with
 * the host builtins of the policy engine they are every builtin that a bundle may use. Pure.
 */
import type { Builtin } from '../decision/builtin.ts';
import { COLLECTION_BUILTINS } from './native-builtins-collection.ts';
import { ENCODING_BUILTINS } from './native-builtins-encoding.ts';
import { NUMBER_BUILTINS } from './native-builtins-number.ts';
import { OBJECT_BUILTINS } from './native-builtins-object.ts';
import { PATTERN_BUILTINS } from './native-builtins-pattern.ts';
import { TEXT_BUILTINS } from './native-builtins-text.ts';
import { VALUE_BUILTINS } from './native-builtins-value.ts';

export const NATIVE_BUILTINS: ReadonlyMap<string, Builtin> = new Map([
  ...Object.entries(VALUE_BUILTINS),
  ...Object.entries(NUMBER_BUILTINS),
  ...Object.entries(TEXT_BUILTINS),
  ...Object.entries(COLLECTION_BUILTINS),
  ...Object.entries(OBJECT_BUILTINS),
  ...Object.entries(PATTERN_BUILTINS),
  ...Object.entries(ENCODING_BUILTINS),
]);
