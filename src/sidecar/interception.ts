export interface Interception {
  readonly contextFor: (host: string) => Promise<import('node:tls').SecureContext>;
  close(): void;
}
