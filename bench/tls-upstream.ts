/**
 * The HTTPS upstream of the interception table: nginx with a certificate of an authority made for the run, for the mail
 * API's name and for `localhost`. Shell: owns nothing, starts a child.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCertificateAuthority } from '../src/tls/certificate-authority.ts';
import { type Children, freePorts } from './children.ts';
import { MAIL_HOST } from './interceptor.ts';
import { startNginxTls } from './nginx.ts';

export interface TlsUpstream {
  readonly port: number;
  /** PEM file with the authority that vouches for it. */
  readonly caFile: string;
}

export async function startTlsUpstream(
  children: Children,
  directory: string,
): Promise<TlsUpstream> {
  const nowMs = Date.now();
  const authority = await createCertificateAuthority({ names: [], validHours: 24, nowMs });
  const folder = join(directory, 'tls-upstream');
  mkdirSync(folder, { mode: 0o700 });
  const caFile = join(directory, 'upstream-ca.pem');
  writeFileSync(caFile, authority.certificatePem);
  const sites = await Promise.all(
    [MAIL_HOST, 'localhost'].map(async (name) => {
      const { certificatePem, keyPem } = await authority.issue(name, nowMs);
      const [certificate, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
      writeFileSync(certificate, certificatePem);
      writeFileSync(key, keyPem, { mode: 0o600 });
      return { name, certificate, key };
    }),
  );
  const [port] = (await freePorts(1)) as [number];
  await startNginxTls(children, { directory, port, sites });
  return { port, caFile };
}
