/**
 * Squid that opens TLS (ssl-bump), one process, with a certificate authority of its own. Shell: owns nothing, starts
 * children, makes a folder that the user Squid becomes can write.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, type Children, waitForPort } from './children.ts';
import { findProgram } from './program.ts';

/** Squid refuses to stay root. */
const USER = 'nobody';
const CERTIFICATE_PROGRAM = 'security_file_certgen';
const FOLDERS = ['/usr/sbin', '/usr/lib/squid', '/usr/libexec/squid', '/usr/lib64/squid'];

export interface SquidPrograms {
  readonly squid: string;
  readonly certgen: string;
  readonly openssl: string;
}

/** @returns null unless there is a Squid that can open TLS and a way to make its authority. */
export function findSquid(): SquidPrograms | null {
  const squid = findProgram('squid', FOLDERS);
  const certgen = findProgram(CERTIFICATE_PROGRAM, FOLDERS);
  const openssl = findProgram('openssl');
  return squid === null || certgen === null || openssl === null
    ? null
    : { squid, certgen, openssl };
}

export interface SquidOptions {
  readonly programs: SquidPrograms;
  readonly port: number;
  /** The name that is the upstream's, whatever the machine's resolver says. */
  readonly host: string;
  readonly upstreamCaFile: string;
}

const config = (folder: string, { programs, port }: SquidOptions) => `
http_port 127.0.0.1:${port} ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB cert=${folder}/ca.pem
sslcrtd_program ${programs.certgen} -s ${folder}/certificates -M 4MB
sslcrtd_children 1 startup=1
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
tls_outgoing_options cafile=${folder}/upstream-ca.pem
hosts_file ${folder}/hosts
http_access allow all
cache deny all
access_log none
cache_store_log none
cache_log ${folder}/cache.log
pid_filename ${folder}/squid.pid
coredump_dir ${folder}
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
cache_effective_user ${USER}
`;

/** @returns its process and the PEM file of its authority. */
export async function startSquid(
  children: Children,
  options: SquidOptions,
): Promise<{ readonly child: Child; readonly caFile: string }> {
  const { programs, port, host, upstreamCaFile } = options;
  // Not in the working folder, which another user may be unable to reach.
  const folder = mkdtempSync(join(tmpdir(), 'egret-bench-squid-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const [key, caFile] = [join(folder, 'ca.key'), join(folder, 'ca.crt')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const uses = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'];
  const certificate = ['-subj', '/CN=Egret benchmark', ...uses.flatMap((use) => ['-addext', use])];
  const files = ['-keyout', key, '-out', caFile];
  const request = ['req', '-x509', '-days', '2', ...curve, ...certificate, ...files];
  await children.run(programs.openssl, request, 10_000);
  writeFileSync(join(folder, 'ca.pem'), readFileSync(key, 'utf8') + readFileSync(caFile, 'utf8'));
  writeFileSync(join(folder, 'upstream-ca.pem'), readFileSync(upstreamCaFile));
  writeFileSync(join(folder, 'hosts'), `127.0.0.1 ${host}\n`);
  writeFileSync(join(folder, 'squid.conf'), config(folder, options));
  const store = ['-c', '-s', join(folder, 'certificates'), '-M', '4MB'];
  await children.run(programs.certgen, store, 10_000);
  if (process.getuid?.() === 0) {
    chmodSync(folder, 0o755);
    await children.run('chown', ['-R', USER, folder], 10_000);
  }
  // The name keeps its shared memory apart from that of another Squid.
  const name = `egretbench${process.pid}`;
  const args = ['-N', '-n', name, '-f', join(folder, 'squid.conf')];
  const child = children.start('squid', programs.squid, args);
  await waitForPort(child, port);
  return { child, caFile };
}
