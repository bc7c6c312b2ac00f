/**
 * Preloaded into a sidecar whose memory is measured: collects garbage when told, so that what is counted is what
 * connections hold and not what their opening left behind. Needs --expose-gc. Shell: owns a signal handler.
 */
process.on('SIGUSR2', () => {
  globalThis.gc?.();
});
