/**
 * What takes part in the interception table: a way from an HTTPS client to the same HTTPS upstream on which somebody
 * else reads along, and the one request all of them carry. Pure.
 */
import type { Child } from './children.ts';
import { renderRequest } from './request.ts';
import type { TlsTarget } from './tls-client.ts';

export const INTERCEPTOR_KEYS = ['direct', 'egret', 'mitmproxy', 'squid'] as const;
export type InterceptorKey = (typeof INTERCEPTOR_KEYS)[number];

export interface Interceptor {
  readonly key: InterceptorKey;
  readonly title: string;
  readonly version: string;
  readonly target: TlsTarget;
  /** PEM file with the authority the client trusts: the contender's own, never that of the upstream. */
  readonly caFile: string;
  readonly children: readonly Child[];
  /** True when it decides by the receipts policy, so that the refused request must be refused. */
  readonly decides: boolean;
  /** Decision records so far; present when every answer must have left one. */
  readonly recorded?: () => Promise<number>;
}

/** The mail API that the catalogue knows; the upstream answers to this name and to `localhost`. */
export const MAIL_HOST = 'gmail.googleapis.com';
const PATH = '/gmail/v1/users/me/messages/send';

const mail = (to: string) =>
  [
    'From: agent@example.com',
    `To: ${to}`,
    'Subject: Receipts of November',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Dear accountant, here are the receipts of the month: train 48.20, hotel 310.00, lunch 22.50.',
    '',
  ].join('\r\n');

const request = ({ host, port }: TlsTarget, to: string) =>
  renderRequest(
    `${host}:${port}`,
    PATH,
    JSON.stringify({ raw: Buffer.from(mail(to)).toString('base64url') }),
  );

export const allowedMail = (target: TlsTarget): Buffer => request(target, 'accountant@example.com');
export const refusedMail = (target: TlsTarget): Buffer => request(target, 'mallory@evil.example');
