/**
 * Envoy's configuration: a reverse proxy to the upstream, and the same with the external authorisation filter that
 * hands OPA-Envoy the whole body over gRPC and fails closed. Pure.
 */

const API = 'type.googleapis.com/envoy';
const BODY_BYTES_MAX = 65_536;

const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });

const cluster = (name: string, port: number) => ({
  name,
  type: 'STATIC',
  connect_timeout: '1s',
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
  },
});

const http2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${API}.extensions.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

const authorisation = {
  name: 'envoy.filters.http.ext_authz',
  typed_config: {
    '@type': `${API}.extensions.filters.http.ext_authz.v3.ExtAuthz`,
    transport_api_version: 'V3',
    failure_mode_allow: false,
    with_request_body: { max_request_bytes: BODY_BYTES_MAX, allow_partial_message: false },
    grpc_service: { envoy_grpc: { cluster_name: 'opa' }, timeout: '2s' },
  },
};

const router = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': `${API}.extensions.filters.http.router.v3.Router` },
};

export interface EnvoyPorts {
  readonly port: number;
  readonly upstreamPort: number;
  /** gRPC port of OPA-Envoy; null for the plain proxy. */
  readonly authorisationPort: number | null;
}

export function renderEnvoyConfig({ port, upstreamPort, authorisationPort }: EnvoyPorts): string {
  const route = { match: { prefix: '/' }, route: { cluster: 'tool' } };
  const manager = {
    '@type': `${API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'bench',
    codec_type: 'HTTP1',
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [route] }] },
    http_filters: authorisationPort === null ? [router] : [authorisation, router],
  };
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
  const listener = { address: address(port), filter_chains: [{ filters: [filter] }] };
  const clusters =
    authorisationPort === null
      ? [cluster('tool', upstreamPort)]
      : [cluster('tool', upstreamPort), { ...cluster('opa', authorisationPort), ...http2 }];
  return JSON.stringify({ static_resources: { listeners: [listener], clusters } }, null, 1);
}
