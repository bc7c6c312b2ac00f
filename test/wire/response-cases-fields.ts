/** Header fields that would mislead a client, speak for the sidecar or lead around it. Pure. */
import { hello, passes, type ResponseCase, refused } from './response-case.ts';

const twice = (name: string, one: string, other = one) =>
  refused(
    `${name} twice${one === other ? '' : ', differing'}`,
    hello(`${name}: ${one}`, `${name}: ${other}`),
  );

const gone = (name: string, value: string) =>
  passes(`${name} is dropped`, hello(`${name}: ${value}`), {
    headers: { [name.toLowerCase()]: null },
  });

const kept = (name: string, value: string) =>
  passes(`${name} is kept`, hello(`${name}: ${value}`), {
    headers: { [name.toLowerCase()]: value },
  });

const nominated = (name: string, value: string) =>
  refused(`Connection names ${name}`, hello(`Connection: ${name}`, `${name}: ${value}`));

export const FIELD_CASES: readonly ResponseCase[] = [
  twice('Content-Type', 'text/plain'),
  twice('Content-Type', 'text/plain', 'text/html'),
  twice('Location', '/a', '//evil.example/'),
  twice('ETag', '"a"', '"b"'),
  twice('Last-Modified', 'Mon, 23 Nov 2026 09:00:00 GMT'),
  twice('Content-Disposition', 'inline', 'attachment'),
  twice('Content-Range', 'bytes 0-4/5', 'bytes 0-4/9'),
  twice('Content-Location', '/a', '/b'),
  twice('Retry-After', '1', '100'),
  twice('Refresh', '0; url=/a', '0; url=//evil.example/'),
  twice('Mcp-Session-Id', 'a', 'b'),
  twice('Mcp-Protocol-Version', '2025-11-25', '2026-07-28'),
  twice('Access-Control-Allow-Origin', 'null', '*'),
  refused('two content types in one field', hello('Content-Type: text/plain, text/html')),
  passes('a comma in a quoted parameter', hello('Content-Type: text/plain; a="b, c"')),
  passes('cookies stay apart', hello('Set-Cookie: a=1', 'Set-Cookie: b=2; HttpOnly'), {
    headers: { 'set-cookie': 'a=1|b=2; HttpOnly' },
  }),
  passes('a list in two fields stays', hello('Vary: Accept', 'Vary: Origin'), {
    headers: { vary: 'Accept|Origin' },
  }),
  gone('Alt-Svc', 'h3=":443"; ma=86400'),
  gone('ALT-SVC', 'h2="evil.example:443"'),
  passes('Keep-Alive of the tool is not passed on', hello('Keep-Alive: timeout=7777')),
  gone('Proxy-Authenticate', 'Basic realm="sidecar"'),
  gone('Proxy-Authentication-Info', 'x'),
  gone('Proxy-Connection', 'keep-alive'),
  gone('Proxy-Status', 'egret; error=none'),
  gone('TE', 'trailers'),
  gone('Trailer', 'X-Late'),
  gone('HTTP2-Settings', 'AAMAAABkAAQCAAAAAAIAAAAA'),
  gone('X-Egret-Reason', 'policy.allowed'),
  gone('x-egret-warning', 'none'),
  gone('X-EGRET-Approved', 'yes'),
  passes('a forged decision id is replaced', hello('X-Egret-Decision-Id: forged'), {}),
  passes('Upgrade with a final answer is dropped', hello('Upgrade: h2c', 'Connection: Upgrade'), {
    headers: { upgrade: null },
  }),
  passes('a field that Connection names is dropped', hello('Connection: X-Hop', 'X-Hop: 1'), {
    headers: { 'x-hop': null },
  }),
  passes(
    'Connection in odd spelling',
    hello('CONNECTION: , x-hop ,,close', 'X-Hop: 1'),
    {
      headers: { 'x-hop': null },
    },
    { fresh: true },
  ),
  passes(
    'Connection: close ends the connection to the tool only',
    hello('Connection: close'),
    {},
    { fresh: true },
  ),
  nominated('Content-Type', 'text/html'),
  nominated('Content-Encoding', 'gzip'),
  nominated('Content-Disposition', 'attachment'),
  nominated('Set-Cookie', 'a=1'),
  nominated('Location', '/a'),
  nominated('Cache-Control', 'no-store'),
  nominated('WWW-Authenticate', 'Bearer'),
  nominated('Mcp-Session-Id', 'a'),
  nominated('Access-Control-Allow-Origin', 'null'),
  refused('Connection names Content-Length', hello('Connection: content-length')),
  kept('Refresh', '0; url=http://evil.example/'),
  kept('Content-Security-Policy', "default-src 'none'"),
  kept('Strict-Transport-Security', 'max-age=1'),
  kept('WWW-Authenticate', 'Bearer realm="tool"'),
  kept('X_Odd', 'underscore'),
  kept('Content-Type', 'text/plain; charset=utf-8'),
  passes(
    'a redirect is not followed',
    'HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n',
    {
      status: 302,
      body: '',
      headers: { location: 'http://169.254.169.254/' },
    },
  ),
  passes(
    'a permanent redirect to another scheme is not followed',
    'HTTP/1.1 308 Moved\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n',
    {
      status: 308,
      body: '',
      headers: { location: 'file:///etc/passwd' },
    },
  ),
  refused('content coded twice', hello('Content-Encoding: gzip, gzip')),
  refused('content coded in two fields', hello('Content-Encoding: gzip', 'Content-Encoding: br')),
  passes('an unknown content coding', hello('Content-Encoding: compress'), {
    headers: { 'content-encoding': 'compress' },
  }),
  passes('content that is not what its coding says', hello('Content-Encoding: gzip'), {
    headers: { 'content-encoding': 'gzip' },
  }),
  passes('content coded as identity', hello('Content-Encoding: identity'), {}),
];
