/**
 * The injection webhook of a controller. Every replica answers, not only the leader. A template that makes no sidecar
 * is found at start and not by the first pod. Shell: owns the listener, in https-listener.ts.
 */
import { readFileSync } from 'node:fs';
import { inject } from '../admission/inject.ts';
import { createWebhook, WEBHOOK_SERVER, type WebhookParts } from '../admission/webhook.ts';
import type { AdmissionConfig } from '../config/admission.ts';
import { StartError } from '../sidecar/start-error.ts';
import { type HttpsListener, openHttps } from './https-listener.ts';
import type { TlsFiles } from './tls-files.ts';

type Told = Pick<WebhookParts, 'answered' | 'failed'>;

const WORD = /^[A-Za-z0-9_-]{8,128}$/;

/** @throws StartError */
export function openInjector(
  config: AdmissionConfig,
  tls: TlsFiles,
  told: Told & { readonly certificate: (error: unknown) => void },
): Promise<HttpsListener> {
  tryTemplate(config);
  const { answered, failed } = told;
  const pathToken = config.pathTokenFile === undefined ? null : readWord(config.pathTokenFile);
  const app = createWebhook({ config, pathToken, answered, failed });
  return openHttps(app, {
    name: 'admission',
    at: { host: config.host, port: config.port },
    tls,
    options: WEBHOOK_SERVER,
    failed: told.certificate,
  });
}

function tryTemplate(config: AdmissionConfig): void {
  for (const mode of config.modes) {
    const pod = {
      metadata: { annotations: { 'egret.dev/mode': mode } },
      spec: { containers: [{ name: 'agent', securityContext: { runAsUser: 1 } }] },
    };
    const answer = inject(pod, { config, namespace: 'default' });
    if (answer.kind === 'refuse') throw new StartError(`admission.sidecar: ${answer.message}`);
  }
}

function readWord(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new StartError(`${file}: cannot be read (${code})`, { cause: error });
  }
  if (WORD.test(text)) return text;
  throw new StartError(`${file}: expected 8 to 128 characters of A-Z, a-z, 0-9, _ and -`);
}
