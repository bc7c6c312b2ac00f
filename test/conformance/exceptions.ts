/** Cases that fail on an engine, each with the reason. A case on the list that passes fails the run, too. */

export const EXCEPTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  wasm: {},
};
