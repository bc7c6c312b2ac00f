# METADATA
# title: MCP sessions and lists
# description: >-
#   Lets an MCP client start a session and list what a configured server offers. Calling a tool is another matter, which
#   other policies decide. Settings: data.config.mcp.servers, a list of names.
package policies.mcp_session

allow contains "MCP sessions and lists of configured servers" if {
	input.mcp.method
	input.tool.known == true
	input.tool.operation in ["connect", "list"]
	is_string(input.tool.server) # null is no name, whatever the settings say
	input.tool.server in data.config.mcp.servers
}
