/**
 * nginx as the upstream (answers a fixed result without looking at the body, so that it is never the bottleneck) and
 * as a plain reverse proxy with keep-alive to the upstream. Shell: owns nothing, starts children.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, type Children, waitForPort } from './children.ts';
import { UPSTREAM_BODY } from './request.ts';

const frame = (server: string) => `daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_buffer_size 64k;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
${server}
}
`;

const upstreamServer = (port: number) => `  server {
    listen 127.0.0.1:${port};
    default_type application/json;
    location / { return 200 '${UPSTREAM_BODY}'; }
  }`;

export interface TlsSite {
  readonly name: string;
  readonly certificate: string;
  readonly key: string;
}

const tlsServer = (port: number, { name, certificate, key }: TlsSite) => `  server {
    listen 127.0.0.1:${port} ssl;
    server_name ${name};
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      proxy_pass http://answer;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }`;

/** `return` answers before the body is read, which makes Squid give up the connection; a proxy reads it first. */
const answerServer = `  upstream answer {
    server unix:answer.sock;
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen unix:answer.sock;
    default_type application/json;
    location / { return 200 '${UPSTREAM_BODY}'; }
  }`;

const proxyServer = (port: number, upstreamPort: number) => `  upstream tool {
    server 127.0.0.1:${upstreamPort};
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://tool;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }`;

export interface NginxOptions {
  readonly directory: string;
  readonly port: number;
}

export const startNginxUpstream = (children: Children, options: NginxOptions) =>
  startNginx(children, 'nginx-upstream', upstreamServer(options.port), options);

export const startNginxProxy = (
  children: Children,
  options: NginxOptions & { readonly upstreamPort: number },
) => startNginx(children, 'nginx-proxy', proxyServer(options.port, options.upstreamPort), options);

export const startNginxTls = (
  children: Children,
  options: NginxOptions & { readonly sites: readonly TlsSite[] },
) => {
  const servers = [answerServer, ...options.sites.map((site) => tlsServer(options.port, site))];
  return startNginx(children, 'nginx-tls', servers.join('\n'), options);
};

async function startNginx(
  children: Children,
  name: string,
  server: string,
  options: NginxOptions,
): Promise<Child> {
  const prefix = join(options.directory, name);
  mkdirSync(prefix, { recursive: true });
  writeFileSync(join(prefix, 'nginx.conf'), frame(server));
  const child = children.start(name, 'nginx', ['-p', prefix, '-c', 'nginx.conf', '-e', 'stderr']);
  await waitForPort(child, options.port);
  return child;
}
