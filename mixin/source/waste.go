package source

// idle is the seconds since each repository was last pulled from or, without a recorded
// pull, pushed to.
func idle(matchers string) string {
	return `time() - (max by (registry_id, region, name) (aws_ecr_repository_newest_pull_timestamp_seconds` + matchers + `)
  or max by (registry_id, region, name) (aws_ecr_repository_newest_push_timestamp_seconds` + matchers + `))`
}

func waste() Dashboard {
	const repository = `{` + ofRepository + `}`
	idleSize := size + "\nand (" + idle(repository) + ") > 90 * 86400"
	return Dashboard{
		File: "waste", Title: "ECR / Waste",
		About: "What can go: not pulled for 90 days, untagged, without a lifecycle policy. Right with any IDLE_IMAGES.",
		Panels: []Panel{
			{
				Title: "Not pulled for 90 days", Kind: Stat, Unit: "bytes",
				About:   "Bytes of the repositories from which nothing was pulled for 90 days: an upper bound of what can be won. The table below has each.",
				None:    "Every repository was pulled from in the last 90 days.",
				Queries: one("sum(\n"+indent(idleSize)+")", "bytes"),
			},
			{
				Title: "Untagged images", Kind: Stat, Unit: "bytes",
				About:   "Bytes of images without a tag. A lifecycle policy for untagged images wins them; leave those that pods run by digest.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`sum(aws_ecr_repository_size_bytes{state="untagged", `+ofRepository+`})`, "bytes"),
			},
			{
				Title: "Without a lifecycle policy", Kind: Stat, Unit: "short",
				About:   "Repositories that keep everything for ever. The table Without a lifecycle policy, by size has each.",
				None:    "Off unless asked: set LIFECYCLE_POLICIES=true, which needs ecr:GetLifecyclePolicy. See docs/grafana.md.",
				Queries: one(`count(max by (registry_id, region, name) (aws_ecr_repository_lifecycle_policy{`+ofRepository+`}) == 0)`, "repositories"),
			},
			{
				Title: "Images without series, as they are idle", Kind: Stat, Unit: "short",
				About:   "With IDLE_IMAGES=never: images that cost no samples because nothing uses them. They are still counted and sized here.",
				None:    "IDLE_IMAGES is push, the default: every image has series.",
				Queries: one(`sum(max by (registry_id, region) (aws_ecr_exporter_images_withheld{reason="idle", `+ofRegistry+`}))`, "images"),
			},
			{
				Title: "Repositories not pulled for 90 days, by size", Kind: Table, Unit: "bytes", Value: "size",
				About:   "ECR records a pull about once a day; pulls from a cache of one's own are not seen. Ask the owner, then delete or archive.",
				None:    "Every repository was pulled from in the last 90 days.",
				Queries: one("sort_desc(\n"+indent(idleSize)+")", ""),
			},
			{
				Title: "Longest without a pull", Kind: Table, Unit: "s", Value: "since the last pull or push",
				About:   "The ten repositories without a pull for longest, or without a push if there was never a pull.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one("topk(10, "+idle(repository)+")", ""),
			},
			{
				Title: "Untagged bytes by repository", Kind: Rank, Unit: "bytes",
				About:   "The ten repositories with the most bytes without a tag at any time of the range. Expire untagged images there first.",
				None:    "No repository was listed in this range, or the variables leave out all.",
				Queries: one(`topk(10, sum by (registry_id, region, name) (max_over_time(aws_ecr_repository_size_bytes{state="untagged", `+ofRepository+`}[$__range])))`, "{{name}}"),
			},
			{
				Title: "Untagged images by repository", Kind: Rank, Unit: "short",
				About:   "The ten repositories with the most images without a tag at any time of the range. Children of an index are untagged too: they go with the index.",
				None:    "No repository was listed in this range, or the variables leave out all.",
				Queries: one(`topk(10, sum by (registry_id, region, name) (max_over_time(aws_ecr_repository_images{state="untagged", `+ofRepository+`}[$__range])))`, "{{name}}"),
			},
			{
				Title: "Without a lifecycle policy, by size", Kind: Table, Unit: "bytes", Value: "size",
				About:   "Repositories without a lifecycle policy, the largest first. Give each a policy in the code that creates it.",
				None:    "All have a policy, or off: set LIFECYCLE_POLICIES=true, which needs ecr:GetLifecyclePolicy. See docs/grafana.md.",
				Queries: one("sort_desc(\n"+indent(size+"\nand max by (registry_id, region, name) (aws_ecr_repository_lifecycle_policy{"+ofRepository+"}) == 0")+")", ""),
			},
			{
				Title: "Bytes by state", Kind: Graph, Unit: "bytes",
				About:   "Where the bytes are. Archived ones are cheaper, and are billed until they are deleted.",
				None:    "No repository was listed yet, or the variables leave out all.",
				Queries: one(`sum by (state) (aws_ecr_repository_size_bytes{`+ofRepository+`})`, "{{state}}"),
			},
			{
				Title: "Images not pulled for 90 days", Kind: Table, Unit: "s", Value: "since the last pull",
				About:   "The 50 images longest without a pull. Before you delete one, see the query May I delete it in docs/queries.md. With IDLE_IMAGES=never such images have no series unless they run.",
				None:    "None, or off: FAMILIES_INCLUDE turns on aws_ecr_image_last_pulled_timestamp_seconds. See docs/grafana.md.",
				Queries: one(`topk(50, time() - max by (registry_id, region, name, digest) (aws_ecr_image_last_pulled_timestamp_seconds{`+ofRepository+`}) > 90 * 86400)`, ""),
			},
			{
				Title: "Kinds of artifacts", Kind: Rank, Unit: "short",
				About:   "Images by the media type of what they are. Signatures and attestations of images that are gone can go too.",
				None:    "Off unless asked: FAMILIES_INCLUDE turns on aws_ecr_image_info. See docs/grafana.md.",
				Queries: one(`sort_desc(count by (artifact_media_type) (max by (registry_id, region, name, digest, artifact_media_type) (aws_ecr_image_info{`+ofRepository+`})))`, "{{artifact_media_type}}"),
			},
		},
	}
}
