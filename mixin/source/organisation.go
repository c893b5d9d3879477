package source

// target is the series of a registry of TARGETS.
func target(labels string) string {
	return `aws_ecr_exporter_target_info{account_name="payments", ` + labels + `}`
}

// stopped is a registry whose last successful run was after an hour.
func stopped(name string, labels map[string]string, more ...Input) Case {
	input := append(series("aws_ecr_exporter_last_success_timestamp_seconds", testRun, "0+60x60"), more...)
	return Case{Name: "stopped, " + name, Input: input, At: "80m", Labels: labels}
}

// organisationAlerts are about the registries of TARGETS. They have no series without it.
func organisationAlerts() []Rule {
	registry := ofTestRun()
	up := func(values string) []Input {
		return append(series("aws_ecr_exporter_target_up", testRun, values), series("aws_ecr_exporter_target_up", testFar, "1x180")...)
	}
	// seen is a target, and whether it was read; and another one that always was.
	seen := func(info, read string) []Input {
		return append(up(read), Input{target(testRun), info}, Input{target(testFar), "1x180"})
	}
	fleet := func(family, values string) []Input {
		return series("aws_ecr_exporter_"+family, `region="eu-west-1"`, values)
	}
	planner := map[string]string{"region": "eu-west-1"}
	return []Rule{
		with(alert("EcrRegistryNotRead", "warning", "30m",
			`max by (registry_id, region) (max_over_time(aws_ecr_exporter_target_up[10m])) == 0`,
			"The registry {{ $labels.registry_id }} in {{ $labels.region }} cannot be read",
			"Its role is missing or may not read all of it, or ECR does not respond. What is known of it is still pushed, and gets old."),
			Case{Input: up("1x20 0x160"), At: "65m", Labels: registry},
			Case{Input: up(everyOther + " " + everyOther), At: "65m"},
			Case{Name: "for less than half an hour", Input: up("1x60 0x25 1x90"), At: "85m"},
			Case{Name: "every ten minutes", Input: up("0 _x8 0 _x8 0 _x8 0 _x8 0 _x8 0 _x8 0 _x8 0"), At: "50m", Labels: registry}),
		with(alert("EcrRegistryNotRun", "warning", "15m",
			`group by (registry_id, region, account_name) (aws_ecr_exporter_target_info)
  unless on (registry_id, region) last_over_time(aws_ecr_exporter_target_up[1h])`,
			"The registry {{ $labels.registry_id }} in {{ $labels.region }} has no run",
			"It is one of TARGETS, and its last run is an hour ago, or there never was one. The account is {{ $labels.account_name }}."),
			Case{Input: seen("1x180", "_x180"), At: "16m", Labels: ofTestRun([2]string{"account_name", "payments"})},
			Case{Input: seen("1x180", "1x180"), At: "80m"},
			Case{Name: "runs that cannot read it", Input: seen("1x180", "0x180"), At: "80m"},
			Case{Name: "every hour", Input: seen("1x180", "1 _x58 1 _x58 1"), At: "117m"},
			Case{Name: "stopped", Input: seen("1x180", "1x30"), At: "106m", Labels: ofTestRun([2]string{"account_name", "payments"})},
			Case{Name: "no target any more", Input: seen("1x30", "1x30"), At: "120m"}),
		with(alert("EcrTargetsInvalid", "warning", "1h",
			`aws_ecr_exporter_targets_valid == 0`,
			"The list of registries has a fault",
			"TARGETS cannot be read or has a fault. The last list without one is used, so changes since then do not count."),
			Case{Input: fleet("targets_valid", "1x10 0x100"), At: "75m", Labels: planner},
			Case{Input: fleet("targets_valid", "0x50 1x100"), At: "75m"},
			Case{Name: "for less than an hour", Input: fleet("targets_valid", "1x20 0x100"), At: "75m"}),
		with(alert("EcrTargetsWaiting", "warning", "15m",
			`aws_ecr_exporter_targets_waiting > 0`,
			"Registries wait for a worker",
			"More registries are due than workers can take. The turns of some are left out: raise MaximumConcurrency, or their interval."),
			Case{Input: fleet("targets_waiting", "0x20 3x100"), At: "36m", Labels: planner},
			Case{Input: fleet("targets_waiting", everyOther), At: "36m"},
			Case{Name: "for less than 15 minutes", Input: fleet("targets_waiting", "0x20 3x100"), At: "34m"}),
		with(alert("EcrTargetRateExceeded", "warning", "15m",
			`sum(min_over_time(aws_ecr_exporter_target_rate_exceeded[10m])) > 0`,
			"Pushes are faster than the rate of the endpoint",
			"At their share of REMOTE_WRITE_SAMPLES_PER_SECOND the pushes of some registries do not end in time, so they are faster. The endpoint may refuse them."),
			Case{Input: append(series("aws_ecr_exporter_target_rate_exceeded", testRun, "0x20 1x100"), series("aws_ecr_exporter_target_rate_exceeded", testFar, "0x120")...), At: "50m", Labels: map[string]string{}},
			Case{Input: append(series("aws_ecr_exporter_target_rate_exceeded", testRun, everyOther), series("aws_ecr_exporter_target_rate_exceeded", testFar, "0x120")...), At: "50m"},
			Case{Name: "for less than 15 minutes", Input: series("aws_ecr_exporter_target_rate_exceeded", testRun, "0x20 1x100"), At: "40m"}),
	}
}
