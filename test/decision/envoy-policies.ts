/** Policies in the shapes that people write for OPA-Envoy, for tests of the dialect. Pure. */

/** Yes or no: by method and path, by a header, by the body. */
export const SHOP = `package envoy.authz

default allow := false

http_request := input.attributes.request.http

allow if {
	http_request.method == "GET"
	["items", _] = input.parsed_path
}

allow if {
	http_request.method == "GET"
	http_request.path == "/search?q=tea"
	input.parsed_query.q == ["tea"]
	http_request.headers["x-team"] == "kitchen"
}

allow if {
	http_request.method == "POST"
	glob.match("/orders/*", ["/"], http_request.path)
	startswith(http_request.headers["content-type"], "application/json")
	not input.truncated_body
	input.parsed_body.amount <= 100
	every item in input.parsed_body.items { item != "wine" }
}

allow if {
	http_request.method == "PUT"
	input.parsed_path[0] == "notes"
	input.parsed_body.title == ["list"]
}

allow if {
	http_request.headers[":authority"] == "status.example.com"
	input.source_principal == "spiffe://example.com/clerk"
}
`;

/** Objects: a status and a text for a denial, headers for an allow, demands that are not met here. */
export const DESK = `package envoy.authz

default allow := {"allowed": false, "http_status": 401, "body": "Say which team asks, in x-team.", "headers": {"x-hint": "x-team", "Set-Cookie": "team=none"}}

team := input.attributes.request.http.headers["x-team"]

allow := {"allowed": true, "headers": {"x-reviewed-for": team}, "http_status": 200, "id": "desk-1"} if {
	team == "kitchen"
	input.parsed_path == ["read"]
}

allow := {"allowed": true, "headers": {"x-new": "1"}, "request_headers_to_remove": ["X-Team", "x-new", "x-absent", "authorization"]} if {
	team == "kitchen"
	input.parsed_path == ["strip"]
}

allow := {"allowed": true, "request_headers_to_remove": ["host"]} if {
	team == "kitchen"
	input.parsed_path == ["homeless"]
}

allow := {"allowed": true, "response_headers_to_add": {"x-seen": "1"}} if {
	team == "kitchen"
	input.parsed_path == ["answer"]
}

allow := {"allowed": false, "http_status": 302, "headers": {"location": "https://login.example/"}} if {
	team == "kitchen"
	input.parsed_path == ["away"]
}

allow := {"allowed": false, "http_status": 418, "headers": {"content-type": "application/json"}, "body": "[418]"} if {
	team == "kitchen"
	input.parsed_path == ["tea"]
}

allow := {"allowed": true, "headers": {"authorization": "Basic eDp5"}} if {
	team == "kitchen"
	input.parsed_path == ["login"]
}

allow := {"allowed": "true"} if {
	team == "kitchen"
	input.parsed_path == ["text"]
}

allow := {"allowed": false, "http_status": 429, "body": concat(" ", ["Team", team, "has asked enough."])} if {
	team == "hall"
}
`;
