package source

// size is the bytes of each repository.
const size = `sum by (registry_id, region, name) (aws_ecr_repository_size_bytes{` + ofRepository + `})`

func overview() Dashboard {
	return Dashboard{
		File: "overview", Title: "ECR / Overview",
		About: "What is in the registries, what grows, what nears a quota, and how fresh all of this is.",
		Panels: []Panel{
			{
				Title: "Registries", Kind: Stat, Unit: "short",
				About:   "Registries (an account in a Region) that an exporter reads. If one is missing, look at its stack: docs/troubleshooting.md.",
				None:    "No exporter has pushed in the last five minutes: see the dashboard ECR / Exporter.",
				Queries: one(`count(max by (registry_id, region) (aws_ecr_repository_count{`+ofRegistry+`}))`, "registries"),
			},
			{
				Title: "Repositories", Kind: Stat, Unit: "short",
				About:   "All repositories of the registries, whatever settings leave out. The quota is in the panel Use of quotas.",
				None:    "No exporter has pushed in the last five minutes: see the dashboard ECR / Exporter.",
				Queries: one(`sum(max by (registry_id, region) (aws_ecr_repository_count{`+ofRegistry+`}))`, "repositories"),
			},
			{
				Title: "Images", Kind: Stat, Unit: "short",
				About:   "Images of all states, idle ones too. If there are far more than you deploy, begin with the dashboard ECR / Waste.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`sum(aws_ecr_repository_images{`+ofRepository+`})`, "images"),
			},
			{
				Title: "Size", Kind: Stat, Unit: "bytes",
				About:   "Bytes of all images: an upper bound of what is billed, as images share layers. To make it less, see the dashboard ECR / Waste.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`sum(aws_ecr_repository_size_bytes{`+ofRepository+`})`, "size"),
			},
			{
				Title: "Images by state", Kind: Graph, Unit: "short",
				About:   "An image is archived, else an index, else tagged, else untagged. Untagged images that only grow need a lifecycle policy.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`sum by (state) (aws_ecr_repository_images{`+ofRepository+`})`, "{{state}}"),
			},
			{
				Title: "Size by registry", Kind: Graph, Unit: "bytes",
				About:   "How the bytes grow. What grew most is in the panel of that name.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`sum by (registry_id, region) (aws_ecr_repository_size_bytes{`+ofRepository+`})`, "{{registry_id}} {{region}}"),
			},
			{
				Title: "Largest repositories", Kind: Rank, Unit: "bytes",
				About:   "The ten repositories that were largest at any time of the range. Ask the owner for a lifecycle policy, or for a smaller base image.",
				None:    "No repository was listed in this range, or the variables leave out all.",
				Queries: one(`topk(10, sum by (registry_id, region, name) (max_over_time(aws_ecr_repository_size_bytes{`+ofRepository+`}[$__range])))`, "{{name}}"),
			},
			{
				Title: "What grew most", Kind: Rank, Unit: "bytes",
				About:   "The ten repositories that grew most over the range. A build that pushes on each commit is the usual cause: expire its images.",
				None:    "No repository grew in this range.",
				Queries: one(`topk(10, sum by (registry_id, region, name) (delta(aws_ecr_repository_size_bytes{`+ofRepository+`}[$__range])) > 0)`, "{{name}}"),
			},
			{
				Title: "Use of quotas", Kind: Rank, Unit: "percentunit",
				About:   "How much of a quota is used, at the end of the range: of images and tags by the repository or image that has most. Above 80 % raise it in Service Quotas, or delete.",
				None:    "No quota is known yet: it takes one refresh of the registry.",
				Queries: one(`max by (registry_id, region, quota) (aws_ecr_registry_quota_used{`+ofRegistry+`} / aws_ecr_registry_quota_limit{`+ofRegistry+`})`, "{{quota}} {{registry_id}} {{region}}"),
			},
			{
				Title: "Nearest to the quota of images", Kind: Rank, Unit: "short",
				About:   "The ten repositories with the most images at any time of the range. At the quota pushes fail: expire images before.",
				None:    "No repository was listed in this range, or the variables leave out all.",
				Queries: one(`topk(10, sum by (registry_id, region, name) (max_over_time(aws_ecr_repository_images{`+ofRepository+`}[$__range])))`, "{{name}}"),
			},
			{
				Title: "Age of the oldest listing", Kind: Graph, Unit: "s",
				About:   "How old what is shown may be: usually below CACHE_REFRESH_INTERVAL. If it only grows, ECR refuses or throttles: see the dashboard ECR / Exporter.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`time() - min by (registry_id, region) (aws_ecr_repository_refreshed_timestamp_seconds{`+ofRepository+`})`, "{{registry_id}} {{region}}"),
			},
			{
				Title: "Oldest listings", Kind: Table, Unit: "s", Value: "age",
				About:   "The ten repositories whose listing is oldest. One that stays on top is denied by its policy or always fails: its name is in the log.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`topk(10, time() - max by (registry_id, region, name) (aws_ecr_repository_refreshed_timestamp_seconds{`+ofRepository+`}))`, ""),
			},
			{
				Title: "Last pushes", Kind: Table, Unit: "s", Value: "since the push",
				About:   "The ten repositories with the newest pushes. If a deployment is missing here, the push failed or went to another registry.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`bottomk(10, time() - max by (registry_id, region, name) (aws_ecr_repository_newest_push_timestamp_seconds{`+ofRepository+`}))`, ""),
			},
			{
				Title: "Age of repositories", Kind: Table, Unit: "s", Value: "age",
				About:   "The ten newest repositories. One that nobody expects may come from a pull-through cache rule or a replication.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`bottomk(10, time() - max by (registry_id, region, name) (aws_ecr_repository_created_timestamp_seconds{`+ofRepository+`}))`, ""),
			},
			{
				Title: "Who owns it", Kind: Table, Unit: "short", Value: "", Hide: []string{"Value"},
				About:   "The team of each repository, from its tag team. One without a team: tag it, in the code that creates it.",
				None:    "Off unless asked: set REPOSITORY_TAGS=team, which needs ecr:ListTagsForResource. See docs/grafana.md.",
				Queries: one(`group by (registry_id, region, name, tag_team) (aws_ecr_repository_tags_info{`+ofRepository+`})`, ""),
			},
			{
				Title: "Pull-through cache rules", Kind: Table, Unit: "short", Hide: []string{"Value"},
				About:   "From where repositories with a prefix are filled. A rule that nobody knows: delete it, its repositories stay.",
				None:    "No rule, or off: REGISTRY_DETAILS=true reads them. See docs/grafana.md.",
				Queries: one(`group by (registry_id, region, repository_prefix, upstream_registry, upstream_url) (aws_ecr_pull_through_cache_rule_info{`+ofRegistry+`})`, ""),
			},
			{
				Title: "Replication", Kind: Table, Unit: "short", Hide: []string{"Value"},
				About:   "To where repositories are replicated. Each destination bills the bytes again.",
				None:    "No replication, or off: REGISTRY_DETAILS=true reads it. See docs/grafana.md.",
				Queries: one(`group by (registry_id, region, destination_registry_id, destination_region, repository_prefixes) (aws_ecr_replication_destination_info{`+ofRegistry+`})`, ""),
			},
		},
	}
}
