# METADATA
# title: Only listed tools
# description: >-
#   Tools of the catalogue that are listed are allowed, whatever their arguments; everything else is denied, also what
#   another policy of the bundle allows. Settings: data.config.starter.
package policies.starter

import data.egret.arguments
import data.egret.settings

config := data.config.starter

default tools := []

tools := config.tools if settings.texts(config.tools)

default approval := []

approval := config.approval if settings.texts(config.approval)

listed if {
	input.tool.known == true
	input.tool.name in array.concat(tools, approval)
}

# METADATA
# title: A listed tool
allow contains "the tool is listed" if {
	listed
	arguments.readable
}

require_approval contains "the tool is listed for use with approval" if input.tool.name in approval

deny contains {"code": "starter.not_listed", "message": $"{tool_name} is not among the tools of data.config.starter"} if not listed

default tool_name := "a call without a tool"

tool_name := input.tool.name if is_string(input.tool.name)
