# METADATA
# title: Hosts
# description: Whether a host is on a list, by its name or below `*.name`.
# scope: package
package guardrail.hosts

listed(host, patterns) if {
	is_array(patterns)
	host in patterns
}

listed(host, patterns) if {
	is_array(patterns)
	some pattern in patterns
	startswith(pattern, "*.")
	endswith(host, substring(pattern, 1, -1))
}
