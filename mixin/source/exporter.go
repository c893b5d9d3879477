package source

// ofRun is the greatest of the last run's numbers of each exporter, by some labels.
func ofRun(family, by string) string {
	return `max by (registry_id, region` + by + `) (aws_ecr_exporter_` + family + `{` + ofRegistry + `})`
}

func exporter() Dashboard {
	const (
		silent   = "No exporter has pushed in the last five minutes: see docs/troubleshooting.md."
		registry = "{{registry_id}} {{region}}"
		ofOne    = "TARGETS is empty: the function reads its own registry only."
	)
	return Dashboard{
		File: "exporter", Title: "ECR / Exporter",
		About: "Whether the exporter is healthy, and what it costs. All numbers are those of the last run.",
		Panels: []Panel{
			{
				Title: "Since the last success", Kind: Stat, Unit: "s", None: "No run has succeeded in the last day: see docs/runbooks.md.",
				About:   "A run is every two minutes by default. If it only grows, see EcrExporterSilent in docs/runbooks.md.",
				Queries: one(`time() - max by (registry_id, region) (last_over_time(aws_ecr_exporter_last_success_timestamp_seconds{`+ofRegistry+`}[1d]))`, registry),
			},
			{
				Title: "Age of the data", Kind: Stat, Unit: "s", None: "Some repository was never listed, or no exporter has pushed in the last five minutes.",
				About:   "The age of the oldest listing. Above three times CACHE_REFRESH_INTERVAL see EcrDataOld in docs/runbooks.md.",
				Queries: one(ofRun("oldest_record_age_seconds", ""), registry),
			},
			{
				Title: "Samples a month", Kind: Stat, Unit: "short", None: silent,
				About:   "What a month of runs like the last one sends. To make it less: FAMILIES_EXCLUDE, IDLE_IMAGES=never, or fewer runs.",
				Queries: one(ofRun("samples_per_month", ""), registry),
			},
			{
				Title: "Dollars a month", Kind: Stat, Unit: "currencyUSD", None: silent,
				About:   "What AWS bills for a month of runs like the last one, at list prices, as a forecast. docs/grafana.md says what makes it less.",
				Queries: one(ofRun("estimated_cost_dollars", ""), registry),
			},
			{
				Title: "Series sent", Kind: Graph, Unit: "short", None: silent,
				About:   "Series that the receiver accepted. A step down without a deletion: look at the two panels beside.",
				Queries: one(ofRun("series_sent", ""), registry),
			},
			{
				Title: "Series not delivered", Kind: Graph, Unit: "short", None: silent,
				About: "Refused, unconfirmed or not sent. 0 is healthy; otherwise see SeriesRefused in docs/runbooks.md.",
				Queries: []Query{
					{ofRun("series_refused", ""), "refused " + registry},
					{ofRun("series_unconfirmed", ""), "unconfirmed " + registry},
					{ofRun("series_not_sent", ""), "not sent " + registry},
				},
			},
			{
				Title: "Series dropped by reason", Kind: Graph, Unit: "short", None: silent,
				About:   "Series that a receiver would refuse. 0 is healthy; otherwise see SeriesDropped in docs/runbooks.md.",
				Queries: one(ofRun("series_dropped", ", reason"), "{{reason}} "+registry),
			},
			{
				Title: "Errors by stage", Kind: Graph, Unit: "short", None: silent,
				About:   "What failed in a run. The text of each error is in the log and in the summary of the run.",
				Queries: one(ofRun("errors", ", stage"), "{{stage}} "+registry),
			},
			{
				Title: "Requests to AWS", Kind: Graph, Unit: "short", None: silent,
				About:   "Requests of a run by operation. A tooth every CACHE_REFRESH_INTERVAL is right.",
				Queries: one(ofRun("api_requests", ", operation"), "{{operation}} "+registry),
			},
			{
				Title: "Throttles", Kind: Graph, Unit: "short", None: silent,
				About:   "Requests that AWS refused for their rate. Some are no harm; many: see EcrExporterThrottled in docs/runbooks.md.",
				Queries: one(ofRun("api_throttles", ", operation"), "{{operation}} "+registry),
			},
			{
				Title: "Duration of runs", Kind: Graph, Unit: "s", None: silent,
				About: "Reading AWS and sending. Near the function's timeout raise it, or lower REFRESH_BUDGET.",
				Queries: []Query{
					{ofRun("refresh_duration_seconds", ""), "refresh " + registry},
					{ofRun("push_duration_seconds", ""), "push " + registry},
				},
			},
			{
				Title: "Size of the requests", Kind: Graph, Unit: "bytes", None: silent,
				About:   "Compressed bytes of a run to the receiver, without retries.",
				Queries: one(ofRun("sent_bytes", ""), registry),
			},
			{
				Title: "Retries", Kind: Graph, Unit: "short", None: silent,
				About:   "Requests to the receiver that were repeated. Many in each run: the receiver is overloaded or limits the rate.",
				Queries: one(ofRun("send_retries", ""), registry),
			},
			{
				Title: "Age of the oldest scan result", Kind: Graph, Unit: "s", None: "No scan result is shown, or no exporter has pushed in the last five minutes.",
				About:   "Usually below a day. If it grows, raise SCAN_REQUESTS_PER_SECOND.",
				Queries: one(ofRun("scan_oldest_answer_age_seconds", ""), registry),
			},
			{
				Title: "Changes shown after", Kind: Graph, Unit: "s", None: "Nothing was pushed, scanned or deleted in the last hour, or no exporter has pushed.",
				About:   "The longest time in an hour from a push, a scan or a deletion until the receiver had it: see docs/promises.md. Of a deletion it is the most that it can have been.",
				Queries: one(`max by (registry_id, region, change) (max_over_time(aws_ecr_exporter_lag_seconds{`+ofRegistry+`}[1h]))`, "{{change}} "+registry),
			},
			{
				Title: "Indexes whose platforms are not known", Kind: Graph, Unit: "short", None: "All platforms are known, or INDEX_SCANS is off.",
				About:   "Multi-architecture images without scan results for that reason. The reason pending passes; others are in docs/scans-and-events.md.",
				Queries: one(ofRun("indexes_unread", ", reason"), "{{reason}} "+registry),
			},
			{
				Title: "Durable state", Kind: Stat, Unit: "bool_yes_no", None: silent,
				About:   "No: the inventory is in memory only, and each cold start reads the registry anew. See STATE_URL in docs/settings.md.",
				Queries: one(`max by (region) (aws_ecr_exporter_state_available{region=~"$region"})`, "{{region}}"),
			},
			{
				Title: "What runs is known", Kind: Stat, Unit: "bool_yes_no", None: "IDLE_IMAGES is push, the default: the exporter does not ask what runs.",
				About:   "No: the store did not say which images run, so after 24 hours all images have series again. The reason is in the log.",
				Queries: one(ofRun("in_use_query_success", ""), registry),
			},
			{
				Title: "Versions", Kind: Table, Unit: "short", Hide: []string{"Value"}, None: silent,
				About:   "The version that made the last run. Stacks of different versions: upgrade the older ones.",
				Queries: one(`group by (registry_id, region, version, goversion) (aws_ecr_exporter_build_info{`+ofRegistry+`})`, ""),
			},
			{
				Title: "Registries of TARGETS", Kind: Graph, Unit: "short", None: ofOne,
				About: "Registries that are read, those that a later plan begins with, and those that wait for a worker, which should be 0.",
				Queries: []Query{
					{`sum by (state) (aws_ecr_exporter_targets{region=~"$region"})`, "{{state}}"},
					{`sum(aws_ecr_exporter_targets_waiting{region=~"$region"})`, "waiting"},
				},
			},
			{
				Title: "Longest without a success", Kind: Rank, Unit: "s", None: ofOne,
				About:   "Registries of TARGETS by the time since their last successful run. See EcrRegistryNotRead in docs/runbooks.md.",
				Queries: one(`topk(10, time() - max by (registry_id, region) (last_over_time(aws_ecr_exporter_target_last_success_timestamp_seconds{`+ofRegistry+`}[1d])))`, registry),
			},
			{
				Title: "Which registries are read", Kind: Table, Unit: "short", Value: "up", None: ofOne,
				About: "Each registry of TARGETS: 1 if its last run could read all that was due. One without a run is not listed, see EcrRegistryNotRun.",
				Queries: one(`max by (registry_id, region, account_name) (aws_ecr_exporter_target_info{`+ofRegistry+`})
* on (registry_id, region) group_left () `+ofRun("target_up", ""), ""),
			},
		},
	}
}
