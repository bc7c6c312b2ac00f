/** Why the sidecar cannot start, in words for the operator. Exit code 2. Pure. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
