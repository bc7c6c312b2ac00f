# METADATA
# title: Reading listed web sites
# description: >-
#   GET over HTTPS from listed hosts, without a body; no addresses, no private names, no other ports. It speaks about
#   HTTP requests that are no tool of the catalogue. Settings: data.config.web_browsing.
package policies.web_browsing

import data.egret.settings

config := data.config.web_browsing

configured if settings.some_texts(config.hosts)

# `http.get` is the name of a request that the catalogue does not know.
about if {
	startswith(input.tool.name, "http.")
	input.tool.known == false
}

deny contains {"code": "web.unconfigured", "message": "data.config.web_browsing needs hosts"} if {
	about
	not configured
}

host := input.destination.host

listed_host if {
	some entry in config.hosts
	covers(entry)
}

covers(entry) if entry == host

# `*.example.com` covers every name below example.com and not example.com itself; `*.com` covers nothing.
covers(entry) if {
	startswith(entry, "*.")
	count(split(entry, ".")) > 2
	not contains(entry, "..")
	endswith(host, substring(entry, 1, -1))
}

deny contains {"code": "web.host_not_allowed", "message": $"{host} is not among the hosts that may be read"} if {
	about
	not listed_host
}

public_host if {
	contains(host, ".")
	not contains(host, ":")
	not all_digits
	not private_name
	public_address
}

# The last label of a name is never a number; that of an IPv4 address always is.
all_digits if {
	labels := split(host, ".")
	regex.match(`^([0-9]+|0[xX][0-9a-fA-F]*)?$`, labels[count(labels) - 1])
}

private_name if {
	some suffix in [
		".arpa", ".cluster.local", ".corp", ".home", ".internal", ".intranet", ".invalid", ".lan", ".local",
		".localdomain", ".localhost", ".onion", ".private", ".svc", ".test",
	]
	endswith(host, suffix)
}

# Not known before the name is looked up; the sidecar classifies what it finds.
public_address if input.destination.ip_class in [null, "public"]

deny contains {"code": "web.private_host", "message": "the host is an address or a private name"} if {
	about
	not public_host
}

plain_get if {
	input.tool.name == "http.get"
	input.http.method == "GET"
	input.arguments_state != "opaque"
	input.arguments_state != "too_large"
	not upgrades
}

# The GET of a WebSocket.
upgrades if input.http.headers.upgrade

deny contains {"code": "web.method", "message": "only GET, without a body and without an upgrade"} if {
	about
	not plain_get
}

secure if {
	input.destination.scheme == "https"
	input.destination.port == 443
}

deny contains {"code": "web.port", "message": "only HTTPS on port 443"} if {
	about
	not secure
}

# METADATA
# title: A page of a listed host
allow contains "a page of a listed host" if {
	configured
	about
	listed_host
	public_host
	plain_get
	secure
}
