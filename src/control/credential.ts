/**
 * Bearer credentials of the decision API. Tokens are compared as SHA-256 digests in constant time, so neither their
 * content nor their length can be guessed from the answer's timing. Shell: reads token files once, at start.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigError } from '../config/load.ts';
import type { Config } from '../config/schema.ts';

export interface Client {
  readonly id: string;
  readonly may: 'review' | 'upload';
  readonly tokenSha256: Uint8Array;
}

/** Shorter tokens can be guessed. */
const TOKEN_BYTES_MIN = 16;

/** @throws ConfigError when a token is missing, too short, or shared by two clients. */
export function loadClients(
  clients: Config['decisionApi']['clients'],
  environment: Readonly<Record<string, string | undefined>>,
): readonly Client[] {
  const loaded = clients.map((client) => {
    const token = readToken(client, environment);
    if (Buffer.byteLength(token) < TOKEN_BYTES_MIN) {
      throw new ConfigError(
        `decisionApi.clients: the token of "${client.id}" is shorter than ${TOKEN_BYTES_MIN} bytes`,
      );
    }
    return { id: client.id, may: client.may, tokenSha256: digest(token) };
  });
  const digests = loaded.map((client) => Buffer.from(client.tokenSha256).toString('hex'));
  if (new Set(digests).size !== digests.length) {
    throw new ConfigError(
      'decisionApi.clients: two clients have the same token, expected one each',
    );
  }
  return loaded;
}

function readToken(
  client: Config['decisionApi']['clients'][number],
  environment: Readonly<Record<string, string | undefined>>,
): string {
  if (client.tokenEnv !== undefined) {
    const value = environment[client.tokenEnv];
    if (value !== undefined) return value.trim();
    throw new ConfigError(
      `decisionApi.clients: found no environment variable ${client.tokenEnv} for "${client.id}", expected a token in it`,
    );
  }
  try {
    return readFileSync(client.tokenFile ?? '', 'utf8').trim();
  } catch (error) {
    throw new ConfigError(
      `decisionApi.clients: the token file of "${client.id}" cannot be read: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** Finds the client behind an `Authorization` header; looks at every client whatever the first one says. */
export function authenticate(
  clients: readonly Client[],
  authorization: string | undefined,
): Client | null {
  const token = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization ?? '')?.[1] ?? '';
  const presented = digest(token);
  let found: Client | null = null;
  for (const client of clients) {
    if (timingSafeEqual(presented, client.tokenSha256)) found = client;
  }
  return found;
}

const digest = (token: string) => createHash('sha256').update(token).digest();
